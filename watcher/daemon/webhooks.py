"""What inbound webhooks are given to work with: the accounts that a hint may mean, their watches.

The other end of `web.hooks.reception`'s HookDesk, for one App. A hint asks an account's watch to
look, and does nothing else; whoever is parked stays parked.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import product

from watcher.core.delivery import Delivery, DeliveryOutcome
from watcher.core.hint import Hint, Sender, Watched, accounts_meant
from watcher.daemon.app import App
from watcher.daemon.callbacks import Callbacks
from watcher.daemon.deliveries import DeliveryLog
from watcher.engine.watch import AccountWatch
from watcher.telemetry.families import Count
from watcher.web.hooks.reception import Reception, Taken
from watcher.web.hooks.replay import (
    MOST_NOTED_A_MINUTE,
    REMEMBERED_SECONDS,
    Replays,
    SenderPace,
)
from watcher.web.hooks.senders import KINDS

_NOBODY = Taken(outcome=DeliveryOutcome.UNKNOWN, reason="no account watches this repository")


class Webhooks:
    """Takes hints for the accounts of an App. Made by `opened`."""

    def __init__(
        self,
        app: App,
        watches: Mapping[str, AccountWatch],
        switches: Mapping[str, bool],
        known: Iterable[tuple[str, float]],
    ) -> None:
        """`switches`: those of run time. `known`: keys of deliveries to an earlier process."""
        self.log = DeliveryLog(app.store, log=app.log, meter=app.meter)
        self.callbacks = Callbacks(app.environment, log=app.log)
        self._app = app
        self._watches = watches
        self._switches = switches
        self.reception = Reception(
            self,
            Replays(app.clock, known),
            SenderPace(time.monotonic),
            noting=SenderPace(time.monotonic, MOST_NOTED_A_MINUTE),
            clock=app.clock,
            meter=app.meter,
        )
        for sender, outcome in product(KINDS, DeliveryOutcome):
            app.meter.count(Count.DELIVERIES, sender, outcome, by=0)

    def take(self, hint: Hint, sender: Sender, account: str | None) -> tuple[Taken, ...]:
        meant = accounts_meant(hint, sender, self._candidates(), account)
        return tuple(self._hand_on(hint, sender, name) for name in meant) or (_NOBODY,)

    def note(self, delivery: Delivery) -> None:
        self.log.add(delivery)

    def call_back(self, url: str) -> None:
        self.callbacks.add(url)

    async def look_at_switches(self) -> None:
        """Take over what another process switched. Raises StateError."""
        self._switches = await self._app.store.run(lambda store: store.deliveries.switches())

    def _candidates(self) -> Iterator[Watched]:
        for name, watch in self._watches.items():
            member = self._app.members.get(name)
            if member is not None:
                yield Watched(
                    account=name,
                    registry=member.account.registry.name,
                    kind=member.client.kind,
                    watches=watch.repositories.has,
                )

    def _hand_on(self, hint: Hint, sender: Sender, name: str) -> Taken:
        watch = self._watches[name]
        if not self._switches.get(name, watch.account.webhooks):
            reason = "webhooks are switched off for this account"
            return Taken(outcome=DeliveryOutcome.DISABLED, reason=reason, account=name)
        watch.hint(hint, sender.settles)
        until = watch.parked_until
        if until is not None:
            moment = datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
            reason = f"the registry asked for patience until {moment}; polled then"
            return Taken(outcome=DeliveryOutcome.PARKED, reason=reason, account=name)
        return Taken(outcome=DeliveryOutcome.POLLED, reason="polled now", account=name)


async def opened(app: App, watches: Mapping[str, AccountWatch]) -> Webhooks:
    """With what the state file knows of switches and of deliveries. Raises StateError."""
    since = datetime.fromtimestamp(app.clock() - REMEMBERED_SECONDS, UTC)
    switches = await app.store.run(lambda store: store.deliveries.switches())
    known = await app.store.run(lambda store: store.deliveries.keys(since))
    return Webhooks(app, watches, switches, known)

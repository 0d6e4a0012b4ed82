"""Tells whom the config names what wants a person: fills the outbox, and has it sent (SPEC 1).

`Announcer` works beside the daemon's polls, `announce` at the end of a single pass. Neither delays
a poll or a run: what they tell of was written by those, and a notifier that hangs holds up only
its own messages.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from watcher.core.message import Message
from watcher.core.notice import Notice, NoticeEvent, NoticeKind
from watcher.core.notifier import Audience, Notifier
from watcher.daemon.app import App
from watcher.daemon.lookout import Lookout
from watcher.daemon.pinging import Pinger
from watcher.engine.poll_outcome import PollOutcome
from watcher.errors import StateError, StateUnwritable, WatcherError
from watcher.store.sqlite import Store
from watcher.telemetry.events import Event

if TYPE_CHECKING:
    from watcher.daemon.courier import Courier

LOOK = 1.0
LOOKS_BETWEEN_SURVEYS = 5
LOOKS_BETWEEN_CLEANINGS = 3600
KEPT = timedelta(days=7)
"""How long a message that was sent is shown."""
LONGEST_END = 60.0
"""Seconds that a single pass takes at most to send; the next pass sends the rest."""
QUIET_ABOUT_STATE = timedelta(hours=1)


class Announcer:
    """The daemon's; its tasks end when `run` is cancelled."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lookout = Lookout(app, is_daemon=True)
        self._pinger = Pinger(app, self._lookout)
        self._lookout.note_config(app.config.path, None)
        self._couriers: dict[str, tuple[Courier, asyncio.Task[None]]] = {}
        self._unwritable: float | None = None

    def noticed(self, outcome: PollOutcome) -> None:
        """A poll has ended."""
        self._lookout.note_poll(outcome)
        if isinstance(outcome.error, StateUnwritable):
            self.state_failed(outcome.error)

    def config_read(self, error: WatcherError | None) -> None:
        """A config was read anew, with an error or well."""
        self._lookout.note_config(self._app.config.path, error)

    def state_failed(self, error: StateError) -> None:
        """Tell that the state file can't be written, without writing it down."""
        now, last = self._app.clock(), self._unwritable
        if last is not None and now - last < QUIET_ABOUT_STATE.total_seconds():
            return
        self._unwritable = now
        notice = _of_state(self._app, NoticeKind.BEGUN, str(error), error.hint or "")
        for notifier in self._app.config.audience.of(notice):
            if notifier.name in self._couriers:
                courier, _ = self._couriers[notifier.name]
                courier.send_directly(_message_of(notice, notifier))

    async def run(self) -> None:
        """Until it is cancelled."""
        looks = 0
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pinger.run(), name="ping")
            while True:
                self._employ(group)
                with suppress(StateError):  # said by whoever writes what matters
                    await self._look(looks)
                looks += 1
                await asyncio.sleep(LOOK)

    async def _look(self, looks: int) -> None:
        audience = self._app.config.audience
        is_survey = looks % LOOKS_BETWEEN_SURVEYS == 0
        if not audience.notifiers and not is_survey:
            return
        if audience.notifiers and (is_survey or self._lookout.has_news):
            await self._lookout.settle()
        await self._say_that_state_is_well()
        due = await self._app.store.run(lambda store: _due(store, audience, is_survey=is_survey))
        for name, asked in due.items():
            if name in self._couriers:
                self._couriers[name][0].wake(asked=asked)
        await _bury_orphans(self._app, due.keys() - self._couriers.keys())
        if looks % LOOKS_BETWEEN_CLEANINGS == 0:
            await self._app.store.run(_clean)

    async def _say_that_state_is_well(self) -> None:
        """That it can be written down is the proof."""
        if self._unwritable is None:
            return
        well = _of_state(self._app, NoticeKind.OVER, "", "")
        await self._app.store.run(lambda store: store.outbox.tell(well))
        self._unwritable = None

    def _employ(self, group: asyncio.TaskGroup) -> None:
        """A courier for each notifier as it is in the config now."""
        wanted = {notifier.name: notifier for notifier in self._app.config.notifiers}
        for name, (courier, task) in list(self._couriers.items()):
            if wanted.get(name) != courier.notifier:
                task.cancel()
                del self._couriers[name]
        for name in wanted.keys() - self._couriers.keys():
            courier = courier_of(self._app, wanted[name])
            task = group.create_task(courier.work(), name=f"notify {name}")
            self._couriers[name] = (courier, task)


async def announce(app: App, outcomes: Iterable[PollOutcome], *, is_complete: bool) -> None:
    """At the end of a pass: tell what it found, within a minute, and ping if all was polled. What
    could not be sent is sent by the next one."""
    audience = app.config.audience
    polls = list(outcomes)
    if audience.notifiers:
        lookout = Lookout(app, is_daemon=False)
        for outcome in polls:
            lookout.note_poll(outcome)
        lookout.note_config(app.config.path, None)
        await lookout.settle()
    due = await app.store.run(lambda store: _fill(store, audience, gather=False))
    names = {notifier.name for notifier in audience.notifiers}
    await _bury_orphans(app, due.keys() - names)
    if due.keys() & names:
        await _deliver_all(app)
        await app.store.run(_clean)
    if app.config.ping is not None and is_complete:
        await Pinger(app, Lookout(app, is_daemon=False)).ping(app.config.ping)


async def _deliver_all(app: App) -> None:
    couriers = [courier_of(app, notifier) for notifier in app.config.notifiers]
    try:
        async with asyncio.timeout(LONGEST_END):
            await asyncio.gather(*(courier.deliver() for courier in couriers))
    except TimeoutError:
        app.log.warning(Event.NOTIFICATION_FAILED, error="the rest is sent by the next pass")


def courier_of(app: App, notifier: Notifier) -> Courier:
    from watcher.daemon.courier import Courier
    from watcher.http_client import Connections, HttpSettings
    from watcher.notifiers import sender_of

    sender = sender_of(notifier, app.environment, Connections(HttpSettings()).client)
    return Courier(notifier, sender, app.store, log=app.log, clock=app.clock)


async def _bury_orphans(app: App, names: Collection[str]) -> None:
    """Give up what waits for notifiers that are no longer in the config."""
    if not names:
        return
    known = [notifier.name for notifier in app.config.notifiers]
    await app.store.run(lambda store: store.outbox.bury_orphans(known))
    for name in sorted(names):
        app.log.error(
            Event.NOTIFICATION_DEAD,
            notifier=name,
            error="no notifier of this name is in the config",
            hint="`watcher notify ls --dead` lists what it was not told",
        )


def _fill(store: Store, audience: Audience, *, gather: bool = True) -> dict[str, bool]:
    """Who has something to send now."""
    store.outbox.fill(audience, gather=gather)
    return store.outbox.due()


def _due(store: Store, audience: Audience, *, is_survey: bool) -> dict[str, bool]:
    """The same; reminders, which are looked for among all that lasts, now and then."""
    if is_survey or store.any_notice():
        return _fill(store, audience)
    return store.outbox.due()


def _clean(store: Store) -> None:
    store.outbox.forget_sent(datetime.now(UTC) - KEPT)


def _of_state(app: App, kind: NoticeKind, detail: str, hint: str) -> Notice:
    state = str(app.config.state)
    over = kind is NoticeKind.OVER
    return Notice(
        event=NoticeEvent.STATE_FAILED,
        kind=kind,
        subject=state,
        text=f"{state} can be written again" if over else f"{state} can't be written",
        detail="\n".join(filter(None, (detail, hint))),
        time=app.clock(),
    )


def _message_of(notice: Notice, notifier: Notifier) -> Message:
    return Message(
        id=0,
        key=secrets.token_hex(12),
        notifier=notifier.name,
        event=notice.event,
        kind=notice.kind,
        items=(notice.item(),),
        count=1,
        created=notice.time,
    )

"""What the daemon offers its HTTP side: the other end of `web.port`'s protocols, for one App.

What is looked at comes from memory where the daemon has it, else from the state file; what is asked
for is written there before the answer, and taken over at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from watcher.config.lookup import canonical, find_account, find_trigger
from watcher.core.account import Account
from watcher.core.message import MessageStatus
from watcher.core.pipeline import ExecutionStatus
from watcher.core.poll import RepositoryStatus
from watcher.core.verdict import NOT_EVENTS, Verdict
from watcher.daemon.app import App, Member
from watcher.engine import by_hand, firing
from watcher.engine.firing import Wish
from watcher.engine.watch import AccountWatch
from watcher.errors import StateError, UnknownName, UsageError
from watcher.store.sqlite import Store
from watcher.views.deliveries import delivery_json
from watcher.views.executions import execution_json
from watcher.views.hosts import HostFacts, hosts_json
from watcher.views.messages import message_json
from watcher.views.rejections import rejection_json
from watcher.views.repositories import RepositoryRows
from watcher.views.triggers import trigger_json

Shape = dict[str, Any]
Result = TypeVar("Result")

_EVENTS = tuple(verdict.value for verdict in Verdict if verdict not in NOT_EVENTS)
_AT_ONCE = 200
"""Repositories that are looked at before the event loop gets its turn: 10 000 take long."""


class Desk:
    """Answers what requests ask of this App."""

    def __init__(
        self,
        app: App,
        watches: Mapping[str, AccountWatch],
        take_over: Callable[[], Awaitable[None]],
        fall_behind: Callable[[], None],
    ) -> None:
        """`take_over` makes the daemon see what was written to the state file by itself;
        `fall_behind` is called where that has to be done later."""
        self._app = app
        self._watches = watches
        self._take_over = take_over
        self._fall_behind = fall_behind

    # Looking

    async def status(
        self, limit: int, account: str | None, repository: str | None, states: Collection[str]
    ) -> list[Shape]:
        if account is not None:
            repository = canonical(self._app.config, account, repository)
        found: list[Shape] = []
        for member in list(self._app.members.values()):
            if account in (None, member.account.name):
                await self._add_rows(found, member, limit, repository, states)
        return found

    async def _add_rows(
        self,
        found: list[Shape],
        member: Member,
        limit: int,
        repository: str | None,
        states: Collection[str],
    ) -> None:
        app = self._app
        blocked = app.hosts.parking.blocked()
        rows = RepositoryRows(member.account, blocked, app.clock(), attended=True)
        for number, name in enumerate(member.repositories.names, 1):
            if len(found) == limit:
                return
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if repository in (None, name):
                row = rows.row(app.board.get(member.account.name, name))
                if not states or row["state"] in states:
                    found.append(row)

    async def hosts(self, account: str | None) -> list[Shape]:
        app = self._app
        accounts = app.config.accounts
        if account is not None:
            accounts = (find_account(app.config, account),)
        hosts = app.hosts
        known = HostFacts(hosts.parking.blocked(), hosts.recognised(), hosts.quotas())
        return list(hosts_json(accounts, known, app.clock()))

    async def activity(
        self, limit: int, account: str | None, repository: str | None
    ) -> list[Shape]:
        if account is not None:
            repository = canonical(self._app.config, account, repository)
        return await self._read(lambda store: store.activity(limit, account, repository))

    async def deliveries(
        self, limit: int, account: str | None, repository: str | None
    ) -> list[Shape]:
        if account is not None:
            repository = canonical(self._app.config, account, repository)
        found = await self._read(lambda store: store.deliveries.listed(limit, account, repository))
        return [delivery_json(each) for each in found]

    async def executions(self, limit: int, status: str | None, pipeline: str | None) -> list[Shape]:
        wanted = ExecutionStatus(status) if status else None
        found = await self._read(lambda store: store.executions(limit, wanted, pipeline))
        return [execution_json(run) for run in found]

    async def execution(self, identifier: str) -> Shape:
        found = await self._read(lambda store: by_hand.find_execution(store, identifier))
        return execution_json(found, with_logs=True)

    async def events(self, limit: int, outcome: str | None) -> list[Shape]:
        outcomes = (outcome,) if outcome else _EVENTS
        return await self._read(lambda store: store.latest_events(limit, outcomes))

    async def rejections(self, pipeline: str | None) -> list[Shape]:
        found = await self._read(lambda store: store.rejections(pipeline))
        return [rejection_json(each) for each in found]

    async def messages(self, limit: int, status: str | None) -> list[Shape]:
        wanted = MessageStatus(status) if status else None
        found = await self._read(lambda store: store.outbox.messages(wanted, limit))
        return [message_json(message) for message in found]

    async def triggers(self) -> list[Shape]:
        rules = self._app.rules
        return [trigger_json(each, enabled=each.name in rules.enabled) for each in rules.triggers]

    # Acting

    async def poll(self, account: str | None, repository: str | None) -> Shape:
        if account is not None:
            repository = canonical(self._app.config, account, repository)
        places = [
            (owner.name, status.repository)
            for owner, status in self._watched()
            if account in (None, owner.name) and repository in (None, status.repository)
        ]
        if repository is not None and not places:
            raise UnknownName(
                f"{repository!r} is not watched", hint="`watcher status` lists what is watched"
            )
        queued = [place for place in places if place[0] in self._watches]
        for owner_name, place in queued:
            self._watches[owner_name].nudge(place)
        return {"queued": len(queued)}

    async def switch(self, trigger: str, *, enabled: bool) -> Shape:
        name = find_trigger(self._app.config, trigger).name
        await self._write(lambda store: store.set_enabled(name, enabled))
        return {"trigger": name, "enabled": enabled}

    async def fire(
        self,
        trigger: str,
        *,
        tag: str,
        repository: str | None,
        parameters: Mapping[str, str],
        force: bool,
        person: str,
    ) -> Shape:
        config, now = self._app.config, self._now()
        wish = Wish(
            trigger=trigger,
            tag=tag,
            person=person,
            repository=repository,
            parameters=parameters,
            force=force,
        )

        def submit(store: Store) -> Shape:
            planned = firing.plan(config, store, wish, now=now)
            store.submit(planned.run)
            run = by_hand.find_execution(store, planned.run.id)
            return {"execution": execution_json(run), "warnings": list(planned.warnings)}

        return await self._write(submit)

    async def cancel(self, identifier: str) -> Shape:
        return execution_json(await self._write(lambda s: by_hand.cancel(s, identifier)))

    async def retry(self, identifier: str) -> Shape:
        return execution_json(await self._write(lambda s: by_hand.retry(s, identifier)))

    async def decide(self, identifier: str, *, approved: bool, person: str) -> Shape:
        run = await self._write(
            lambda s: by_hand.decide(s, identifier, approved=approved, person=person)
        )
        return execution_json(run)

    async def release(self, event: int) -> Shape:
        triggers = self._app.config.triggers
        released = await self._write(lambda s: by_hand.release(s, str(event), triggers))
        if not released.runs:
            reasons = [str(each["reason"]) for each in released.rejected] or ["it ran already"]
            raise UsageError(f"event {event} is not released: {reasons[0]}")
        return execution_json(released.runs[0])

    async def drop(self, event: int) -> Shape:
        return {"dropped": list(await self._write(lambda s: by_hand.drop(s, str(event))))}

    async def replay(self, event: int) -> Shape:
        return execution_json(await self._write(lambda s: by_hand.replay(s, event)))

    async def clear(self, number: int) -> Shape:
        return {"cleared": [await self._write(lambda s: by_hand.clear(s, number))]}

    async def retry_message(self, number: int) -> Shape:
        return {"retried": await self._write(lambda s: by_hand.send_again(s, [number]))}

    async def drop_message(self, number: int) -> Shape:
        return {"dropped": await self._write(lambda s: by_hand.forget(s, [number]))}

    # How

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._app.clock(), UTC)

    async def _read(self, function: Callable[[Store], Result]) -> Result:
        return await self._app.store.run(function)

    async def _write(self, function: Callable[[Store], Result]) -> Result:
        """What is written holds, whether or not the daemon can look at it at once. A request that
        is given up leaves its transaction to end as it will."""
        try:
            result = await self._app.store.run(function)
            await self._look_at_it()
        except asyncio.CancelledError:
            self._fall_behind()
            raise
        return result

    async def _look_at_it(self) -> None:
        try:
            await self._take_over()
        except StateError:
            self._fall_behind()

    def _watched(self) -> Iterator[tuple[Account, RepositoryStatus]]:
        for member in list(self._app.members.values()):
            for repository in member.repositories.names:
                yield member.account, self._app.board.get(member.account.name, repository)

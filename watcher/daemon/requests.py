"""Serves what the command line asks of a running daemon through the state file: polls, baselines,
and what only its config tells while the one on disk is refused.

Everything else that a command changes is a transaction of its own on the state file; only the
holder of the lock may ask a registry. A look costs no write and, when nobody wrote, no read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from watcher.core.health import HealthReport
from watcher.daemon.app import App
from watcher.daemon.desk import Desk
from watcher.daemon.once import Selection
from watcher.engine.poll_outcome import PollOutcome, Purpose
from watcher.engine.watch import AccountWatch
from watcher.errors import UsageError
from watcher.registry.budgets.limits import Priority
from watcher.telemetry.events import Event

Place = tuple[str, str]

UNANSWERED = {
    "error": "the daemon that was asked for a baseline has ended, and may not have made it",
    "hint": "ask again: what was pushed since then would be taken as seen, too",
}


@dataclass(slots=True)
class _Open:
    """A request whose polls are under way."""

    identifier: int
    missing: set[Place]
    outcomes: list[PollOutcome] = field(default_factory=list)


class RequestDesk:
    """Takes requests from the state file and answers there."""

    def __init__(
        self,
        app: App,
        watches: Mapping[str, AccountWatch],
        desk: Desk,
        health: Callable[[], HealthReport],
    ) -> None:
        """`desk` and `health` tell what is only looked at."""
        self._app = app
        self._watches = watches
        self._desk = desk
        self._health = health
        self._version: int | None = None
        self._open: list[_Open] = []
        self._earlier: frozenset[int] = frozenset()

    async def begin(self) -> None:
        """Before the first look: learn what an earlier process was asked. That may be long ago,
        and what a baseline takes as seen never fires. Raises StateError."""
        pending = await self._app.store.run(lambda store: store.pending_requests())
        self._earlier = frozenset(request.id for request in pending)

    async def look(self) -> bool:
        """Serve new requests; True when another process wrote since the last look. Raises
        StateError; then all of it is seen again by the next look."""
        await self._give_answers()
        version = await self._app.store.run(lambda store: store.data_version())
        if version == self._version:
            return False
        self._version = None
        taken = {request.identifier for request in self._open}
        left = False
        for request in await self._app.store.run(lambda store: store.pending_requests()):
            if request.id not in taken:
                left |= not await self._serve(request.id, request.kind, request.payload)
        if not left:
            self._version = version
        return True

    def look_again(self) -> None:
        """What the last look saw was not carried out: the next one sees it once more."""
        self._version = None

    def noticed(self, outcome: PollOutcome) -> None:
        """A poll ended; whoever asked for it is a step nearer to the answer."""
        place = (outcome.account, outcome.repository)
        for request in self._open:
            if place in request.missing:
                request.missing.discard(place)
                request.outcomes.append(outcome)

    async def _give_answers(self) -> None:
        """Answer what is complete; what a reload took away is not waited for."""
        for request in list(self._open):
            request.missing = {place for place in request.missing if self._is_watched(place)}
            if not request.missing:
                await self._finish(request.identifier, answer(request.outcomes))
                self._open.remove(request)

    def _is_watched(self, place: Place) -> bool:
        watch = self._watches.get(place[0])
        return watch is not None and watch.repositories.has(place[1])

    async def _serve(self, identifier: int, kind: str, payload: Mapping[str, Any]) -> bool:
        """False when it has to be served later, because a reload is under way."""
        if kind == "baseline" and identifier in self._earlier:
            await self._finish(identifier, UNANSWERED)
            return True
        try:
            if kind not in ("poll", "baseline"):
                await self._finish(identifier, {"rows": await self._shown(kind, payload)})
                return True
            places = self._places(payload)
        except UsageError as error:
            await self._finish(identifier, {"error": str(error), "hint": error.hint})
            return True
        if not all(account in self._watches for account, _ in places):
            return False
        self._app.log.info(Event.REQUEST_SERVED, request=identifier, kind=kind, **payload)
        if kind == "poll":
            self._open.append(_Open(identifier, set(places)))
            for account, repository in places:
                self._watches[account].nudge(repository)
        else:
            await self._finish(identifier, answer(await self._fast_forward(places)))
        return True

    async def _shown(self, kind: str, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
        """As the API has it; raises UsageError."""
        match kind:
            case "status":
                place = (payload.get("account"), payload.get("repository"))
                return await self._desk.status(sys.maxsize, *place, states=())
            case "hosts":
                return await self._desk.hosts(payload.get("account"))
            case "triggers":
                return await self._desk.triggers()
            case "health":
                return [asdict(complaint) for complaint in self._health().complaints]
        raise UsageError(f"this daemon does not know what {kind!r} is")

    def _places(self, payload: Mapping[str, Any]) -> list[Place]:
        """The repositories that are meant; raises UsageError."""
        selection = Selection(payload.get("account"), payload.get("repository"))
        selection.check(self._app.config)
        return [
            (member.account.name, name)
            for member in self._app.members.values()
            if selection.takes(member)
            for name in selection.names(member)
        ]

    async def _fast_forward(self, places: list[Place]) -> list[PollOutcome]:
        """One after another; a reload may take an account away meanwhile."""
        return [
            await member.poller.poll(repository, Purpose.FAST_FORWARD, Priority.URGENT)
            for account, repository in places
            if (member := self._app.members.get(account)) is not None
        ]

    async def _finish(self, identifier: int, result: Mapping[str, Any]) -> None:
        await self._app.store.run(lambda store: store.finish_request(identifier, dict(result)))


def answer(outcomes: list[PollOutcome]) -> dict[str, Any]:
    """What the asking command is told of the polls."""
    return {
        "polls": [
            {
                "account": outcome.account,
                "repository": outcome.repository,
                "result": outcome.result.value,
                "tags": outcome.tags,
                "changes": len(outcome.changes),
                "executions": list(outcome.executions),
                "error": str(outcome.error) if outcome.error else None,
                "hint": outcome.hint,
            }
            for outcome in outcomes
        ]
    }

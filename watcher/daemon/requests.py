"""Serves what the command line asks of a running daemon through the state file: polls, baselines.

Everything else that a command changes is a transaction of its own on the state file; only the
holder of the lock may ask a registry. A look costs no write and, when nobody wrote, no read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from watcher.daemon.app import App
from watcher.daemon.once import Selection
from watcher.engine.poller import PollOutcome, Purpose
from watcher.engine.watch import AccountWatch
from watcher.errors import UsageError
from watcher.telemetry.events import Event

Place = tuple[str, str]


@dataclass(slots=True)
class _Open:
    """A request whose polls are under way."""

    identifier: int
    missing: set[Place]
    outcomes: list[PollOutcome] = field(default_factory=list)


class RequestDesk:
    """Takes requests from the state file and answers there."""

    def __init__(self, app: App, watches: Mapping[str, AccountWatch]) -> None:
        self._app = app
        self._watches = watches
        self._version: int | None = None
        self._open: list[_Open] = []

    async def look(self) -> bool:
        """Serve new requests; True when another process wrote since the last look."""
        for answered in self._take_answers():
            await self._finish(answered.identifier, answer(answered.outcomes))
        version = await self._app.store.run(lambda store: store.data_version())
        if version == self._version:
            return False
        self._version = version
        taken = {request.identifier for request in self._open}
        for request in await self._app.store.run(lambda store: store.pending_requests()):
            if request.id not in taken:
                await self._serve(request.id, request.kind, request.payload)
        return True

    def noticed(self, outcome: PollOutcome) -> None:
        """A poll ended; whoever asked for it is a step nearer to the answer."""
        place = (outcome.account, outcome.repository)
        for request in self._open:
            if place in request.missing:
                request.missing.discard(place)
                request.outcomes.append(outcome)

    def _take_answers(self) -> list[_Open]:
        ready = [request for request in self._open if not request.missing]
        self._open = [request for request in self._open if request.missing]
        return ready

    async def _serve(self, identifier: int, kind: str, payload: Mapping[str, Any]) -> None:
        self._app.log.info(Event.REQUEST_SERVED, request=identifier, kind=kind, **payload)
        selection = Selection(payload.get("account"), payload.get("repository"))
        try:
            selection.check(self._app.config)
            places = [
                (member.account.name, name)
                for member in self._app.members.values()
                if selection.takes(member)
                for name in selection.names(member)
            ]
        except UsageError as error:
            await self._finish(identifier, {"error": str(error), "hint": error.hint})
            return
        if kind == "poll":
            self._open.append(_Open(identifier, set(places)))
            for account, repository in places:
                self._watches[account].nudge(repository)
        else:
            await self._finish(identifier, answer(await self._fast_forward(places)))

    async def _fast_forward(self, places: list[Place]) -> list[PollOutcome]:
        return [
            await self._app.members[account].poller.poll(repository, Purpose.FAST_FORWARD)
            for account, repository in places
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
            }
            for outcome in outcomes
        ]
    }

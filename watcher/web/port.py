"""What the HTTP side asks of the daemon. The daemon implements it (`daemon/desk.py`), so that `web`
knows neither its parts nor the state file.

What comes back is JSON as `views` shapes it. Whatever names something that does not exist raises
UnknownName; what may not be now, UsageError; a state file that can't be used, StateError.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping
from typing import Any, Protocol

from watcher.core.health import HealthReport

Shape = dict[str, Any]


class Health(Protocol):
    """How the daemon fares."""

    def health(self) -> HealthReport:
        """As it is now; asked at most once a second, however many ask the HTTP side."""
        ...


class Views(Protocol):
    """What can be looked at. Every `limit` is at least 1; the newest come first."""

    async def status(
        self, limit: int, account: str | None, repository: str | None, states: Collection[str]
    ) -> list[Shape]:
        """Watched repositories, as `watcher status --json`; in the order of the config, and where
        `states` are given only those that fare so."""
        ...

    async def hosts(self, account: str | None) -> list[Shape]:
        """Registries, as `watcher status --hosts --json`."""
        ...

    async def activity(
        self, limit: int, account: str | None, repository: str | None
    ) -> list[Shape]:
        """What was seen and what became of it, as `watcher activity --json`."""
        ...

    async def deliveries(
        self, limit: int, account: str | None, repository: str | None
    ) -> list[Shape]:
        """Webhooks that came, as `watcher activity --deliveries --json`."""
        ...

    async def executions(self, limit: int, status: str | None, pipeline: str | None) -> list[Shape]:
        """Runs without logs, as `watcher executions --json`."""
        ...

    async def execution(self, identifier: str) -> Shape:
        """One run with the logs of its stages."""
        ...

    async def events(self, limit: int, outcome: str | None) -> list[Shape]:
        """Changes that matched a trigger, as `watcher events ls --json`."""
        ...

    async def rejections(self, pipeline: str | None) -> list[Shape]:
        """Images that rollbacks took out of a pipeline; the oldest first."""
        ...

    async def messages(self, limit: int, status: str | None) -> list[Shape]:
        """Messages to notifiers, as `watcher notify ls --json`."""
        ...

    async def triggers(self) -> list[Shape]:
        """Triggers with what they watch, and whether they are switched on."""
        ...


class Actions(Protocol):
    """What can be asked for. Each is done, or durably queued, when it returns."""

    async def poll(self, account: str | None, repository: str | None) -> Shape:
        """Poll now: everything, an account, or one repository; how many were queued. The queue
        is the daemon's own: a restart polls anew in any case."""
        ...

    async def switch(self, trigger: str, *, enabled: bool) -> Shape:
        """Switch a trigger; that outlives a restart."""
        ...

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
        """Queue a run by hand, as `watcher trigger` does; the run, and what to know about it."""
        ...

    async def cancel(self, identifier: str) -> Shape:
        """End a run; the run, which a stage under way may keep RUNNING for a moment."""
        ...

    async def retry(self, identifier: str) -> Shape:
        """Queue a failed or canceled run again from the stage where it ended; the run."""
        ...

    async def decide(self, identifier: str, *, approved: bool, person: str) -> Shape:
        """Approve or reject the stage that waits for a person; the run."""
        ...

    async def release(self, event: int) -> Shape:
        """Queue the run of a held event; the run."""
        ...

    async def drop(self, event: int) -> Shape:
        """Let a held event go."""
        ...

    async def replay(self, event: int) -> Shape:
        """Queue the run of an old event once more; the new run."""
        ...

    async def clear(self, number: int) -> Shape:
        """Let an image go again that a rollback rejected."""
        ...

    async def retry_message(self, number: int) -> Shape:
        """Send a message again that was given up, or that waits."""
        ...

    async def drop_message(self, number: int) -> Shape:
        """Forget a message that waits or was given up."""
        ...


class Desk(Views, Actions, Protocol):
    """All that the API is made for."""


class Exposition(Protocol):
    """What `/metrics` says: the body and its content type."""

    def __call__(self, *, openmetrics: bool) -> Awaitable[tuple[bytes, str]]:
        """In Prometheus' text format, or in OpenMetrics where the scraper takes that."""
        ...

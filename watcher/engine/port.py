"""The seam behind which executions run: what any engine promises (field of SPEC 6).

The embedded one is `runner.EmbeddedRunner`. tests/contract holds every engine to the same words: a
submitted key runs once, a completed stage never runs again, a stage in flight at a crash does, the
first decision stands, a cancellation reaches the stage, the oldest of a pipeline goes first.
"""

from __future__ import annotations

from typing import Protocol

from watcher.core.pipeline import Execution, ExecutionStatus, NewExecution


class Runner(Protocol):
    """Runs executions. Every method may raise StateError."""

    async def submit(self, new: NewExecution, parent: str | None = None) -> bool:
        """Queue a run, durably; False when its key was used before. `parent` started it."""
        ...

    async def decide(self, identifier: str, index: int, *, approved: bool, person: str) -> bool:
        """A person's word about the stage at `index`, which may not be reached yet; True when it
        is the first word, for only that counts."""
        ...

    async def cancel(self, identifier: str) -> bool:
        """No further stage starts, the one under way is cancelled; False when it has ended."""
        ...

    async def retry(self, identifier: str) -> bool:
        """Go on with a failed or canceled run at the stage that ended it; False for any other."""
        ...

    async def get(self, identifier: str) -> Execution | None:
        """The run with this id, or with an id that begins so; raises UsageError for several."""
        ...

    async def list(
        self,
        limit: int | None = 50,
        status: ExecutionStatus | None = None,
        pipeline: str | None = None,
    ) -> list[Execution]:
        """Newest first, without the stages' logs."""
        ...

    def wake(self) -> None:
        """Look now whether there is work: somebody else wrote some into the state."""
        ...

    async def run(self, *, until_idle: bool = False) -> None:
        """Work until `close`; with `until_idle` also until every run has ended or waits for a
        person."""
        ...

    async def close(self) -> None:
        """Start nothing more, let stages under way end within a grace time, then cancel them and
        leave them to be resumed."""
        ...

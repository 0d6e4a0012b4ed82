"""What every stage is given and what it must offer: the seam between the runner and the stages.

A stage is a value without state of its own: all it knows comes with the context, so that any
engine can run it, in any process, again after a crash (SPEC 6.2). Imports nothing heavy; the
runner and every stage module import it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from watcher.core.pipeline import Execution, Json, StageOutcome, StageSpec

if TYPE_CHECKING:
    import httpx

    from watcher.config.fields import Kind
    from watcher.core.account import Account, Credential
    from watcher.core.cluster import Cluster
    from watcher.core.deployment import Bundle, Rejection
    from watcher.kube.client import ClusterClient
    from watcher.render.expressions import Guard

LOG_LIMIT = 64 * 1024


class ImageFacts(Protocol):
    """What a registry must be asked about the run's image. Each fact is asked for once per run:
    the same answer comes back to every stage (SPEC 4). Both raise RegistryError or
    CredentialError, and StageError when the run has no image."""

    async def digest(self) -> str: ...

    async def labels(self) -> Mapping[str, str]: ...


class Children(Protocol):
    """Runs that a stage starts."""

    async def submit(self, pipeline: str, parameters: Mapping[str, Json], key: str) -> str:
        """Queue a run of `pipeline` whose `trigger` is the parent's; its id.

        The same `key` never queues twice and gives the same id. Raises StageError when the
        pipeline is unknown or a required parameter is missing.
        """
        ...

    async def execution(self, identifier: str) -> Execution | None:
        """The run with that id as it stands now."""
        ...


class Clusters(Protocol):
    """The Kubernetes clusters of the config."""

    def settings(self, name: str | None) -> Cluster:
        """What the config says of a cluster; without a name the only one, or the default.

        Raises StageError when there is none of that name, or several and no name.
        """
        ...

    async def client(self, name: str | None) -> ClusterClient:
        """The connection to a cluster, made when it is first needed and shared by all runs.
        Raises StageError as `settings` does, and ClusterError when it can't be configured."""
        ...


class Deployments(Protocol):
    """What earlier runs of this run's pipeline left behind, for the stage that asks."""

    async def last_good(self) -> Bundle | None:
        """What the last other run of this pipeline and stage applied that went well."""
        ...

    async def propose(self, bundle: Bundle) -> None:
        """Remember what this run applies. It becomes the last good one when the run has ended,
        unless the stage failed or was undone."""
        ...

    async def reject(self, digest: str | None, reason: str) -> None:
        """Fire this digest (else the run's tag) no more for this pipeline (SPEC 6.4)."""
        ...

    async def rejected(self, digest: str | None) -> Rejection | None:
        """Why the digest (else the run's tag) must not be deployed by this pipeline, if so. What
        a person asked for, by hand or by a retry, is never kept out."""
        ...


class Accounts(Protocol):
    """The credentials of the config's accounts, for stages that hand one on."""

    async def credential(self, name: str) -> tuple[Account, Credential]:
        """Asked for anew. Raises StageError for an unknown name, CredentialError."""
        ...


class Stage(Protocol):
    """One type of stage. `options` is the schema of its value in the config."""

    @property
    def type(self) -> str: ...

    @property
    def options(self) -> Kind: ...

    @property
    def has_dry_run(self) -> bool:
        """Whether it knows to change nothing when its pipeline is a dry run; others are skipped."""
        ...

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        """Do the work, or a part of it.

        `options` is the value from the config, validated but not rendered. It may be called again
        for the same stage: after a Retry, after a Waiting, and after a crash. A WatcherError that
        it raises means Retry when it is temporary, else Failed. Cancellation is its time-out: it
        must leave nothing running.
        """
        ...


@runtime_checkable
class Undoable(Stage, Protocol):
    """A stage whose work can be taken back (`on_failure: rollback`)."""

    async def undo(self, options: Json, context: StageContext) -> StageOutcome:
        """Put back what was there before `run`; called only when the stage's memory holds what
        undoing needs, after a crash once more. Done ends it well, and a log line says what was
        put back; Skipped says why nothing was. Everything else is a rollback that failed, a Retry
        is tried again first."""
        ...


@dataclass(slots=True)
class StageMemory:
    """What a stage must still know after a crash; each word is kept in the state file at once.

    `resumed` is handed to the stage's next start and forgotten at its end. `undo` is what taking
    its work back needs; it outlives the stage, until the run has ended well.
    """

    resumed: Json = None
    undo: Json = None
    save: Callable[[StageMemory], Awaitable[None]] | None = None

    async def keep(self, *, resumed: Json) -> None:
        self.resumed = resumed
        await self._save()

    async def keep_undo(self, undo: Json) -> None:
        self.undo = undo
        await self._save()

    async def _save(self) -> None:
        if self.save is not None:
            await self.save(self)


@dataclass(slots=True)
class StageLog:
    """The last 64 KiB that a stage said. `written` counts the bytes ever added, so that whoever
    saves the text while the stage runs can see cheaply that there is more."""

    written: int = 0
    _kept: bytearray = field(default_factory=bytearray)

    @staticmethod
    def of(text: str) -> StageLog:
        """A log that goes on after `text`, as kept from an earlier attempt."""
        log = StageLog()
        log.write(text)
        return log

    def write(self, text: str) -> None:
        data = text.encode(errors="replace")
        self.written += len(data)
        self._kept += data
        if len(self._kept) > LOG_LIMIT:
            del self._kept[: len(self._kept) - LOG_LIMIT]

    def line(self, text: str) -> None:
        self.write(f"{text}\n")

    @property
    def text(self) -> str:
        """What is kept; a character that the cut split is left out."""
        return self._kept.decode(errors="ignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """Everything that one run of one stage may use.

    `outputs` holds what earlier stages gave, by stage name. `attempt` counts from 1. `memory` is
    what the stage kept at an earlier start, or as the state of a Waiting. `now` gives aware UTC,
    `monotonic` seconds of a clock that nobody sets, which says how long something took.
    `secret_variables` name variables of the environment that hold passwords: no child sees them.
    """

    execution: Execution
    spec: StageSpec
    index: int
    attempt: int
    outputs: Mapping[str, Json]
    log: StageLog
    image: ImageFacts
    children: Children
    http: Callable[[], AbstractAsyncContextManager[httpx.AsyncClient]]
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    clusters: Clusters
    deployments: Deployments
    accounts: Accounts
    memory: StageMemory = field(default_factory=StageMemory)
    secret_variables: frozenset[str] = frozenset()

    @property
    def resumed(self) -> Json:
        """The state that the stage kept for itself, None at its first run."""
        return self.memory.resumed

    @property
    def waited_until(self) -> datetime | None:
        """The end of its Waiting, by the clock as it was set since; None at its first run."""
        return self.execution.stages[self.index].wake

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this stage of this run (SPEC 6.2)."""
        return f"{self.execution.id}/{self.spec.name}"

    async def rendered(self, tree: Json, *, guard: Guard | None = None) -> Json:
        """Plain data with every `${...}` in it replaced. Raises RenderError, RegistryError.

        `guard` is shown each value that goes into a text and may raise RenderError.
        """
        from watcher.render.expressions import facts_needed, render

        return render(tree, await self.scope(facts_needed(tree)), guard=guard)

    async def holds(self, condition: str) -> bool:
        """Whether an `if` is true. Raises RenderError, RegistryError."""
        from watcher.render.expressions import condition_facts, holds

        return holds(condition, await self.scope(condition_facts(condition)))

    async def scope(self, facts: frozenset[str]) -> dict[str, Json]:
        """The names of SPEC 4; the registry is asked for `facts` (of `render.scope.Fact`) only."""
        from watcher.render.scope import Fact, build_scope

        exists = self.execution.change != "deleted"
        return build_scope(
            self.execution,
            self.outputs,
            digest=await self.image.digest() if Fact.DIGEST in facts and exists else None,
            labels=await self.image.labels() if Fact.LABELS in facts and exists else None,
        )

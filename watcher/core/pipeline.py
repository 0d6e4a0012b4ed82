"""Pipelines and their executions: what a stage is, what it may answer, and what comes next.

A pipeline is copied into each execution (`to_json`), so that a running execution keeps the
pipeline it started with. `next_step` is pure: the runner and the tests ask the same function.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

Json = Any


class ConcurrencyPolicy(StrEnum):
    """What happens to a run when `max` others of its pipeline are under way (SPEC 3.3)."""

    QUEUE = "queue"
    NEWEST = "newest"
    SKIP = "skip"


class OnFailure(StrEnum):
    """What a failed stage does to its execution."""

    STOP = "stop"
    CONTINUE = "continue"
    ROLLBACK = "rollback"


class ExecutionStatus(StrEnum):
    """The words of `watcher executions` (SPEC 8)."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    SKIPPED = "SKIPPED"

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATUSES


FINAL_STATUSES = frozenset(
    {
        ExecutionStatus.SUCCEEDED,
        ExecutionStatus.FAILED,
        ExecutionStatus.CANCELED,
        ExecutionStatus.SKIPPED,
    }
)


WANT_A_PERSON = (ExecutionStatus.FAILED, ExecutionStatus.WAITING)
"""What is told where no statuses are named. Who cancels a run knows that it ended."""


class StageStatus(StrEnum):
    """Where one stage of an execution stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """One stage as configured. `options` is plain JSON data; paths in it are absolute."""

    name: str
    type: str
    options: Json
    condition: str | None = None
    timeout: timedelta = timedelta(minutes=10)
    attempts: int = 1
    backoff: timedelta = timedelta(seconds=10)
    on_failure: OnFailure = OnFailure.STOP

    def to_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "type": self.type,
            "options": self.options,
            "condition": self.condition,
            "timeout": self.timeout.total_seconds(),
            "attempts": self.attempts,
            "backoff": self.backoff.total_seconds(),
            "on_failure": self.on_failure.value,
        }

    @staticmethod
    def from_json(data: Mapping[str, Json]) -> StageSpec:
        return StageSpec(
            name=data["name"],
            type=data["type"],
            options=data["options"],
            condition=data["condition"],
            timeout=timedelta(seconds=data["timeout"]),
            attempts=data["attempts"],
            backoff=timedelta(seconds=data["backoff"]),
            on_failure=OnFailure(data["on_failure"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter that a pipeline takes."""

    default: Json = None
    required: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """How many runs of a pipeline go at once, and what the others do."""

    max: int = 1
    policy: ConcurrencyPolicy = ConcurrencyPolicy.QUEUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who is told of a pipeline's runs, and at which statuses; WAITING means: for a person."""

    notifier: str
    statuses: frozenset[ExecutionStatus] = frozenset(WANT_A_PERSON)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A named list of stages (SPEC 3.3). `timeout` is of the whole run, waits for people apart.
    With `dry_run` clusters are asked what would change, and nothing is changed anywhere. Who is
    told (`notify`) is a matter of the config as it is when a run ends, so no run keeps it."""

    name: str
    stages: tuple[StageSpec, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    concurrency: Concurrency = Concurrency()
    timeout: timedelta = timedelta(hours=1)
    dry_run: bool = False
    notify: tuple[Wish, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """The snapshot that an execution keeps; parameters are resolved by then."""
        return {
            "name": self.name,
            "stages": [stage.to_json() for stage in self.stages],
            "concurrency": {
                "max": self.concurrency.max,
                "policy": self.concurrency.policy.value,
            },
            "timeout": self.timeout.total_seconds(),
            "dry_run": self.dry_run,
        }

    @staticmethod
    def from_json(data: Mapping[str, Json]) -> Pipeline:
        return Pipeline(
            name=data["name"],
            stages=tuple(StageSpec.from_json(stage) for stage in data["stages"]),
            concurrency=Concurrency(
                max=data["concurrency"]["max"],
                policy=ConcurrencyPolicy(data["concurrency"]["policy"]),
            ),
            timeout=timedelta(seconds=data["timeout"]),
            dry_run=data.get("dry_run", False),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExecution:
    """An execution to be queued. `key` is unique for ever: (trigger, account, repository, tag,
    digest, change number) for a change, a random word for a run by hand (SPEC 6.1)."""

    key: str
    trigger: str | None
    pipeline: Pipeline
    account: str | None
    repository: str | None
    tag: str | None
    digest: str | None
    change: str | None
    created: datetime
    parameters: Mapping[str, Json]
    source: Mapping[str, Json]

    @property
    def id(self) -> str:
        """16 hexadecimal characters, the same for the same key."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What a person, or the time-out, decided about a stage that waits for a person."""

    approved: bool
    person: str
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """What the store knows of one stage of one execution. Times are aware, in UTC.

    `attempts` counts starts but for those after a wait; `starts` counts those since the last
    outcome, to stop a stage that kills its process. While the stage waits, `suspended` says since
    when, `wake` until when at most, and `resumed` is the state that it gets back. `deadline` is
    when its time-out ends the attempt.
    """

    index: int
    name: str
    type: str
    status: StageStatus = StageStatus.PENDING
    attempts: int = 0
    starts: int = 0
    started: datetime | None = None
    finished: datetime | None = None
    suspended: datetime | None = None
    wake: datetime | None = None
    deadline: datetime | None = None
    waiting_for: str | None = None
    resumed: Json = None
    error: str | None = None
    outputs: Json = None
    log: str = ""
    approval: Approval | None = None
    undo: Json = None
    undo_starts: int = 0
    undone: datetime | None = None
    undo_error: str | None = None
    undo_skipped: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One run of a pipeline as stored. `paused` is the time that does not count:
    spent in waiting for people, or jumped over by a clock that was set (negative: set back)."""

    id: str
    key: str
    trigger: str | None
    pipeline: Pipeline
    status: ExecutionStatus
    account: str | None
    repository: str | None
    tag: str | None
    digest: str | None
    change: str | None
    created: datetime
    started: datetime | None
    finished: datetime | None
    parameters: Mapping[str, Json]
    source: Mapping[str, Json]
    stages: tuple[StageRun, ...]
    cancel_requested: bool = False
    reason: str | None = None
    parent: str | None = None
    paused: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Done:
    """The stage did its work; `outputs` are `stages.NAME` for later stages."""

    outputs: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retry:
    """The stage failed in a way that may pass; its `retry` attempts decide."""

    reason: str
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The stage waits, as data: until a time, for another execution, or for a person.
    It runs again when the wait is over; `state` is handed back to it then. `until` is a moment, or
    how long from the answer on, which is right also where the clock is set just then."""

    until: datetime | timedelta | None
    waiting_for: str
    state: Json = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The stage failed for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The stage had nothing to do; why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """Something newer has taken the place of what this run wanted: the run ends here, as neither
    a success nor a failure."""

    reason: str


StageOutcome = Done | Retry | Waiting | Failed | Skipped | Superseded

"""What comes next in an execution, and what it looks like after that: pure, for any engine.

The runner asks `next_step`, does it, and stores what `begin`, `conclude` or `finish` return. A
crash between any two of these leaves an execution from which `next_step` goes on (SPEC 6.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from watcher.core.pipeline import (
    Done,
    Execution,
    ExecutionStatus,
    Failed,
    Json,
    OnFailure,
    Retry,
    Skipped,
    StageOutcome,
    StageRun,
    StageSpec,
    StageStatus,
    Superseded,
    Waiting,
)
from watcher.core.undoing import (
    KILLER,
    MOST_STARTS,
    ConcludeUndo,
    UndoStage,
    is_half_undone,
    next_undo,
    reason_of_failure,
    spec_of,
    with_stage,
)

FOR_PERSON = "person"
FOR_RETRY = "retry"
FOR_EXECUTION = "execution:"
BY_TIMEOUT = "timeout"
"""Who decides when nobody did in time."""

_ENDED = frozenset({StageStatus.SUCCEEDED, StageStatus.FAILED, StageStatus.SKIPPED})


@dataclass(frozen=True, slots=True)
class RunStage:
    """Run the stage at this index."""

    index: int


@dataclass(frozen=True, slots=True)
class Conclude:
    """The stage at this index ends without running: its outcome is known."""

    index: int
    outcome: StageOutcome


@dataclass(frozen=True, slots=True)
class Expire:
    """Nobody decided in time: decide by time-out, unless somebody does just now."""

    index: int


@dataclass(frozen=True, slots=True)
class Sleep:
    """Nothing to do before `until`, or before somebody wakes the execution."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Finish:
    """The execution ends."""

    status: ExecutionStatus
    reason: str | None = None


Step = RunStage | Conclude | UndoStage | ConcludeUndo | Expire | Sleep | Finish


def next_step(execution: Execution, now: datetime) -> Step:
    """What an execution that has begun needs next."""
    if execution.status.is_final:
        return Finish(execution.status, execution.reason)
    if execution.cancel_requested:
        return Finish(ExecutionStatus.CANCELED, _reason_of_cancel(execution))
    superseded = _superseded(execution)
    if superseded is not None:
        reason = f"stage {superseded.name}: {superseded.error}"
        return Finish(ExecutionStatus.SKIPPED, reason)
    failed = failed_stage(execution)
    if failed is not None:
        return _step_of_failure(execution, failed)
    stage = current_stage(execution)
    if stage is None:
        return Finish(ExecutionStatus.SUCCEEDED)
    if waits_for_person(stage):
        return _step_of_approval(stage, now)
    end = run_deadline(execution)
    if end is not None and now >= end:
        return _step_of_timeout(execution, stage)
    if stage.status is StageStatus.WAITING:
        return _step_of_wait(stage, spec_of(execution, stage), end, now)
    if stage.starts >= MOST_STARTS:
        return Conclude(stage.index, Failed(KILLER.format(stage.starts)))
    return RunStage(stage.index)


def begin(execution: Execution, index: int, now: datetime) -> Execution:
    """The execution with the stage at `index` started. After a wait it is the same attempt, and
    still knows until when it waited."""
    stage = execution.stages[index]
    resumes = stage.status is StageStatus.WAITING and stage.waiting_for != FOR_RETRY
    kept = stage.deadline if resumes and _counts(stage) else None
    started = replace(
        stage,
        status=StageStatus.RUNNING,
        attempts=stage.attempts if resumes else stage.attempts + 1,
        starts=stage.starts + 1,
        started=stage.started or now,
        finished=None,
        deadline=kept or now + spec_of(execution, stage).timeout,
        suspended=None,
        waiting_for=None,
        wake=None if stage.waiting_for == FOR_RETRY else stage.wake,
    )
    return replace(
        with_stage(execution, started),
        status=ExecutionStatus.RUNNING,
        started=execution.started or now,
    )


def conclude(
    execution: Execution, index: int, outcome: StageOutcome, now: datetime, log: str | None = None
) -> Execution:
    """The execution after the stage at `index` said how it went; `log` is all it said."""
    stage = execution.stages[index]
    if waits_for_person(stage) and stage.suspended is not None:
        waited = max(now - stage.suspended, timedelta())  # the clock may have been set back
        execution = replace(execution, paused=execution.paused + waited)
    if log is not None:
        stage = replace(stage, log=log)
    stage = replace(stage, starts=0, **_no_wait())
    spec = spec_of(execution, stage)
    match outcome:
        case Done(outputs):
            stage = _ended(stage, StageStatus.SUCCEEDED, None, now, dict(outputs))
        case Skipped(reason):
            stage = _ended(stage, StageStatus.SKIPPED, reason, now)
        case Failed(reason):
            stage = _ended(stage, StageStatus.FAILED, reason, now)
        case Superseded(reason):
            stage = _ended(stage, StageStatus.CANCELED, reason, now)
        case Retry(reason, _) if stage.attempts >= spec.attempts:
            stage = _ended(stage, StageStatus.FAILED, reason, now)
        case Retry(reason, after):
            wake = now + (spec.backoff if after is None else after)
            stage = replace(_suspended(stage, FOR_RETRY, wake, now), error=reason)
        case Waiting(until, waiting_for, state):
            moment = now + until if isinstance(until, timedelta) else until
            stage = replace(_suspended(stage, waiting_for, moment, now), resumed=state)
    execution = with_stage(execution, stage)
    waits = stage.status is StageStatus.WAITING
    return replace(execution, status=ExecutionStatus.WAITING if waits else ExecutionStatus.RUNNING)


def remember(execution: Execution, index: int, resumed: Json, undo: Json) -> Execution:
    """The execution with what the stage at `index` wants to know after a crash."""
    kept = replace(execution.stages[index], resumed=resumed, undo=undo)
    return with_stage(execution, kept)


def with_log(execution: Execution, index: int, log: str) -> Execution:
    """The execution with all that the stage at `index` has said."""
    return with_stage(execution, replace(execution.stages[index], log=log))


def finish(
    execution: Execution, status: ExecutionStatus, reason: str | None, now: datetime
) -> Execution:
    """The execution at its end; a stage that was under way ends with it."""
    stage = current_stage(execution)
    if stage is not None and stage.status in (StageStatus.RUNNING, StageStatus.WAITING):
        ended = StageStatus.CANCELED if status is ExecutionStatus.CANCELED else StageStatus.FAILED
        stage = _ended(replace(stage, **_no_wait()), ended, stage.error or reason, now)
        execution = with_stage(execution, stage)
    return replace(execution, status=status, reason=reason, finished=now)


def release(execution: Execution, index: int, log: str) -> Execution:
    """The execution whose stage was stopped with the process: it starts anew another time, and
    that stop says nothing against it."""
    stage = replace(execution.stages[index], status=StageStatus.PENDING, starts=0, log=log)
    return with_stage(execution, stage)


def current_stage(execution: Execution) -> StageRun | None:
    """The first stage that has not ended; None when all have."""
    return next((stage for stage in execution.stages if stage.status not in _ENDED), None)


def failed_stage(execution: Execution) -> StageRun | None:
    """The stage whose failure stops the run."""
    for stage in execution.stages:
        stops = spec_of(execution, stage).on_failure is not OnFailure.CONTINUE
        if stage.status is StageStatus.FAILED and stops:
            return stage
    return None


def waits_for_person(stage: StageRun) -> bool:
    """Whether it waits for a decision; that time doesn't count against the run (SPEC 3.3)."""
    return stage.status is StageStatus.WAITING and stage.waiting_for == FOR_PERSON


def outputs_of(execution: Execution) -> dict[str, Json]:
    """What the stages so far gave, by stage name: `stages.NAME` in expressions."""
    return {
        stage.name: stage.outputs
        for stage in execution.stages
        if stage.status is StageStatus.SUCCEEDED
    }


def run_deadline(execution: Execution) -> datetime | None:
    """When the whole run's time-out strikes; None before it begins."""
    if execution.started is None:
        return None
    return execution.started + execution.pipeline.timeout + execution.paused


def timed_out(limit: timedelta, what: str) -> str:
    """The reason in words."""
    return f"{what} took longer than its time-out of {limit.total_seconds():g} s"


def _step_of_approval(stage: StageRun, now: datetime) -> Step:
    if stage.approval is None:
        expired = stage.wake is not None and stage.wake <= now
        return Expire(stage.index) if expired else Sleep(stage.wake)
    approval = stage.approval
    if approval.approved:
        outputs = {"approved_by": approval.person, "approved": approval.time.isoformat()}
        return Conclude(stage.index, Done(outputs))
    if approval.person == BY_TIMEOUT:
        return Conclude(stage.index, Failed("nobody decided in time"))
    return Conclude(stage.index, Failed(f"rejected by {approval.person}"))


def _step_of_wait(stage: StageRun, spec: StageSpec, end: datetime | None, now: datetime) -> Step:
    if stage.wake is not None and stage.wake <= now:
        return RunStage(stage.index)
    if stage.suspended is not None and stage.suspended > now:
        return RunStage(stage.index)  # the clock was set back: how long it still waits is unknown
    deadline = stage.deadline if _counts(stage) else None
    if deadline is not None and deadline <= now:
        return Conclude(
            stage.index, Retry(timed_out(spec.timeout, f"waiting for {stage.waiting_for}"))
        )
    return Sleep(_earliest((stage.wake, deadline, end)))


def _counts(stage: StageRun) -> bool:
    """Whether the wait is part of the attempt's time: another run's work is, a clock's is not."""
    return stage.waiting_for is not None and stage.waiting_for.startswith(FOR_EXECUTION)


def _step_of_timeout(execution: Execution, stage: StageRun) -> Step:
    """The run's time is over; a stage that is to be rolled back fails for it."""
    reason = timed_out(execution.pipeline.timeout, "the run")
    if spec_of(execution, stage).on_failure is OnFailure.ROLLBACK:
        return Conclude(stage.index, Failed(reason))
    return Finish(ExecutionStatus.FAILED, reason)


def _step_of_failure(execution: Execution, failed: StageRun) -> Step:
    """Take back what was done, where the failed stage asks for it; then end."""
    undo = next_undo(execution, failed)
    return undo or Finish(ExecutionStatus.FAILED, reason_of_failure(execution, failed))


def _reason_of_cancel(execution: Execution) -> str:
    """What stages have changed and nobody takes back is named: a cancellation is no failure."""
    if any(is_half_undone(stage) for stage in execution.stages):
        return "canceled on request, in the middle of a rollback"
    stage = current_stage(execution)
    if stage is None or stage.undo is None or stage.undone is not None:
        return "canceled on request"
    return f"canceled on request; stage {stage.name} may have changed something: see its log"


def _superseded(execution: Execution) -> StageRun | None:
    """The stage that found something newer in its place."""
    return next((s for s in execution.stages if s.status is StageStatus.CANCELED), None)


def _suspended(stage: StageRun, waiting_for: str, wake: datetime | None, now: datetime) -> StageRun:
    return replace(
        stage,
        status=StageStatus.WAITING,
        waiting_for=waiting_for,
        suspended=now,
        wake=wake,
        error=None,
    )


def _ended(
    stage: StageRun,
    status: StageStatus,
    error: str | None,
    now: datetime,
    outputs: Json = None,
) -> StageRun:
    return replace(
        stage,
        status=status,
        error=error,
        finished=now,
        outputs=outputs,
        resumed=None,
        deadline=None,
    )


def _no_wait() -> dict[str, Json]:
    return {"suspended": None, "wake": None, "waiting_for": None}


def _earliest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)

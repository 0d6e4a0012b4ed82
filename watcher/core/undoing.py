"""Taking back what a failed run did: which stage is next, and what the execution is after that.

Pure. `stepping` asks for the steps of a rollback here; the dispatcher takes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from watcher.core.pipeline import Execution, ExecutionStatus, OnFailure, StageRun, StageSpec

MOST_STARTS = 10
"""A stage that was started so often without an outcome is taken to kill its process."""

KILLER = "started {} times without an end; it seems to kill its process"


@dataclass(frozen=True, slots=True)
class UndoStage:
    """Take back what the stage at this index did."""

    index: int


@dataclass(frozen=True, slots=True)
class ConcludeUndo:
    """Taking back what the stage at this index did has failed, without another start."""

    index: int
    reason: str


def next_undo(execution: Execution, failed: StageRun) -> UndoStage | ConcludeUndo | None:
    """The next stage to take back, last first, where the failed stage asks for a rollback; None
    when there is none, or none left."""
    if spec_of(execution, failed).on_failure is not OnFailure.ROLLBACK:
        return None
    for stage in reversed(execution.stages[: failed.index + 1]):
        if stage.undo is None or stage.undone is not None:
            continue
        if stage.undo_starts >= MOST_STARTS:
            return ConcludeUndo(stage.index, KILLER.format(stage.undo_starts))
        return UndoStage(stage.index)
    return None


def begin_undo(execution: Execution, index: int) -> Execution:
    """The execution while what the stage at `index` did is taken back."""
    stage = execution.stages[index]
    started = replace(stage, undo_starts=stage.undo_starts + 1)
    return replace(with_stage(execution, started), status=ExecutionStatus.RUNNING)


def conclude_undo(
    execution: Execution,
    index: int,
    error: str | None,
    now: datetime,
    *,
    skipped: str | None = None,
) -> Execution:
    """The execution after that ended: well without an `error`. It is not tried again. `skipped`
    says why there was nothing to put back."""
    stage = execution.stages[index]
    ended = replace(stage, undone=now, undo_error=error, undo_skipped=skipped, undo_starts=0)
    return with_stage(execution, ended)


def release_undo(execution: Execution, index: int) -> Execution:
    """The execution whose rollback was stopped with the process; that says nothing against it,
    only that it has begun."""
    return with_stage(execution, replace(execution.stages[index], undo_starts=1))


def reason_of_failure(execution: Execution, failed: StageRun) -> str:
    """Why the execution failed, and how taking it back went."""
    undone = [stage for stage in execution.stages if stage.undone is not None]
    back = ", ".join(stage.name for stage in undone if was_taken_back(stage))
    reasons = [f"stage {failed.name}: {failed.error}"]
    reasons += [f"rolled back: {back}"] if back else []
    reasons += [
        f"not rolled back: {stage.name} ({stage.undo_skipped})"
        for stage in undone
        if stage.undo_skipped is not None
    ]
    reasons += [
        f"ROLLBACK FAILED: stage {stage.name}: {stage.undo_error}"
        for stage in undone
        if stage.undo_error is not None
    ]
    return "; ".join(reasons)


def was_taken_back(stage: StageRun) -> bool:
    """Whether its work was put back, and well."""
    ended_otherwise = stage.undo_error is not None or stage.undo_skipped is not None
    return stage.undone is not None and not ended_otherwise


def is_half_undone(stage: StageRun) -> bool:
    """Whether taking its work back has begun, and never came to an end."""
    return stage.undo_starts > 0 and stage.undone is None


def was_touched_by_undo(stage: StageRun) -> bool:
    """Whether its work is no longer there as it left it."""
    return stage.undone is not None or is_half_undone(stage)


def spec_of(execution: Execution, stage: StageRun) -> StageSpec:
    """The stage as configured."""
    return execution.pipeline.stages[stage.index]


def with_stage(execution: Execution, stage: StageRun) -> Execution:
    """The execution with the stage in its place."""
    stages = list(execution.stages)
    stages[stage.index] = stage
    return replace(execution, stages=tuple(stages))

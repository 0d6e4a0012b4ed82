"""What a person's retry takes up again of an execution that has ended: `watcher retry`. Pure.

Used by the store, which queues it. A stage's own further attempts are steps as all others, in
`stepping`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from watcher.core.pipeline import Execution, ExecutionStatus, StageRun
from watcher.core.stepping import current_stage, failed_stage
from watcher.core.undoing import was_taken_back, was_touched_by_undo


def reset(execution: Execution) -> Execution:
    """The execution queued once more, from the stage that ended it or the first that was undone,
    in whole or in part; outputs before it are kept, and what undoing an unfinished stage would
    need.

    Raises ValueError when it did not end in failure or cancellation.
    """
    if execution.status not in (ExecutionStatus.FAILED, ExecutionStatus.CANCELED):
        raise ValueError(f"it is {execution.status}; only FAILED and CANCELED runs can be retried")
    again = [failed_stage(execution), current_stage(execution)]
    again += [stage for stage in execution.stages if was_touched_by_undo(stage)]
    start = min((stage.index for stage in again if stage is not None), default=None)
    stages = tuple(
        stage if start is None or stage.index < start else _fresh(stage)
        for stage in execution.stages
    )
    return replace(
        execution,
        status=ExecutionStatus.QUEUED,
        stages=stages,
        started=None,
        finished=None,
        reason=None,
        cancel_requested=False,
        paused=timedelta(),
    )


def _fresh(stage: StageRun) -> StageRun:
    """The stage as if it had never run; work that was not taken back, or not well, can still be."""
    taken_back = was_taken_back(stage)
    undo = None if taken_back else stage.undo
    return StageRun(index=stage.index, name=stage.name, type=stage.type, log=stage.log, undo=undo)

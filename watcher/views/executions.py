"""The JSON shapes of executions and their stages (SPEC 8), for the command line and the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watcher.core.times import rfc3339

if TYPE_CHECKING:
    from watcher.core.pipeline import Execution, StageRun

Shape = dict[str, Any]


def execution_json(execution: Execution, *, with_logs: bool = False) -> Shape:
    return {
        "id": execution.id,
        "pipeline": execution.pipeline.name,
        "trigger": execution.trigger,
        "status": execution.status.value,
        "account": execution.account,
        "repository": execution.repository,
        "tag": execution.tag,
        "digest": execution.digest,
        "change": execution.change,
        "created": rfc3339(execution.created),
        "started": rfc3339(execution.started),
        "finished": rfc3339(execution.finished),
        "reason": execution.reason,
        "parent": execution.parent,
        "parameters": dict(execution.parameters),
        "source": dict(execution.source),
        "stages": [stage_json(stage, with_log=with_logs) for stage in execution.stages],
    }


def stage_json(stage: StageRun, *, with_log: bool = False) -> Shape:
    shape: Shape = {
        "name": stage.name,
        "type": stage.type,
        "status": stage.status.value,
        "attempts": stage.attempts,
        "started": rfc3339(stage.started),
        "finished": rfc3339(stage.finished),
        "error": stage.error,
        "outputs": stage.outputs,
        "waiting_for": stage.waiting_for,
    }
    if with_log:
        shape["log"] = stage.log
    return shape

"""`pipeline: {name, parameters}`: runs another pipeline for the same trigger and waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from watcher.config.fields import Anything, Field, Kind, MapOf, Section, Text
from watcher.core.pipeline import (
    Done,
    Execution,
    ExecutionStatus,
    Failed,
    Json,
    StageOutcome,
    Waiting,
)
from watcher.errors import StageError
from watcher.stages.base import StageContext


class PipelineStage:
    """The child is queued once, under the key `<execution>/<stage>`, however often this runs."""

    type = "pipeline"
    has_dry_run = False
    options: Kind = Section(
        {
            "name": Field(
                Text(template=True),
                required=True,
                doc="The pipeline to run. It sees the same `trigger`.",
                example="smoke-test",
            ),
            "parameters": Field(
                MapOf(Anything()),
                doc="Values for its parameters; may hold expressions.",
                example={"url": "https://staging.example.com"},
            ),
        },
        doc="Runs another pipeline and succeeds when that succeeds.",
    )

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        identifier = context.resumed["id"] if context.resumed else await _submit(options, context)
        child = await context.children.execution(identifier)
        if child is None:
            return Failed(f"the execution {identifier} is no longer in the state")
        if child.status.is_final:
            return _result(child)
        return Waiting(None, waiting_for=f"execution:{child.id}", state={"id": child.id})


async def _submit(options: Json, context: StageContext) -> str:
    """The child of this try. One that failed belongs to an earlier try of the stage (a retry of
    the stage or of the whole run): then another one is started."""
    wanted = await context.rendered(options)
    name, parameters = wanted["name"], wanted.get("parameters", {})
    if name == context.execution.pipeline.name:
        raise StageError(f"the pipeline {name} would start itself")
    context.log.line(f"starting the pipeline {name}")
    for key in _keys(context.idempotency_key):
        identifier = await context.children.submit(name, parameters, key)
        child = await context.children.execution(identifier)
        if child is None or not _failed(child):
            break
    return identifier


def _keys(first: str) -> Iterator[str]:
    yield first
    for number in count(2):
        yield f"{first}/{number}"


def _failed(child: Execution) -> bool:
    return child.status.is_final and child.status is not ExecutionStatus.SUCCEEDED


def _result(child: Execution) -> StageOutcome:
    if _failed(child):
        reason = f": {child.reason}" if child.reason else ""
        return Failed(f"execution {child.id} of {child.pipeline.name} is {child.status}{reason}")
    outputs = {stage.name: stage.outputs for stage in child.stages}
    return Done({"id": child.id, "status": child.status.value, "stages": outputs})

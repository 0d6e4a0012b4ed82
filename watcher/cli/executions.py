"""`watcher executions`, `cancel` and `retry`: runs with their stages, logs and source."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from watcher.cli import completing, output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.session import find_state, open_store, read_store
from watcher.core.pipeline import ExecutionStatus
from watcher.engine import by_hand
from watcher.views.executions import execution_json

if TYPE_CHECKING:
    from datetime import datetime

    from watcher.core.pipeline import Execution, StageRun

STATUSES = [status.value for status in ExecutionStatus]


@command("executions", short_help="Runs, or one with stages and logs.")
@click.argument("identifier", required=False, metavar="[ID]")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False))
@click.option("--pipeline", shell_complete=completing.pipelines, help="Only runs of this pipeline.")
@pass_invocation
def executions(
    invocation: Invocation,
    identifier: str | None,
    limit: int,
    status: str | None,
    pipeline: str | None,
) -> None:
    """Runs, newest first; with an ID (or its beginning) one run with its stages, their logs and
    the source that expressions see."""
    place = find_state(invocation)
    with read_store(place) as store:
        if identifier is not None:
            found = [by_hand.find_execution(store, identifier)]
        elif store is None:
            found = []
        else:
            wanted = ExecutionStatus(status) if status else None
            found = store.executions(limit, status=wanted, pipeline=pipeline)
    if invocation.json:
        with_logs = identifier is not None
        output.print_json([execution_json(e, with_logs=with_logs) for e in found])
    elif identifier is not None:
        _print_one(found[0], invocation.now())
    else:
        _print_list(found, invocation.now())


def _print_list(found: list[Execution], now: datetime) -> None:
    output.table(
        ("id", "status", "pipeline", "trigger", "image", "created", "took", "error"),
        (
            (
                execution.id,
                execution.status.value,
                execution.pipeline.name,
                execution.trigger,
                _image(execution),
                output.moment(execution.created, now),
                _took(execution.started, execution.finished, now),
                _first_error(execution),
            )
            for execution in found
        ),
        empty="nothing has run yet",
    )


def _print_one(execution: Execution, now: datetime) -> None:
    facts = {
        "execution": execution.id,
        "status": execution.status.value,
        "reason": execution.reason,
        "pipeline": execution.pipeline.name,
        "trigger": execution.trigger,
        "account": execution.account,
        "image": _image(execution),
        "digest": execution.digest,
        "change": execution.change,
        "created": output.moment(execution.created, now),
        "started": output.moment(execution.started, now),
        "finished": output.moment(execution.finished, now),
    }
    for name, value in facts.items():
        if value not in (None, ""):
            output.say_lines(f"{name + ':':<11}{value}", indent=" " * 11)
    output.say()
    output.table(
        ("stage", "type", "status", "attempts", "took", "error"),
        (_stage_row(stage, now) for stage in execution.stages),
        empty="no stages",
    )
    for stage in execution.stages:
        _print_details(stage)
    output.say()
    output.say("source:")
    _print_data(execution.source)


def _stage_row(stage: StageRun, now: datetime) -> tuple[object, ...]:
    took = _took(stage.started, stage.finished, now)
    trouble = f"waits for {stage.waiting_for}" if stage.waiting_for else None
    if stage.error:
        trouble = output.first_line(stage.error)
    return (stage.name, stage.type, stage.status.value, stage.attempts, took, trouble)


def _print_details(stage: StageRun) -> None:
    if stage.outputs:
        output.say()
        output.say(f"outputs of {stage.name}:")
        _print_data(stage.outputs)
    if stage.log:
        output.say()
        output.say(f"log of {stage.name}:")
        for line in stage.log.splitlines():
            output.say(f"  {line}")


def _print_data(data: object) -> None:
    for line in json.dumps(data, indent=2, default=str).splitlines():
        output.say(f"  {line}")


def _image(execution: Execution) -> str:
    return f"{execution.repository}:{execution.tag}" if execution.repository else ""


def _took(started: datetime | None, finished: datetime | None, now: datetime) -> str:
    if started is None:
        return "-"
    return output.length(((finished or now) - started).total_seconds())


def _first_error(execution: Execution) -> str | None:
    """What went wrong first; of a run that was rolled back, how that went too."""
    found = execution.reason
    if not any(stage.undone is not None for stage in execution.stages):
        wrong = (s.error for s in execution.stages if s.error and s.status != "SKIPPED")
        found = next(wrong, found)
    return output.first_line(found) if found else None


@command("cancel", short_help="Cancel a run.")
@click.argument("identifier", metavar="ID")
@pass_invocation
def cancel(invocation: Invocation, identifier: str) -> None:
    """Cancel a run that is queued, waiting or running; a running stage is stopped by the daemon."""
    place = find_state(invocation)
    with open_store(place) as store:
        after = by_hand.cancel(store, identifier)
    _tell(invocation, after, "is to be canceled" if not after.status.is_final else "is canceled")


@command("retry", short_help="Run a failed run again.")
@click.argument("identifier", metavar="ID")
@pass_invocation
def retry(invocation: Invocation, identifier: str) -> None:
    """Take a failed or canceled run up again from the stage where it ended."""
    place = find_state(invocation)
    with open_store(place) as store:
        after = by_hand.retry(store, identifier)
    _tell(invocation, after, "is queued again")


def _tell(invocation: Invocation, execution: Execution, what: str) -> None:
    if invocation.json:
        output.print_json(execution_json(execution))
    else:
        output.say(f"execution {execution.id} {what}")

"""Values to columns and back: times, JSON, executions and their stages. Used by this package."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from watcher.core.pipeline import (
    Approval,
    Execution,
    ExecutionStatus,
    Json,
    NewExecution,
    Pipeline,
    StageRun,
    StageStatus,
)

EXECUTION_COLUMNS = (
    "id, key, trigger_name, snapshot, status, account, repository, tag, digest, change, created, "
    "started, finished, parameters, source, cancel_requested, reason, parent, paused"
)
STAGE_COLUMNS = (
    "s.execution, s.position, s.name, s.type, s.status, s.attempts, s.starts, s.started, "
    "s.finished, s.suspended, s.wake, s.deadline, s.waiting_for, s.resumed, s.error, s.outputs, "
    "a.approved, a.person, a.time, s.undo_starts, s.undone, s.undo_error, "
    "s.undo_skipped"
)


def seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def to_text(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)


def optional_text(value: Json) -> str | None:
    return None if value is None else to_text(value)


def from_text(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def clean(text: str | None) -> str | None:
    """The text without lone surrogates, which a file name or a process may bring along."""
    return None if text is None else text.encode(errors="replace").decode()


def new_execution_to_json(new: NewExecution) -> dict[str, Json]:
    """As the `held` table keeps it."""
    return {
        "key": new.key,
        "trigger": new.trigger,
        "pipeline": new.pipeline.to_json(),
        "account": new.account,
        "repository": new.repository,
        "tag": new.tag,
        "digest": new.digest,
        "change": new.change,
        "created": new.created.timestamp(),
        "parameters": dict(new.parameters),
        "source": dict(new.source),
    }


def new_execution_from_json(data: Mapping[str, Json]) -> NewExecution:
    return NewExecution(
        key=data["key"],
        trigger=data["trigger"],
        pipeline=Pipeline.from_json(data["pipeline"]),
        account=data["account"],
        repository=data["repository"],
        tag=data["tag"],
        digest=data["digest"],
        change=data["change"],
        created=datetime.fromtimestamp(data["created"], UTC),
        parameters=data["parameters"],
        source=data["source"],
    )


def load_executions(
    db: sqlite3.Connection, where: str, values: Iterable[object] = (), *, logs: bool = False
) -> list[Execution]:
    """Executions with their stages; `where` is SQL of ours after WHERE, with its ORDER and LIMIT.
    Without `logs` the stages' logs stay on the disk."""
    rows = db.execute(
        f"SELECT {EXECUTION_COLUMNS} FROM execution WHERE {where}",  # noqa: S608 - constants
        tuple(values),
    ).fetchall()
    stages: dict[str, list[StageRun]] = {row[0]: [] for row in rows}
    kept = "s.log, s.undo" if logs else "'', NULL"
    for identifier in stages:
        for row in db.execute(
            f"SELECT {STAGE_COLUMNS}, {kept} FROM stage_run s LEFT JOIN approval a "  # noqa: S608
            "ON a.execution = s.execution AND a.position = s.position "
            "WHERE s.execution = ? ORDER BY s.position",
            (identifier,),
        ):
            stages[identifier].append(_stage(row))
    return [_execution(row, tuple(stages[row[0]])) for row in rows]


def stage_values(stage: StageRun) -> tuple[object, ...]:
    """The columns of `update_stage`, in its order."""
    return (
        stage.status.value,
        stage.attempts,
        stage.starts,
        seconds(stage.started),
        seconds(stage.finished),
        seconds(stage.suspended),
        seconds(stage.wake),
        seconds(stage.deadline),
        clean(stage.waiting_for),
        optional_text(stage.resumed),
        clean(stage.error),
        optional_text(stage.outputs),
        clean(stage.log),
        optional_text(stage.undo),
        stage.undo_starts,
        seconds(stage.undone),
        clean(stage.undo_error),
        clean(stage.undo_skipped),
    )


def _execution(row: tuple[Any, ...], stages: tuple[StageRun, ...]) -> Execution:
    return Execution(
        id=row[0],
        key=row[1],
        trigger=row[2],
        pipeline=Pipeline.from_json(json.loads(row[3])),
        status=ExecutionStatus(row[4]),
        account=row[5],
        repository=row[6],
        tag=row[7],
        digest=row[8],
        change=row[9],
        created=datetime.fromtimestamp(row[10], UTC),
        started=moment(row[11]),
        finished=moment(row[12]),
        parameters=json.loads(row[13]),
        source=json.loads(row[14]),
        cancel_requested=bool(row[15]),
        reason=row[16],
        parent=row[17],
        paused=timedelta(seconds=row[18]),
        stages=stages,
    )


def _stage(row: tuple[Any, ...]) -> StageRun:
    approval = None
    if row[16] is not None:
        approval = Approval(
            approved=bool(row[16]), person=row[17], time=datetime.fromtimestamp(row[18], UTC)
        )
    return StageRun(
        index=row[1],
        name=row[2],
        type=row[3],
        status=StageStatus(row[4]),
        attempts=row[5],
        starts=row[6],
        started=moment(row[7]),
        finished=moment(row[8]),
        suspended=moment(row[9]),
        wake=moment(row[10]),
        deadline=moment(row[11]),
        waiting_for=row[12],
        resumed=from_text(row[13]),
        error=row[14],
        outputs=from_text(row[15]),
        approval=approval,
        undo_starts=row[19],
        undone=moment(row[20]),
        undo_error=row[21],
        undo_skipped=row[22],
        log=row[23],
        undo=from_text(row[24]),
    )

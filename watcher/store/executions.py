"""Executions in the state file: find, save, decide, cancel. Functions on a connection.

`queueing` brings them in. Every way to a final status goes through `save`, which wakes whoever
waits for it. What an execution does next is decided in `core.stepping`; here it is only kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from watcher.core import stepping
from watcher.core.pipeline import Execution, ExecutionStatus, Json
from watcher.errors import UsageError
from watcher.store import deployments
from watcher.store.rows import clean, load_executions, optional_text, seconds, stage_values


class Backlog(NamedTuple):
    """How much waits or is under way: held events by trigger, runs by pipeline and status, messages
    that were not sent by notifier and status."""

    held: Mapping[str, int]
    unfinished: Mapping[tuple[str, ExecutionStatus], int]
    messages: Mapping[tuple[str, str], int]


def find(db: sqlite3.Connection, identifier: str) -> Execution | None:
    """By id or its unambiguous beginning, with logs. Raises UsageError when several begin so."""
    found = load_executions(db, "id = ?", (identifier,), logs=True)
    if not found and identifier:
        found = load_executions(
            db, "substr(id, 1, length(?1)) = ?1 LIMIT 2", (identifier,), logs=True
        )
    if len(found) > 1:
        raise UsageError(
            f"several executions begin with {identifier!r}", hint="give more of the id"
        )
    return found[0] if found else None


def listed(
    db: sqlite3.Connection,
    limit: int | None,
    status: ExecutionStatus | None,
    pipeline: str | None,
) -> list[Execution]:
    """Newest first, without logs."""
    return load_executions(
        db,
        "(?1 IS NULL OR status = ?1) AND (?2 IS NULL OR pipeline = ?2) "
        "ORDER BY number DESC LIMIT ?3",
        (status.value if status else None, pipeline, -1 if limit is None else limit),
    )


def any_unfinished(db: sqlite3.Connection) -> bool:
    """Whether some execution is queued, runs or waits."""
    row = db.execute(
        "SELECT EXISTS (SELECT 1 FROM execution WHERE status IN ('QUEUED', 'RUNNING', 'WAITING'))"
    ).fetchone()
    return bool(row[0])


def unfinished(db: sqlite3.Connection) -> dict[tuple[str, ExecutionStatus], int]:
    """How many have not ended, by pipeline and status."""
    rows = db.execute(
        "SELECT pipeline, status, count(*) FROM execution WHERE finished IS NULL "
        "GROUP BY status, pipeline"
    )
    return {(pipeline, ExecutionStatus(status)): number for pipeline, status, number in rows}


def failed_since(db: sqlite3.Connection, moment: datetime) -> list[str]:
    """Ids of the executions that failed at this moment or later, oldest first."""
    rows = db.execute(
        "SELECT id FROM execution WHERE status = 'FAILED' AND finished >= ? ORDER BY number",
        (moment.timestamp(),),
    )
    return [row[0] for row in rows]


def save(
    db: sqlite3.Connection, execution: Execution, index: int | None, wake: datetime | None
) -> Execution:
    """Write the execution's own row, and the stage at `index`, as the runner has them now.

    A final execution is never changed again: then the stored one is returned, else what is stored
    afterwards (a cancellation or an approval may have come meanwhile). `wake` is when a WAITING
    execution has to be looked at again.
    """
    stored = _status(db, execution.id)
    if stored is not None and stored.is_final:
        return load_by_ids(db, [execution.id])[0]
    from watcher.store import notices  # an idle pass tells nothing

    if index is not None:
        notices.of_rollback(db, execution, index)
        update_stage(db, execution, index)
    waits = execution.status is ExecutionStatus.WAITING
    stage = stepping.current_stage(execution) if waits else None
    waiting_for = stage.waiting_for if stage is not None else None
    db.execute(
        "UPDATE execution SET status = ?, started = ?, finished = ?, paused = ?, wake = ?, "
        "waiting_for = ?, reason = ? WHERE id = ?",
        (
            execution.status.value,
            seconds(execution.started),
            seconds(execution.finished),
            execution.paused.total_seconds(),
            seconds(wake) if waits else None,
            clean(waiting_for),
            clean(execution.reason),
            execution.id,
        ),
    )
    notices.of_execution(db, execution, stored)
    if execution.status.is_final:
        _forget_undo(db, execution)
        deployments.settle(db, execution)
        _wake_waiters(db, execution.id)
    elif stage is not None:
        _wake_at_once_if_over(db, execution.id, stage.index, waiting_for)
    return load_by_ids(db, [execution.id])[0]


def remember(
    db: sqlite3.Connection, identifier: str, index: int, resumed: Json, undo: Json
) -> None:
    """What a stage under way wants to know after a crash."""
    db.execute(
        "UPDATE stage_run SET resumed = ?, undo = ? WHERE execution = ? AND position = ?",
        (optional_text(resumed), optional_text(undo), identifier, index),
    )


def save_logs(db: sqlite3.Connection, logs: Mapping[tuple[str, int], str]) -> None:
    db.executemany(
        "UPDATE stage_run SET log = ? WHERE execution = ? AND position = ?",
        [(clean(text), identifier, index) for (identifier, index), text in logs.items()],
    )


def decide(
    db: sqlite3.Connection,
    identifier: str,
    index: int,
    *,
    approved: bool,
    person: str,
    at: datetime,
) -> bool:
    """Record a decision about a stage, also before it is reached; True when it is the first."""
    inserted = db.execute(
        "INSERT INTO approval (execution, position, approved, person, time) "
        "SELECT id, ?2, ?3, ?4, ?5 FROM execution WHERE id = ?1 AND finished IS NULL "
        "ON CONFLICT DO NOTHING",
        (identifier, index, approved, person, at.timestamp()),
    )
    if inserted.rowcount == 0:
        return False
    _wake_at_once_if_over(db, identifier, index, stepping.FOR_PERSON)
    return True


def request_cancel(db: sqlite3.Connection, identifier: str, now: datetime) -> bool:
    """Ask for the end of an execution and of the runs it started; False when it has ended.
    One that waits or is queued ends here; a running one when its runner sees the request."""
    status = _status(db, identifier)
    if status is None or status.is_final:
        return False
    db.execute("UPDATE execution SET cancel_requested = 1 WHERE id = ?", (identifier,))
    if status is not ExecutionStatus.RUNNING:
        settle(db, identifier, ExecutionStatus.CANCELED, "canceled on request", now)
    children = db.execute("SELECT id FROM execution WHERE parent = ?", (identifier,)).fetchall()
    for (child,) in children:
        request_cancel(db, child, now)
    return True


def canceled(db: sqlite3.Connection, active: Iterable[str]) -> list[str]:
    """Those of the ids whose cancellation was asked for."""
    return [
        identifier
        for identifier in active
        if db.execute(
            "SELECT 1 FROM execution WHERE id = ? AND cancel_requested = 1", (identifier,)
        ).fetchone()
    ]


def _status(db: sqlite3.Connection, identifier: str) -> ExecutionStatus | None:
    row = db.execute("SELECT status FROM execution WHERE id = ?", (identifier,)).fetchone()
    return None if row is None else ExecutionStatus(row[0])


def load_by_ids(db: sqlite3.Connection, identifiers: Iterable[str]) -> list[Execution]:
    return [load_executions(db, "id = ?", (i,), logs=True)[0] for i in identifiers]


def settle(
    db: sqlite3.Connection,
    identifier: str,
    status: ExecutionStatus,
    reason: str,
    now: datetime,
) -> None:
    """End an execution that no runner has in hand."""
    execution = load_executions(db, "id = ?", (identifier,), logs=True)[0]
    stage = stepping.current_stage(execution)
    ended = stepping.finish(execution, status, reason, now)
    save(db, ended, stage.index if stage is not None else None, None)


def update_stage(db: sqlite3.Connection, execution: Execution, index: int) -> None:
    """Write the stage at `index` alone."""
    db.execute(
        "UPDATE stage_run SET status = ?, attempts = ?, starts = ?, started = ?, finished = ?, "
        "suspended = ?, wake = ?, deadline = ?, waiting_for = ?, resumed = ?, error = ?, "
        "outputs = ?, log = ?, undo = ?, undo_starts = ?, undone = ?, undo_error = ?, "
        "undo_skipped = ? WHERE execution = ? AND position = ?",
        (*stage_values(execution.stages[index]), execution.id, index),
    )


def _forget_undo(db: sqlite3.Connection, execution: Execution) -> None:
    """A run that ended well is never rolled back; a failed one may be retried."""
    if execution.status in (ExecutionStatus.SUCCEEDED, ExecutionStatus.SKIPPED):
        db.execute("UPDATE stage_run SET undo = NULL WHERE execution = ?", (execution.id,))


def _wake_waiters(db: sqlite3.Connection, ended: str) -> None:
    waiting_for = f"{stepping.FOR_EXECUTION}{ended}"
    db.execute(
        "UPDATE stage_run SET wake = 0 WHERE status = 'WAITING' AND waiting_for = ?1 AND execution "
        "IN (SELECT id FROM execution WHERE status = 'WAITING' AND waiting_for = ?1)",
        (waiting_for,),
    )
    db.execute(
        "UPDATE execution SET wake = 0 WHERE status = 'WAITING' AND waiting_for = ?",
        (waiting_for,),
    )


def _wake_at_once_if_over(
    db: sqlite3.Connection, identifier: str, index: int, waiting_for: str | None
) -> None:
    """What it waits for, or its cancellation, may have come before it began to wait."""
    if canceled(db, [identifier]):
        over = True
    elif waiting_for == stepping.FOR_PERSON:
        row = db.execute(
            "SELECT 1 FROM approval WHERE execution = ? AND position = ?", (identifier, index)
        ).fetchone()
        over = row is not None
    elif waiting_for is not None and waiting_for.startswith(stepping.FOR_EXECUTION):
        child = waiting_for.removeprefix(stepping.FOR_EXECUTION)
        status = _status(db, child)
        over = status is None or status.is_final
    else:
        over = False
    if not over:
        return
    if waiting_for != stepping.FOR_PERSON:
        db.execute(
            "UPDATE stage_run SET wake = 0 WHERE execution = ? AND position = ?",
            (identifier, index),
        )
    db.execute(
        "UPDATE execution SET wake = 0 WHERE id = ? AND status = 'WAITING' AND waiting_for = ?",
        (identifier, waiting_for),
    )

"""How an execution comes into the queue: for the first time, or once more on a person's request.

Functions on a connection. From here `claims` takes it for a runner; `executions` keeps what it does
then.
"""

from __future__ import annotations

import sqlite3

from watcher.core import retrying
from watcher.core.pipeline import NewExecution, StageStatus
from watcher.store.executions import canceled, request_cancel, update_stage
from watcher.store.rows import load_executions, to_text


def submit(db: sqlite3.Connection, new: NewExecution, parent: str | None = None) -> bool:
    """Queue an execution; False when its key was used before, whatever became of that one. What a
    canceled `parent` still starts is canceled with it."""
    inserted = db.execute(
        "INSERT INTO execution (id, key, trigger_name, pipeline, snapshot, status, account, "
        "repository, tag, digest, change, created, parent, parameters, source) "
        "VALUES (?, ?, ?, ?, ?, 'QUEUED', ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            new.id,
            new.key,
            new.trigger,
            new.pipeline.name,
            to_text(new.pipeline.to_json()),
            new.account,
            new.repository,
            new.tag,
            new.digest,
            new.change,
            new.created.timestamp(),
            parent,
            to_text(dict(new.parameters)),
            to_text(dict(new.source)),
        ),
    )
    if inserted.rowcount == 0:
        return False
    db.executemany(
        "INSERT INTO stage_run (execution, position, name, type, status) "
        "VALUES (?, ?, ?, ?, 'PENDING')",
        [
            (new.id, index, stage.name, stage.type)
            for index, stage in enumerate(new.pipeline.stages)
        ],
    )
    if parent is not None and canceled(db, [parent]):
        request_cancel(db, new.id, new.created)
    return True


def retry(db: sqlite3.Connection, identifier: str) -> bool:
    """Queue a failed or canceled execution again, from the stage that ended it; False when it is
    not such a one. Decisions about stages that run again are forgotten."""
    found = load_executions(db, "id = ?", (identifier,), logs=True)
    try:
        again = retrying.reset(found[0]) if found else None
    except ValueError:
        again = None
    if again is None:
        return False
    for stage in again.stages:
        if stage.status is StageStatus.PENDING:
            update_stage(db, again, stage.index)
            db.execute(
                "DELETE FROM approval WHERE execution = ? AND position = ?",
                (identifier, stage.index),
            )
    db.execute(
        "UPDATE execution SET status = 'QUEUED', started = NULL, finished = NULL, paused = 0, "
        "wake = NULL, waiting_for = NULL, reason = NULL, cancel_requested = 0, trimmed = 0, "
        "retries = retries + 1 WHERE id = ?",
        (identifier,),
    )
    return True

"""How the command line talks to a daemon without a port, and small facts that outlive a restart.

A request is a row that the daemon answers; switches of triggers and "do not ask before" of hosts
and accounts are rows too. Functions on a connection.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from watcher.core.pipeline import Json
from watcher.store.rows import from_text, to_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks of the daemon. `result` is None until it is answered."""

    id: int
    kind: str
    payload: Json
    finished: bool
    result: Json = None


def add(db: sqlite3.Connection, kind: str, payload: Json, at: datetime) -> int:
    inserted = db.execute(
        "INSERT INTO request (kind, payload, created) VALUES (?, ?, ?)",
        (kind, to_text(payload), at.timestamp()),
    )
    return inserted.lastrowid or 0


def pending(db: sqlite3.Connection) -> list[Request]:
    """Oldest first."""
    rows = db.execute(
        "SELECT id, kind, payload FROM request WHERE finished IS NULL ORDER BY id"
    ).fetchall()
    return [
        Request(id=row[0], kind=row[1], payload=from_text(row[2]), finished=False) for row in rows
    ]


def finish(db: sqlite3.Connection, identifier: int, result: Json, at: datetime) -> None:
    """Answer; a request that was answered keeps its first answer."""
    db.execute(
        "UPDATE request SET finished = ?, result = ? WHERE id = ? AND finished IS NULL",
        (at.timestamp(), to_text(result), identifier),
    )


def close(db: sqlite3.Connection, identifier: int, at: datetime) -> None:
    """Nobody waits any longer: a request without an answer gets none, and an answer, which may be
    large, is not kept."""
    db.execute(
        "UPDATE request SET finished = coalesce(finished, ?), result = NULL WHERE id = ?",
        (at.timestamp(), identifier),
    )


def get(db: sqlite3.Connection, identifier: int) -> Request | None:
    row = db.execute(
        "SELECT kind, payload, finished, result FROM request WHERE id = ?", (identifier,)
    ).fetchone()
    if row is None:
        return None
    return Request(
        id=identifier,
        kind=row[0],
        payload=from_text(row[1]),
        finished=row[2] is not None,
        result=from_text(row[3]),
    )


def catalogs(db: sqlite3.Connection) -> dict[str, str]:
    return dict(db.execute("SELECT account, fingerprint FROM catalog").fetchall())


def switch(db: sqlite3.Connection, trigger: str, at: datetime, *, enabled: bool) -> None:
    db.execute(
        "INSERT INTO trigger_switch (trigger_name, enabled, changed) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET enabled = excluded.enabled, changed = excluded.changed",
        (trigger, enabled, at.timestamp()),
    )


def switches(db: sqlite3.Connection) -> dict[str, bool]:
    """What was switched at run time, by trigger; it wins over the config."""
    rows = db.execute("SELECT trigger_name, enabled FROM trigger_switch")
    return {name: bool(enabled) for name, enabled in rows}

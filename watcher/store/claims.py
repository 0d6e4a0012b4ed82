"""Which executions a runner may go on with, and when it has to look again.

Functions on a connection. What may begin beside what is said by `core.admission.admit`; a queued
run whose image was rejected meanwhile never begins (SPEC 6.4).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

from watcher.core import stepping
from watcher.core.admission import admit
from watcher.core.pipeline import Concurrency, ConcurrencyPolicy, Execution, ExecutionStatus
from watcher.store import rejections
from watcher.store.executions import load_by_ids, settle
from watcher.store.rows import from_text

# `finished IS NULL` is what the index of unfinished executions asks for.
# Who began to wait in the future of a clock that was set back is looked at, but for people.
_DUE = (
    "finished IS NULL AND status = 'WAITING' AND (wake <= ?1 OR (waiting_for <> ?2 AND EXISTS ("
    "SELECT 1 FROM stage_run s WHERE s.execution = execution.id AND s.suspended > ?1)))"
)
_QUEUED = "finished IS NULL AND status = 'QUEUED'"
_UNDER_WAY = "finished IS NULL AND status IN ('RUNNING', 'WAITING')"


class Claimed(NamedTuple):
    """What a look for work found: runs to go on with, and runs that ended without a start."""

    executions: list[Execution]
    settled: list[Execution]


def has_work(db: sqlite3.Connection, now: datetime, active: Collection[str]) -> bool:
    """Whether `claim` could find anything; only reads."""
    row = db.execute(
        f"SELECT EXISTS (SELECT 1 FROM execution WHERE {_QUEUED})"  # noqa: S608 - constants
    ).fetchone()
    return bool(row[0] or _due(db, now, active) or _abandoned(db, active))


def claim(db: sqlite3.Connection, now: datetime, active: Collection[str], slots: int) -> Claimed:
    """Take executions to go on with, at most `slots`: first those that a stopped process left,
    then those whose wait is over, then queued ones as their concurrency allows. `active` are the
    ids that the caller has in hand; of these none is taken, whatever became of them. They are
    RUNNING when this returns."""
    taken = (_abandoned(db, active) + _due(db, now, active))[:slots]
    begun, skipped = _admit(db, active, max(0, slots - len(taken)))
    for identifier, reason in skipped.items():
        settle(db, identifier, ExecutionStatus.SKIPPED, reason, now)
    taken += begun
    db.executemany(
        "UPDATE execution SET status = 'RUNNING', started = coalesce(started, ?), wake = NULL, "
        "waiting_for = NULL WHERE id = ?",
        [(now.timestamp(), identifier) for identifier in taken],
    )
    return Claimed(load_by_ids(db, taken), load_by_ids(db, skipped))


def next_wake(db: sqlite3.Connection) -> float | None:
    """When the next WAITING execution is due, in seconds since the epoch."""
    row = db.execute(
        "SELECT min(wake) FROM execution WHERE finished IS NULL AND status = 'WAITING'"
    ).fetchone()
    moment: float | None = row[0]
    return moment


def next_wake_without_people(db: sqlite3.Connection) -> float | None:
    """The same, of those that wait for time to pass: what a single pass stays for."""
    row = db.execute(
        "SELECT min(wake) FROM execution WHERE finished IS NULL AND status = 'WAITING' "
        "AND waiting_for <> ? AND waiting_for NOT LIKE ? || '%'",
        (stepping.FOR_PERSON, stepping.FOR_EXECUTION),
    ).fetchone()
    moment: float | None = row[0]
    return moment


def _abandoned(db: sqlite3.Connection, active: Collection[str]) -> list[str]:
    """RUNNING executions that nobody has in hand: their process was stopped."""
    rows = db.execute(
        "SELECT id FROM execution WHERE finished IS NULL AND status = 'RUNNING' ORDER BY number"
    )
    return [row[0] for row in rows.fetchall() if row[0] not in active]


def _due(db: sqlite3.Connection, now: datetime, active: Collection[str]) -> list[str]:
    """WAITING executions whose wait is over, oldest first."""
    rows = db.execute(
        f"SELECT id FROM execution WHERE {_DUE} ORDER BY number",  # noqa: S608 - constants
        (now.timestamp(), stepping.FOR_PERSON),
    )
    return [row[0] for row in rows.fetchall() if row[0] not in active]


def _admit(
    db: sqlite3.Connection, active: Collection[str], slots: int
) -> tuple[list[str], dict[str, str]]:
    """Queued executions that may begin, oldest first, and those that never will, with reasons."""
    begun: list[str] = []
    skipped: dict[str, str] = {}
    pipelines = db.execute(f"SELECT DISTINCT pipeline FROM execution WHERE {_QUEUED}")  # noqa: S608
    for (pipeline,) in pipelines.fetchall():
        rows = db.execute(
            f"SELECT id FROM execution WHERE {_QUEUED} AND pipeline = ? ORDER BY number",  # noqa: S608
            (pipeline,),
        )
        queued = [row[0] for row in rows.fetchall() if row[0] not in active]
        kept_out = _kept_out(db, pipeline, queued)
        skipped |= kept_out
        waiting = [identifier for identifier in queued if identifier not in kept_out]
        if not waiting:
            continue
        begins, never = admit(waiting, _under_way(db, pipeline), _concurrency(db, waiting[-1]))
        begun += begins
        skipped |= never
    if len(begun) > 1:
        begun = _oldest_first(db, begun)
    return begun[:slots], skipped


def _kept_out(db: sqlite3.Connection, pipeline: str, identifiers: Iterable[str]) -> dict[str, str]:
    """Runs whose image a rollback has rejected since they were queued, with the reason."""
    found = ((each, rejections.of_run(db, pipeline, each)) for each in identifiers)
    return {each: rejection.why for each, rejection in found if rejection is not None}


def _under_way(db: sqlite3.Connection, pipeline: str) -> int:
    """Runs that have begun and not ended; one that waits still keeps its place."""
    row = db.execute(
        f"SELECT count(*) FROM execution WHERE {_UNDER_WAY} AND pipeline = ?",  # noqa: S608
        (pipeline,),
    ).fetchone()
    count: int = row[0]
    return count


def _concurrency(db: sqlite3.Connection, newest: str) -> Concurrency:
    """As the newest of the queued runs says."""
    row = db.execute("SELECT snapshot FROM execution WHERE id = ?", (newest,)).fetchone()
    concurrency = from_text(row[0])["concurrency"]
    return Concurrency(max=concurrency["max"], policy=ConcurrencyPolicy(concurrency["policy"]))


def _oldest_first(db: sqlite3.Connection, identifiers: Iterable[str]) -> list[str]:
    numbers = {
        identifier: db.execute(
            "SELECT number FROM execution WHERE id = ?", (identifier,)
        ).fetchone()[0]
        for identifier in identifiers
    }
    return sorted(numbers, key=numbers.__getitem__)

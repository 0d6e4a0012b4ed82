"""Lets go of what is over, some rows at a time: old activity, ended runs, what their stages said.

Nothing goes that a promise rests on (SPEC 6): rows of tags and their change numbers, which keep a
change from firing twice, held events, runs that have not ended and their relatives, the runs of the
last good bundles and of rejections. An event outlives its run, and can be replayed. Functions on a
connection; `upkeep` wraps them in transactions.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import chain, islice
from typing import NamedTuple

from watcher.core.retention import Retention
from watcher.core.verdict import Verdict
from watcher.store import events

TRIMMED = "[no longer kept]\n"
"""What stands in the place of a stage's log."""

_REQUESTS = timedelta(days=1)
_ENDED_WELL = "('SUCCEEDED', 'SKIPPED')"
_FAMILY = """
    WITH RECURSIVE family (id) AS (
        SELECT ? UNION ALL SELECT e.id FROM execution e JOIN family f ON e.parent = f.id)
    SELECT e.id, e.pipeline, e.number, e.finished FROM family JOIN execution e USING (id)
"""
_LINE = """
    WITH RECURSIVE line (parent, status) AS (
        SELECT parent, status FROM execution WHERE id = ?
        UNION ALL SELECT e.parent, e.status FROM execution e JOIN line ON e.id = line.parent)
"""

Together = tuple[object, ...]
"""Keys of rows that go at once or not at all."""

Find = Callable[[sqlite3.Connection, Retention, float], Iterator[Together]]
LetGo = Callable[[sqlite3.Connection, list[object]], None]


class _Kind(NamedTuple):
    """What may be over: its word in the log, the keys of what is, and how these go."""

    word: str
    find: Find
    let_go: LetGo


def prune(db: sqlite3.Connection, retention: Retention, moment: float, most: int) -> dict[str, int]:
    """Let go of about so many rows; how many went, by kind. Nothing when all that is left stays.
    `moment`: where ages are counted from, in epoch seconds."""
    gone: dict[str, int] = {}
    for kind in _KINDS:
        left = most - sum(gone.values())
        found = list(chain.from_iterable(islice(kind.find(db, retention, moment), max(left, 0))))
        if found:
            kind.let_go(db, found)
            gone[kind.word] = len(found)
    return gone


def excess(db: sqlite3.Connection, retention: Retention, moment: float) -> dict[str, int]:
    """How much of each kind would go; only reads."""
    found = {kind.word: sum(map(len, kind.find(db, retention, moment))) for kind in _KINDS}
    return {word: count for word, count in found.items() if count}


def _old_activity(
    db: sqlite3.Connection, retention: Retention, moment: float
) -> Iterator[Together]:
    """The newest numbers stay, so that none is given twice: people copy them into commands."""
    return db.execute(
        "SELECT a.id FROM activity a WHERE a.time < ? AND NOT EXISTS ("
        "SELECT 1 FROM decision d WHERE d.activity = a.id AND d.outcome = ?) "
        "AND a.id IS NOT (SELECT max(id) FROM activity) "
        "AND a.id IS NOT (SELECT activity FROM decision ORDER BY id DESC LIMIT 1) ORDER BY a.time",
        (moment - retention.activity.total_seconds(), Verdict.HELD.value),
    )


def _remove_activity(db: sqlite3.Connection, found: list[object]) -> None:
    these = (json.dumps(found),)
    db.execute(
        "DELETE FROM held WHERE decision IN (SELECT id FROM decision WHERE activity IN "
        "(SELECT value FROM json_each(?)))",
        these,
    )
    db.execute("DELETE FROM decision WHERE activity IN (SELECT value FROM json_each(?))", these)
    db.execute("DELETE FROM activity WHERE id IN (SELECT value FROM json_each(?))", these)


def _old_runs(db: sqlite3.Connection, retention: Retention, _: float) -> Iterator[Together]:
    """Families of runs: one stays as long as one that it started, or that
    started it. So a stage that is tried again finds what it started."""
    bars = _bars(db, retention.executions)
    needed = _needed(db)
    for pipeline, bar in bars.items():
        roots = db.execute(
            "SELECT id FROM execution WHERE pipeline = ? AND finished IS NOT NULL "
            "AND number <= ? AND parent IS NULL ORDER BY number",
            (pipeline, bar),
        )
        for (root,) in roots:
            family = db.execute(_FAMILY, (root,)).fetchall()
            if all(
                finished is not None and number <= bars.get(name, -1) and each not in needed
                for each, name, number, finished in family
            ):
                yield tuple(row[0] for row in family)


def _bars(db: sqlite3.Connection, keep: int) -> dict[str, int]:
    """By pipeline the number of the newest ended run that is one too many."""
    pipelines = db.execute(
        "SELECT DISTINCT pipeline FROM execution WHERE finished IS NOT NULL"
    ).fetchall()
    bars: dict[str, int] = {}
    for (pipeline,) in pipelines:
        row = db.execute(
            "SELECT number FROM execution WHERE pipeline = ? AND finished IS NOT NULL "
            "ORDER BY number DESC LIMIT 1 OFFSET ?",
            (pipeline, keep),
        ).fetchone()
        if row is not None:
            bars[pipeline] = row[0]
    return bars


def _needed(db: sqlite3.Connection) -> frozenset[str]:
    """Runs that bundles and rejections name."""
    rows = db.execute("SELECT execution FROM deployment UNION SELECT execution FROM rejection")
    return frozenset(row[0] for row in rows)


def _remove_runs(db: sqlite3.Connection, found: list[object]) -> None:
    for identifier in found:
        events.outlive(db, str(identifier))
    these = (json.dumps(found),)
    for table in ("approval", "stage_run"):
        db.execute(
            f"DELETE FROM {table} WHERE execution IN (SELECT value FROM json_each(?))",  # noqa: S608
            these,
        )
    db.execute("DELETE FROM execution WHERE id IN (SELECT value FROM json_each(?))", these)


def _old_texts(db: sqlite3.Connection, retention: Retention, moment: float) -> Iterator[Together]:
    return db.execute(
        "SELECT id FROM execution WHERE finished < ? AND finished IS NOT NULL AND trimmed = 0 "
        "ORDER BY finished",
        (moment - retention.logs.total_seconds(),),
    )


def _empty_texts(db: sqlite3.Connection, found: Iterable[object]) -> None:
    """Outputs stay where a retry of the run, or of one that started it, would read them."""
    for identifier in found:
        db.execute(
            "UPDATE stage_run SET log = ? WHERE execution = ? AND log <> ''",
            (TRIMMED, identifier),
        )
        db.execute(
            f"{_LINE} UPDATE stage_run SET outputs = NULL WHERE execution = ? "  # noqa: S608
            f"AND NOT EXISTS (SELECT 1 FROM line WHERE status NOT IN {_ENDED_WELL})",
            (identifier, identifier),
        )
        db.execute("UPDATE execution SET trimmed = 1 WHERE id = ?", (identifier,))


def _old_requests(db: sqlite3.Connection, _: Retention, moment: float) -> Iterator[Together]:
    """What commands asked of a daemon, and were told long ago."""
    return db.execute(
        "SELECT id FROM request WHERE finished < ? AND id <> (SELECT max(id) FROM request)",
        (moment - _REQUESTS.total_seconds(),),
    )


def _remove_requests(db: sqlite3.Connection, found: Iterable[object]) -> None:
    db.executemany("DELETE FROM request WHERE id = ?", ((each,) for each in found))


def _old_deliveries(
    db: sqlite3.Connection, retention: Retention, moment: float
) -> Iterator[Together]:
    """Webhooks that came long ago; how many stay at all is bounded where they are written."""
    age = retention.activity.total_seconds()
    return db.execute("SELECT id FROM delivery WHERE time < ? ORDER BY id", (moment - age,))


def _remove_deliveries(db: sqlite3.Connection, found: Iterable[object]) -> None:
    db.executemany("DELETE FROM delivery WHERE id = ?", ((each,) for each in found))


def _dead_messages(
    db: sqlite3.Connection, retention: Retention, moment: float
) -> Iterator[Together]:
    """What no notifier took, and nobody asked for since."""
    return db.execute(
        "SELECT id FROM message WHERE status = 'dead' AND coalesce(finished, created) < ?",
        (moment - retention.activity.total_seconds(),),
    )


def _remove_messages(db: sqlite3.Connection, found: Iterable[object]) -> None:
    db.executemany("DELETE FROM message WHERE id = ?", ((each,) for each in found))


# A table whose rows are over some day gets its kind here.
_KINDS = (
    _Kind("activity", _old_activity, _remove_activity),
    _Kind("executions", _old_runs, _remove_runs),
    _Kind("texts", _old_texts, _empty_texts),
    _Kind("requests", _old_requests, _remove_requests),
    _Kind("deliveries", _old_deliveries, _remove_deliveries),
    _Kind("messages", _dead_messages, _remove_messages),
)

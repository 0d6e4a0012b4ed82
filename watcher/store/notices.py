"""What is to be told, and what is wrong and lasts: functions on a connection.

A notice is written in the transaction of what it tells of, whoever writes that; `outbox` hands it
on to those who want it. A trouble stands in a table, so that it is told once, and its end once,
however many processes look at it (SPEC 1, promise 4).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from watcher.core import telling
from watcher.core.notice import Notice, NoticeEvent, Trouble
from watcher.core.pipeline import Execution, ExecutionStatus
from watcher.core.poll import PollRecord
from watcher.core.verdict import Verdict
from watcher.store.rows import clean, from_text, to_text

_TROUBLE = "event, subject, account, since, text, detail"


def tell(db: sqlite3.Connection, notice: Notice) -> None:
    db.execute(
        "INSERT INTO notice (event, kind, subject, account, text, detail, time, facts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            notice.event,
            notice.kind,
            notice.subject,
            notice.account,
            clean(notice.text),
            clean(notice.detail),
            notice.time,
            to_text(dict(notice.facts)),
        ),
    )


def begin(db: sqlite3.Connection, trouble: Trouble) -> bool:
    """Tell of a trouble, unless it lasts already; whether it was told."""
    is_new = _remind(db, trouble)
    if is_new:
        tell(db, trouble.begun())
    return is_new


def _remind(db: sqlite3.Connection, trouble: Trouble) -> bool:
    """Tell of it again and again from now on; whether that is new."""
    inserted = db.execute(
        f"INSERT INTO trouble ({_TROUBLE}, looked) VALUES (?, ?, ?, ?, ?, ?, ?4) "  # noqa: S608
        "ON CONFLICT DO NOTHING",
        (
            trouble.event,
            trouble.subject,
            trouble.account,
            trouble.since,
            clean(trouble.text),
            clean(trouble.detail),
        ),
    )
    return bool(inserted.rowcount)


def end(
    db: sqlite3.Connection, event: NoticeEvent, subject: str, text: str, now: float
) -> Trouble | None:
    """Tell that a trouble is over, if it was there; the trouble that it was."""
    row = db.execute(
        f"DELETE FROM trouble WHERE event = ? AND subject = ? RETURNING {_TROUBLE}",  # noqa: S608
        (event, subject),
    ).fetchone()
    if row is None:
        return None
    trouble = _trouble(row)
    tell(db, trouble.over(now, text))
    return trouble


def troubles(db: sqlite3.Connection, event: NoticeEvent | None = None) -> list[Trouble]:
    """What lasts, the oldest first."""
    rows = db.execute(
        f"SELECT {_TROUBLE} FROM trouble WHERE ?1 IS NULL OR event = ?1 "  # noqa: S608 - constants
        "ORDER BY since, event, subject",
        (event,),
    )
    return [_trouble(row) for row in rows]


def looked_at(db: sqlite3.Connection) -> list[tuple[Trouble, float]]:
    """What lasts, and when it was last seen to whom to remind of it."""
    rows = db.execute(f"SELECT {_TROUBLE}, looked FROM trouble ORDER BY since")  # noqa: S608
    return [(_trouble(row), row[6]) for row in rows]


def note_look(db: sqlite3.Connection, trouble: Trouble, now: float) -> None:
    """What a clock that was set back says began in the future began now, as far as is known."""
    db.execute(
        "UPDATE trouble SET looked = ?1, since = min(since, ?1) WHERE event = ?2 AND subject = ?3",
        (now, trouble.event, trouble.subject),
    )


def of_execution(
    db: sqlite3.Connection, execution: Execution, before: ExecutionStatus | None
) -> None:
    """Tell of a run that has ended, or that waits for a person from now on."""
    notice = telling.of_execution(execution, before)
    if notice is not None:
        tell(db, notice)


def of_rollback(db: sqlite3.Connection, execution: Execution, index: int) -> None:
    """Tell that the work of a stage could not be taken back, before that is written first."""
    notice = telling.of_rollback(execution, index)
    if notice is None:
        return
    row = db.execute(
        "SELECT undo_error FROM stage_run WHERE execution = ? AND position = ?",
        (execution.id, index),
    ).fetchone()
    if row is not None and row[0] is None:
        tell(db, notice)


def of_poll(db: sqlite3.Connection, poll: PollRecord, batch: str | None) -> None:
    """Tell of events that are held, and of a listing that is doubted or is so no longer."""
    held = telling.of_held(poll, batch)
    if held is not None:
        tell(db, held)
        _remind(db, telling.of_waiting_events(poll))
    doubted = telling.of_quarantine(poll)
    if doubted is not None:
        begin(db, doubted)
    else:
        place = telling.place_of(poll)
        end(db, NoticeEvent.LISTING_QUARANTINED, place, telling.believed(poll), poll.at.timestamp())


def of_decided(db: sqlite3.Connection) -> None:
    """Remind nobody of repositories that hold no events any more: who decided knows."""
    db.execute(
        "DELETE FROM trouble WHERE event = ? AND subject NOT IN ("
        "SELECT r.account || '/' || r.name FROM decision d JOIN activity a ON a.id = d.activity "
        "JOIN repository r ON r.id = a.repository WHERE d.outcome = ?)",
        (NoticeEvent.EVENTS_HELD, Verdict.HELD),
    )


def pending(db: sqlite3.Connection) -> Iterator[tuple[int, Notice]]:
    """What was written and is not in the outbox yet, oldest first, with its number."""
    rows = db.execute(
        "SELECT id, event, kind, subject, account, text, detail, time, facts FROM notice "
        "ORDER BY id"
    )
    for row in rows.fetchall():
        yield (
            row[0],
            Notice(
                event=NoticeEvent(row[1]),
                kind=row[2],
                subject=row[3],
                account=row[4],
                text=row[5],
                detail=row[6],
                time=row[7],
                facts=from_text(row[8]),
            ),
        )


def any_pending(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM notice)").fetchone()[0])


def forget(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """What went into the outbox, or is wanted by nobody."""
    db.executemany("DELETE FROM notice WHERE id = ?", [(number,) for number in numbers])


def _trouble(row: tuple[Any, ...]) -> Trouble:
    return Trouble(
        event=NoticeEvent(row[0]),
        subject=row[1],
        account=row[2],
        since=row[3],
        text=row[4],
        detail=row[5],
    )

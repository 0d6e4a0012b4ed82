"""The messages of the outbox: one row for each and its one notifier, until it was sent.

Functions on a connection. Notices become messages in one transaction, those of one kind within the
notifier's `group` one message; a message that was tried takes no more. Its number of attempts is
written before it is sent: a process that dies meanwhile sends it again, under the same key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from watcher.core.message import MOST_ITEMS, Message, MessageStatus
from watcher.core.notice import Notice
from watcher.core.notifier import Audience, Notifier
from watcher.store import notices
from watcher.store.rows import clean, from_text, to_text

_COLUMNS = (
    "id, key, notifier, event, kind, items, count, created, status, attempts, tried, error, asked"
)
_IS_DUE = "status = 'waiting' AND (due <= ?1 OR coalesce(tried, created) > ?1)"
"""What was written by a clock that was set back since does not wait until that time comes again."""
PERSISTENCE = 5
"""After so many attempts in vain a message lets others go first: it may be what is wrong."""


def fill(db: sqlite3.Connection, audience: Audience, now: float) -> None:
    """Put what is pending into the outbox of each who wants it, and reminders that are due."""
    done: list[int] = []
    for number, notice in notices.pending(db):
        for notifier in audience.of(notice):
            _add(db, notifier, notice, now)
        done.append(number)
    notices.forget(db, done)
    for trouble, looked in notices.looked_at(db):
        reminded = list(audience.reminded(trouble, looked, now))
        for notifier in reminded:
            _add(db, notifier, trouble.reminder(now), now)
        if reminded or looked > now:  # a clock was set back: it is counted from now on
            notices.note_look(db, trouble, now)


def is_to_fill(db: sqlite3.Connection, audience: Audience, now: float) -> bool:
    """Whether `fill` would do anything; only reads."""
    return notices.any_pending(db) or any(
        looked > now or any(audience.reminded(trouble, looked, now))
        for trouble, looked in notices.looked_at(db)
    )


def due(db: sqlite3.Connection, now: float) -> dict[str, bool]:
    """The notifiers that have something to send, and whether a person asked for that."""
    rows = db.execute(
        f"SELECT notifier, min(due) = 0 FROM message WHERE {_IS_DUE} GROUP BY notifier",  # noqa: S608
        (now,),
    )
    return {name: bool(asked) for name, asked in rows}


def unsent(db: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """How many messages of each notifier wait or are dead, by notifier and status."""
    rows = db.execute(
        "SELECT notifier, status, count(*) FROM message WHERE status <> 'sent' GROUP BY 1, 2"
    )
    return {(notifier, status): number for notifier, status, number in rows}


def hasten(db: sqlite3.Connection, now: float) -> None:
    """Let nothing gather any longer."""
    db.execute(
        "UPDATE message SET due = ?1 WHERE status = 'waiting' AND attempts = 0 AND due > ?1", (now,)
    )


def take(db: sqlite3.Connection, notifier: str, now: float) -> Message | None:
    """The message to send next, with one attempt more: what a person asked for, then the oldest,
    and at last what was tried often."""
    row = db.execute(
        "UPDATE message SET attempts = attempts + 1, tried = ?1 WHERE id = ("  # noqa: S608
        f"SELECT id FROM message WHERE {_IS_DUE} AND notifier = ?2 "
        f"ORDER BY due > 0, attempts >= {PERSISTENCE}, id LIMIT 1) "
        f"RETURNING {_COLUMNS}",
        (now, notifier),
    ).fetchone()
    return None if row is None else _message(row)


def sent(db: sqlite3.Connection, number: int, now: float) -> None:
    db.execute(
        "UPDATE message SET status = 'sent', finished = ?, error = NULL WHERE id = ?",
        (now, number),
    )


def failed(db: sqlite3.Connection, number: int, error: str, due: float) -> None:
    """An attempt was in vain; it may be tried again at `due`."""
    db.execute("UPDATE message SET error = ?, due = ? WHERE id = ?", (clean(error), due, number))


def bury(db: sqlite3.Connection, number: int, error: str, now: float) -> None:
    """The last attempt was in vain."""
    db.execute(
        "UPDATE message SET status = 'dead', error = ?, finished = ? WHERE id = ?",
        (clean(error), now, number),
    )


def bury_older(db: sqlite3.Connection, notifier: str, before: float, error: str, now: float) -> int:
    """Give up what waits for a notifier since before that time; how many there were."""
    rows = db.execute(
        "UPDATE message SET status = 'dead', error = ?, finished = ? "
        "WHERE status = 'waiting' AND notifier = ? AND coalesce(asked, created) < ? AND due > 0",
        (clean(error), now, notifier, before),
    )
    return rows.rowcount


def bury_orphans(db: sqlite3.Connection, notifiers: Sequence[str], now: float) -> None:
    """Give up what waits for a notifier that is none of these."""
    marks = ", ".join("?" * len(notifiers))
    db.execute(
        "UPDATE message SET status = 'dead', finished = ?, "  # noqa: S608 - marks only
        "error = 'no notifier of this name is in the config' "
        f"WHERE status = 'waiting' AND notifier NOT IN ({marks})",
        (now, *notifiers),
    )


def listed(
    db: sqlite3.Connection, status: MessageStatus | None = None, limit: int | None = None
) -> list[Message]:
    """Newest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM message WHERE ?1 IS NULL OR status = ?1 "  # noqa: S608 - constants
        "ORDER BY id DESC LIMIT ?2",
        (status, -1 if limit is None else limit),
    )
    return [_message(row) for row in rows]


def retry(db: sqlite3.Connection, numbers: Sequence[int], now: float) -> int:
    """Send dead messages again, and waiting ones at once; their age counts from now. How many."""
    rows = db.executemany(
        "UPDATE message SET status = 'waiting', attempts = 0, due = 0, asked = ?, "
        "finished = NULL WHERE id = ? AND status <> 'sent'",
        [(now, number) for number in numbers],
    )
    return rows.rowcount


def drop(db: sqlite3.Connection, numbers: Sequence[int]) -> int:
    """Forget messages that were not sent; how many there were."""
    rows = db.executemany(
        "DELETE FROM message WHERE id = ? AND status <> 'sent'", [(number,) for number in numbers]
    )
    return rows.rowcount


def forget_sent(db: sqlite3.Connection, before: float) -> int:
    """Delete what was sent before that time; how many there were."""
    rows = db.execute("DELETE FROM message WHERE status = 'sent' AND finished < ?", (before,))
    return rows.rowcount


def _add(db: sqlite3.Connection, notifier: Notifier, notice: Notice, now: float) -> None:
    """To the message that still gathers, else as a new one."""
    row = db.execute(
        "SELECT id, items, count FROM message WHERE notifier = ?2 AND event = ?3 AND kind = ?4 "  # noqa: S608
        f"AND status = 'waiting' AND attempts = 0 AND NOT ({_IS_DUE}) ORDER BY id DESC LIMIT 1",
        (now, notifier.name, notice.event, notice.kind),
    ).fetchone()
    if row is None:
        _insert(db, notifier, notice, now)
        return
    number, items, count = row
    if count < MOST_ITEMS:
        items = to_text([*from_text(items), notice.item()])
    db.execute(
        "UPDATE message SET items = ?, count = count + 1 WHERE id = ?", (clean(items), number)
    )


def _insert(db: sqlite3.Connection, notifier: Notifier, notice: Notice, now: float) -> None:
    db.execute(
        "INSERT INTO message (key, notifier, event, kind, items, count, created, due) "
        "VALUES (lower(hex(randomblob(12))), ?, ?, ?, ?, 1, ?, ?)",
        (
            notifier.name,
            notice.event,
            notice.kind,
            clean(to_text([notice.item()])),
            now,
            now + notifier.group.total_seconds(),
        ),
    )


def _message(row: tuple[Any, ...]) -> Message:
    return Message(
        id=row[0],
        key=row[1],
        notifier=row[2],
        event=row[3],
        kind=row[4],
        items=tuple(from_text(row[5])),
        count=row[6],
        created=row[7],
        status=MessageStatus(row[8]),
        attempts=row[9],
        tried=row[10],
        error=row[11],
        asked=row[12],
    )

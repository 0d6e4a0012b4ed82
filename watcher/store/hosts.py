"""What is remembered of hosts: until when they are left alone, what they are, what they allow.

Functions on a connection; `sqlite.Store` wraps each in its transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from watcher.core.account import DialectName
from watcher.core.host import Counted, Quota, Recognition


def blocked(db: sqlite3.Connection) -> dict[str, float]:
    """Until when each host or account may not be asked, in seconds since the epoch."""
    return dict(db.execute("SELECT name, until FROM blocked").fetchall())


def recognised(db: sqlite3.Connection) -> dict[str, Recognition]:
    """What each host was found to be; a dialect of a later version of ours is none."""
    rows = db.execute("SELECT name, dialect, version, recognised FROM host")
    return {name: Recognition(_dialect(said), version, at) for name, said, version, at in rows}


def quotas(db: sqlite3.Connection) -> dict[Counted, Quota]:
    rows = db.execute("SELECT name, counted, allowed, remaining, resets, seen FROM quota")
    return {Counted(name, what): Quota(*rest) for name, what, *rest in rows}


def write_blocked(db: sqlite3.Connection, blocked: Mapping[str, float]) -> None:
    """The whole truth about hosts and accounts, by name."""
    db.execute("DELETE FROM blocked")
    db.executemany("INSERT INTO blocked (name, until) VALUES (?, ?)", blocked.items())


def write_recognised(db: sqlite3.Connection, found: Mapping[str, Recognition]) -> None:
    db.executemany(
        "INSERT INTO host (name, dialect, version, recognised) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET dialect = excluded.dialect, version = excluded.version, "
        "recognised = excluded.recognised",
        ((name, what.dialect, what.version, what.at) for name, what in found.items()),
    )


def write_quotas(db: sqlite3.Connection, quotas: Mapping[Counted, Quota]) -> None:
    """The whole truth about what is still allowed."""
    db.execute("DELETE FROM quota")
    db.executemany(
        "INSERT INTO quota (name, counted, allowed, remaining, resets, seen) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        ((*counted, *quota) for counted, quota in quotas.items()),
    )


def _dialect(said: str | None) -> DialectName | None:
    try:
        return DialectName(said) if said is not None else None
    except ValueError:
        return None

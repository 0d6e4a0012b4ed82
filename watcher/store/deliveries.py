"""Deliveries of webhooks, for activity and against repeated ones; and for whom they are taken.

Functions on a connection. The table is bounded: what a sender sends must not fill the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from watcher.core.delivery import Delivery, DeliveryOutcome

MOST_KEPT = 10_000
_COLUMNS = "time, sender, outcome, reason, account, repository, tag, digest, key"


def record(db: sqlite3.Connection, arrived: Iterable[Delivery]) -> None:
    db.executemany(
        f"INSERT INTO delivery ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        [
            (
                delivery.time.timestamp(),
                delivery.sender,
                delivery.outcome,
                delivery.reason,
                delivery.account,
                delivery.repository,
                delivery.tag,
                delivery.digest,
                delivery.key,
            )
            for delivery in arrived
        ],
    )
    db.execute("DELETE FROM delivery WHERE id <= (SELECT max(id) FROM delivery) - ?", (MOST_KEPT,))


def listed(
    db: sqlite3.Connection, limit: int, account: str | None, repository: str | None
) -> list[Delivery]:
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM delivery "  # noqa: S608 - constants
        "WHERE (?1 IS NULL OR account = ?1) AND (?2 IS NULL OR repository = ?2) "
        "ORDER BY id DESC LIMIT ?3",
        (account, repository, limit),
    )
    return [_delivery(row) for row in rows]


def last(db: sqlite3.Connection) -> dict[str, Delivery]:
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM delivery WHERE id IN "  # noqa: S608 - constants
        "(SELECT max(id) FROM delivery WHERE account IS NOT NULL GROUP BY account)"
    )
    return {row[4]: _delivery(row) for row in rows}


def keys(db: sqlite3.Connection, since: datetime) -> list[tuple[str, float]]:
    rows = db.execute(
        "SELECT key, time FROM delivery WHERE key IS NOT NULL AND time >= ? ORDER BY id",
        (since.timestamp(),),
    )
    return [(key, time) for key, time in rows]


def switch(db: sqlite3.Connection, account: str, at: datetime, *, enabled: bool) -> None:
    db.execute(
        "INSERT INTO webhook_switch (account, enabled, changed) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET enabled = excluded.enabled, changed = excluded.changed",
        (account, enabled, at.timestamp()),
    )


def switches(db: sqlite3.Connection) -> dict[str, bool]:
    """What was switched at run time, by account; it wins over the config."""
    rows = db.execute("SELECT account, enabled FROM webhook_switch")
    return {account: bool(enabled) for account, enabled in rows}


def _delivery(row: tuple[Any, ...]) -> Delivery:
    time, sender, outcome, reason, account, repository, tag, digest, key = row
    return Delivery(
        time=datetime.fromtimestamp(time, UTC),
        sender=sender,
        outcome=DeliveryOutcome(outcome),
        reason=reason,
        account=account,
        repository=repository,
        tag=tag,
        digest=digest,
        key=key,
    )

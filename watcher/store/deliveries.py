"""Deliveries of webhooks, for activity and against repeated ones; and for whom they are taken.

A part of the Store, loaded when it is asked for: one method, one transaction. The table is
bounded: what a sender sends must not fill the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Protocol

from watcher.core.delivery import Delivery, DeliveryOutcome

MOST_KEPT = 10_000
_COLUMNS = "time, sender, outcome, reason, account, repository, tag, digest, key"

Reading = Callable[[], AbstractContextManager[sqlite3.Connection]]


class Writing(Protocol):
    """How the Store opens a transaction that may write; `what` names it in its faults."""

    def __call__(
        self, what: str, *, durable: bool = True
    ) -> AbstractContextManager[sqlite3.Connection]: ...


class Deliveries:
    """Made by the Store, with its transactions and its clock; every method may raise StateError."""

    def __init__(self, reading: Reading, writing: Writing, clock: Callable[[], datetime]) -> None:
        self._reading = reading
        self._writing = writing
        self._clock = clock

    def record(self, arrived: Iterable[Delivery]) -> None:
        """Keep deliveries for activity; of all there are, the newest."""
        with self._writing("deliveries", durable=False) as db:
            db.executemany(
                f"INSERT INTO delivery ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                [_row(delivery) for delivery in arrived],
            )
            newest = "(SELECT max(id) FROM delivery)"
            db.execute(f"DELETE FROM delivery WHERE id <= {newest} - ?", (MOST_KEPT,))  # noqa: S608

    def listed(
        self, limit: int, account: str | None = None, repository: str | None = None
    ) -> list[Delivery]:
        """Newest first."""
        with self._reading() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM delivery "  # noqa: S608 - constants
                "WHERE (?1 IS NULL OR account = ?1) AND (?2 IS NULL OR repository = ?2) "
                "ORDER BY id DESC LIMIT ?3",
                (account, repository, limit),
            )
            return [_delivery(row) for row in rows]

    def last(self) -> dict[str, Delivery]:
        """The newest of each account."""
        with self._reading() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM delivery WHERE id IN "  # noqa: S608 - constants
                "(SELECT max(id) FROM delivery WHERE account IS NOT NULL GROUP BY account)"
            )
            return {row[4]: _delivery(row) for row in rows}

    def keys(self, since: datetime) -> list[tuple[str, float]]:
        """What tells deliveries apart that came since then, with their times; oldest first."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT key, time FROM delivery WHERE key IS NOT NULL AND time >= ? ORDER BY id",
                (since.timestamp(),),
            )
            return [(key, time) for key, time in rows]

    def switch(self, account: str, *, enabled: bool) -> None:
        """Take webhooks for an account, or leave them; wins over the config, across restarts."""
        with self._writing("switch") as db:
            db.execute(
                "INSERT INTO webhook_switch (account, enabled, changed) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET enabled = excluded.enabled, changed = excluded.changed",
                (account, enabled, self._clock().timestamp()),
            )

    def switches(self) -> dict[str, bool]:
        """What was switched at run time, by account."""
        with self._reading() as db:
            rows = db.execute("SELECT account, enabled FROM webhook_switch")
            return {account: bool(enabled) for account, enabled in rows}


def _row(delivery: Delivery) -> tuple[object, ...]:
    return (delivery.time.timestamp(), *delivery[1:])


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

"""Images that a rollback took out of a pipeline, until a person clears them (SPEC 6.4).

Functions on a connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime

from watcher.core.deployment import Rejection
from watcher.store.rows import clean


def add(db: sqlite3.Connection, rejection: Rejection) -> None:
    """The first rejection of an image stands, with its reason."""
    db.execute(
        "INSERT INTO rejection (pipeline, image, account, repository, tag, digest, execution, "
        "reason, time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            rejection.pipeline,
            rejection.image,
            rejection.account,
            rejection.repository,
            rejection.tag,
            rejection.digest,
            rejection.execution,
            clean(rejection.reason),
            rejection.time.timestamp(),
        ),
    )


def listed(db: sqlite3.Connection, pipeline: str | None) -> list[Rejection]:
    rows = db.execute(
        "SELECT id, pipeline, account, repository, tag, digest, execution, reason, time "
        "FROM rejection WHERE ?1 IS NULL OR pipeline = ?1 ORDER BY id",
        (pipeline,),
    )
    return [
        Rejection(
            number=row[0],
            pipeline=row[1],
            account=row[2],
            repository=row[3],
            tag=row[4],
            digest=row[5],
            execution=row[6],
            reason=row[7],
            time=datetime.fromtimestamp(row[8], UTC),
        )
        for row in rows
    ]


def clear(db: sqlite3.Connection, identifiers: Iterable[int]) -> int:
    return sum(
        db.execute("DELETE FROM rejection WHERE id = ?", (identifier,)).rowcount
        for identifier in identifiers
    )

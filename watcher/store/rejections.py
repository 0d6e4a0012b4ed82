"""Images that a rollback took out of a pipeline, until a person clears them (SPEC 6.4).

Functions on a connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime

from watcher.core.change import ChangeKind
from watcher.core.deployment import Rejection, rejection_of
from watcher.core.pipeline import Execution, NewExecution
from watcher.core.planning import BY_HAND
from watcher.store.rows import clean

_IMAGE = "SELECT account, repository, tag, digest, change FROM execution WHERE id = ?"
_BY_A_PERSON = """
    WITH RECURSIVE line (parent, change, retries) AS (
        SELECT parent, change, retries FROM execution WHERE id = ?
        UNION ALL SELECT e.parent, e.change, e.retries
        FROM execution e JOIN line ON e.id = line.parent)
    SELECT EXISTS (SELECT 1 FROM line WHERE change = ? OR retries > 0)
"""


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


def keeping_out(db: sqlite3.Connection, run: NewExecution | Execution) -> Rejection | None:
    """The rejection that a run must not be queued against; a tag that is gone brings no image."""
    if run.change == ChangeKind.DELETED.value:
        return None
    return rejection_of(
        listed(db, run.pipeline.name),
        pipeline=run.pipeline.name,
        account=run.account,
        repository=run.repository,
        tag=run.tag,
        digest=run.digest,
    )


def of_run(
    db: sqlite3.Connection, pipeline: str, identifier: str, digest: str | None = None
) -> Rejection | None:
    """The rejection that keeps the image of a queued or running execution out of its pipeline.
    `digest` is what its tag turned out to be. None for a run that a person asked for: by hand, by
    a retry, or by either of these for the run that started it."""
    rejected = listed(db, pipeline)
    if not rejected or _asked_for_by_a_person(db, identifier):
        return None
    account, repository, tag, stored, change = db.execute(_IMAGE, (identifier,)).fetchone()
    if change == ChangeKind.DELETED.value:
        return None
    return rejection_of(
        rejected,
        pipeline=pipeline,
        account=account,
        repository=repository,
        tag=tag,
        digest=digest or stored,
    )


def clear(db: sqlite3.Connection, identifiers: Iterable[int]) -> int:
    return sum(
        db.execute("DELETE FROM rejection WHERE id = ?", (identifier,)).rowcount
        for identifier in identifiers
    )


def _asked_for_by_a_person(db: sqlite3.Connection, identifier: str) -> bool:
    return bool(db.execute(_BY_A_PERSON, (identifier, BY_HAND)).fetchone()[0])

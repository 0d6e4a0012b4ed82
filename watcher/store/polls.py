"""What is known of repositories, and the one transaction in which a poll's result is written.

Functions on a connection; `sqlite.Store` wraps each in its transaction. Executions are queued
through `queueing`, decisions are written through `events`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from watcher.core.change import (
    Change,
    ChangeKind,
    KnownRepository,
    KnownTag,
    Quarantine,
    TriggerState,
)
from watcher.core.host import Counted, Quota, Recognition
from watcher.core.poll import PollRecord, RepositoryStatus
from watcher.errors import StateChanged
from watcher.store import events, hosts, queueing, rejections

_STATUS_COLUMNS = (
    "account, name, tags, last_check, last_success, last_error, next_check, failures, "
    "quarantine_since IS NOT NULL, fingerprint, baselined IS NOT NULL, generation, mark, "
    "walked, dropped"
)


def known(db: sqlite3.Connection, account: str, repository: str) -> KnownRepository:
    """Everything detection needs; a repository never seen is known to hold nothing."""
    row = db.execute(
        "SELECT id, baselined, generation, quarantine_since, quarantine_fingerprint, "
        "quarantine_listed FROM repository WHERE account = ? AND name = ?",
        (account, repository),
    ).fetchone()
    if row is None:
        return KnownRepository(account=account, repository=repository, baselined=False)
    identifier, baselined, generation, since, fingerprint, listed = row
    quarantine = None
    if since is not None:
        quarantine = Quarantine(
            since=datetime.fromtimestamp(since, UTC), fingerprint=fingerprint, listed=listed
        )
    return KnownRepository(
        account=account,
        repository=repository,
        baselined=baselined is not None,
        tags=_tags(db, identifier, baselined),
        triggers=_trigger_states(db, identifier),
        quarantine=quarantine,
        generation=generation,
    )


def present_tags(
    db: sqlite3.Connection, account: str, repository: str, names: Iterable[str]
) -> dict[str, str | None]:
    """Those of the tags that are there, with their digests where these are known."""
    found: dict[str, str | None] = {}
    for name in names:
        row = db.execute(
            "SELECT tag.digest FROM tag JOIN repository ON repository.id = tag.repository "
            "WHERE account = ? AND repository.name = ? AND tag.name = ? AND present = 1",
            (account, repository, name),
        ).fetchone()
        if row is not None:
            found[name] = row[0]
    return found


def record(db: sqlite3.Connection, poll: PollRecord) -> tuple[str, ...]:
    """Write what a poll found and decided; the ids of the executions that it queued.

    Raises StateChanged when the repository is no longer what the poll compared with, or an image
    was rejected meanwhile: then a second writer was faster, and this result could repeat or undo
    what it did.
    """
    from watcher.store import notices  # an idle pass tells nothing

    repository = _repository(db, poll.account, poll.repository)
    _refuse_outdated(db, repository, poll)
    _refuse_rejected(db, poll)
    activities: dict[tuple[ChangeKind, str], int] = {}
    if poll.baseline is not None:
        _write_baseline(db, repository, poll.baseline, poll.at)
    _apply(db, repository, poll.changes, poll.at)
    for change in poll.changes:
        place = (change.kind, change.tag)
        activities[place] = events.write_activity(db, repository, change, poll.at)
    db.executemany(
        "UPDATE tag SET digest = ? WHERE repository = ? AND name = ? AND present = 1",
        [(digest, repository, name) for name, digest in poll.digests.items()],
    )
    queued = tuple(new.id for new in poll.executions if queueing.submit(db, new))
    batch = events.write_decisions(db, repository, poll, activities)
    notices.of_poll(db, poll, batch)
    write_trigger_states(db, repository, poll.triggers)
    _write_repository(db, repository, poll)
    return queued


def write_trigger_states(
    db: sqlite3.Connection, repository: int, states: Mapping[str, TriggerState]
) -> None:
    db.executemany(
        "INSERT INTO trigger_state (repository, trigger_name, highest) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET highest = excluded.highest",
        [(repository, name, state.highest) for name, state in states.items()],
    )


def statuses(db: sqlite3.Connection, account: str | None) -> list[RepositoryStatus]:
    rows = db.execute(
        f"SELECT {_STATUS_COLUMNS} FROM repository "  # noqa: S608 - constants
        "WHERE ?1 IS NULL OR account = ?1 ORDER BY account, name",
        (account,),
    )
    return [
        RepositoryStatus(
            account=row[0],
            repository=row[1],
            tags=row[2],
            last_check=row[3],
            last_success=row[4],
            last_error=row[5],
            next_check=row[6],
            failures=row[7],
            quarantined=bool(row[8]),
            fingerprint=row[9],
            known=bool(row[10]),
            generation=row[11],
            mark=row[12],
            walked=row[13],
            dropped=bool(row[14]),
        )
        for row in rows
    ]


def flush(
    db: sqlite3.Connection,
    statuses: Iterable[RepositoryStatus],
    blocked: Mapping[str, float],
    catalogs: Mapping[str, str],
    recognised: Mapping[str, Recognition],
    quotas: Mapping[Counted, Quota],
) -> None:
    """Write bookkeeping; `blocked` and `quotas` are the whole truth about hosts and accounts. A
    fingerprint or mark is kept out when a poll was recorded since it was taken."""
    db.executemany(
        "INSERT INTO repository (account, name, tags, last_check, last_success, last_error, "
        "next_check, failures, fingerprint, mark, walked, dropped) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?13) "
        "ON CONFLICT (account, name) DO UPDATE SET tags = excluded.tags, "
        "last_check = excluded.last_check, last_success = excluded.last_success, "
        "last_error = excluded.last_error, next_check = excluded.next_check, "
        "failures = excluded.failures, dropped = excluded.dropped, "
        "fingerprint = CASE WHEN generation = ?12 THEN excluded.fingerprint ELSE fingerprint END, "
        "mark = CASE WHEN generation = ?12 THEN excluded.mark ELSE mark END, "
        "walked = CASE WHEN generation = ?12 THEN excluded.walked ELSE walked END",
        (
            (
                status.account,
                status.repository,
                status.tags,
                status.last_check,
                status.last_success,
                status.last_error,
                status.next_check,
                status.failures,
                status.fingerprint,
                status.mark,
                status.walked,
                status.generation,
                status.dropped,
            )
            for status in statuses
        ),
    )
    hosts.write_blocked(db, blocked)
    hosts.write_recognised(db, recognised)
    hosts.write_quotas(db, quotas)
    db.executemany(
        "INSERT INTO catalog (account, fingerprint) VALUES (?, ?) "
        "ON CONFLICT DO UPDATE SET fingerprint = excluded.fingerprint",
        catalogs.items(),
    )


def _tags(db: sqlite3.Connection, repository: int, baselined: float | None) -> dict[str, KnownTag]:
    """By name. A tag of the baseline has no change of its own; a later one that it is new."""
    moments: dict[float, datetime] = {}  # most tags of a repository were first seen together
    tags: dict[str, KnownTag] = {}
    for name, digest, first_seen, sequence, number, present in db.execute(
        "SELECT name, digest, first_seen, sequence, change_number, present FROM tag "
        "WHERE repository = ?",
        (repository,),
    ):
        moment = moments.get(first_seen)
        if moment is None:
            moment = moments[first_seen] = datetime.fromtimestamp(first_seen, UTC)
        tags[name] = KnownTag(
            digest=digest,
            first_seen=moment,
            sequence=sequence,
            change_number=number,
            present=bool(present),
            stands_still=number <= (0 if first_seen == baselined else 1),
        )
    return tags


def _trigger_states(db: sqlite3.Connection, repository: int) -> dict[str, TriggerState]:
    rows = db.execute(
        "SELECT trigger_name, highest FROM trigger_state WHERE repository = ?", (repository,)
    )
    return {name: TriggerState(highest=highest) for name, highest in rows}


def _repository(db: sqlite3.Connection, account: str, name: str) -> int:
    db.execute(
        "INSERT INTO repository (account, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (account, name),
    )
    row = db.execute("SELECT id FROM repository WHERE account = ? AND name = ?", (account, name))
    identifier: int = row.fetchone()[0]
    return identifier


def _refuse_outdated(db: sqlite3.Connection, repository: int, poll: PollRecord) -> None:
    row = db.execute("SELECT generation, baselined FROM repository WHERE id = ?", (repository,))
    generation, baselined = row.fetchone()
    outdated = (
        (poll.generation is not None and poll.generation != generation)
        or (poll.baseline is not None and baselined is not None)
        or any(_number(db, repository, c.tag) != c.number - 1 for c in poll.changes)
    )
    if outdated:
        raise StateChanged(
            f"{poll.account}/{poll.repository}: another process recorded a poll meanwhile",
            hint="nothing is lost: the next poll compares with what that one saw",
        )


def _refuse_rejected(db: sqlite3.Connection, poll: PollRecord) -> None:
    if any(rejections.keeping_out(db, new) is not None for new in poll.executions):
        raise StateChanged(
            f"{poll.account}/{poll.repository}: a rollback rejected an image meanwhile",
            hint="the next poll finds it again and says so",
        )


def _number(db: sqlite3.Connection, repository: int, tag: str) -> int:
    row = db.execute(
        "SELECT change_number FROM tag WHERE repository = ? AND name = ?", (repository, tag)
    ).fetchone()
    return 0 if row is None else row[0]


def _write_baseline(
    db: sqlite3.Connection, repository: int, tags: Mapping[str, str | None], at: datetime
) -> None:
    # All names in one step: with one for each, the event loop would wait for its turn as often.
    db.execute(
        "INSERT INTO tag (repository, name, first_seen, sequence, change_number, present) "
        "SELECT ?, value, ?, key + 1, 0, 1 FROM json_each(?)",
        (repository, at.timestamp(), json.dumps([*tags])),
    )
    db.executemany(
        "UPDATE tag SET digest = ? WHERE repository = ? AND name = ?",
        [(digest, repository, name) for name, digest in tags.items() if digest is not None],
    )
    db.execute("UPDATE repository SET baselined = ? WHERE id = ?", (at.timestamp(), repository))
    events.write_activity(db, repository, None, at)


def _apply(
    db: sqlite3.Connection, repository: int, changes: Iterable[Change], at: datetime
) -> None:
    """Bring the tags to what the changes say; a tag that comes back is seen for the first time."""
    row = db.execute("SELECT max(sequence) FROM tag WHERE repository = ?", (repository,))
    sequence = row.fetchone()[0] or 0
    for change in changes:
        if change.kind is ChangeKind.NEW:
            sequence += 1
            db.execute(
                "INSERT INTO tag VALUES (?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET "
                "digest = excluded.digest, first_seen = excluded.first_seen, "
                "sequence = excluded.sequence, change_number = excluded.change_number, present = 1",
                (
                    repository,
                    change.tag,
                    change.digest,
                    at.timestamp(),
                    sequence,
                    change.number,
                ),
            )
        else:
            db.execute(
                "UPDATE tag SET digest = ?, change_number = ?, present = ? "
                "WHERE repository = ? AND name = ?",
                (
                    change.digest,
                    change.number,
                    change.kind is not ChangeKind.DELETED,
                    repository,
                    change.tag,
                ),
            )


def _write_repository(db: sqlite3.Connection, repository: int, poll: PollRecord) -> None:
    quarantine = poll.quarantine
    db.execute(
        "UPDATE repository SET generation = generation + 1, fingerprint = ?, "
        "quarantine_since = ?, quarantine_fingerprint = ?, quarantine_listed = ?, "
        "last_check = ?6, last_success = ?6, last_error = NULL, failures = 0, "
        "mark = ?7, walked = ?8, "
        "tags = (SELECT count(*) FROM tag WHERE repository = ?5 AND present = 1) WHERE id = ?5",
        (
            poll.fingerprint,
            quarantine.since.timestamp() if quarantine else None,
            quarantine.fingerprint if quarantine else None,
            quarantine.listed if quarantine else None,
            repository,
            poll.at.timestamp(),
            poll.mark,
            poll.walked,
        ),
    )

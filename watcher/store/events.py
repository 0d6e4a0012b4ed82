"""What was seen and what became of it: activity, decisions, and what waits for a person's word.

An event is one decision of one trigger about one change; its id is what `watcher events` shows.
Held events keep what they would queue, in rising order (SPEC 6.4). Functions on a connection.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from watcher.core.change import Change, ChangeKind, TriggerState
from watcher.core.pipeline import Json, NewExecution
from watcher.core.poll import PollRecord
from watcher.core.times import rfc3339
from watcher.core.trigger import Trigger, raised
from watcher.core.verdict import Decision, Verdict
from watcher.errors import UnknownName, UsageError
from watcher.store import queueing, rejections
from watcher.store.rows import (
    load_executions,
    new_execution_from_json,
    new_execution_to_json,
    to_text,
)

BASELINE = "baseline"
_EVENT = (
    "FROM decision d JOIN activity a ON a.id = d.activity JOIN repository r ON r.id = a.repository"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSelector:
    """Which held events: all keys that are given must hold."""

    event: int | None = None
    batch: str | None = None
    trigger: str | None = None
    account: str | None = None
    repository: str | None = None

    @staticmethod
    def parse(word: str) -> EventSelector:
        """As people write it: an event's number, a batch (`b12`), `account/repository`, or the
        name of a trigger."""
        if word.isdecimal():
            return EventSelector(event=int(word))
        if word[:1] == "b" and word[1:].isdecimal():
            return EventSelector(batch=word)
        account, slash, repository = word.partition("/")
        if slash:
            return EventSelector(account=account, repository=repository)
        return EventSelector(trigger=word)


def write_activity(
    db: sqlite3.Connection, repository: int, change: Change | None, at: datetime
) -> int:
    """One row for a change, or for a baseline; its id."""
    values = (BASELINE, None, None, None)
    if change is not None:
        digest = change.digest or change.previous_digest
        values = (change.kind.value, change.tag, digest, change.number)  # type: ignore[assignment]
    inserted = db.execute(
        "INSERT INTO activity (time, repository, change, tag, digest, change_number) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (at.timestamp(), repository, *values),
    )
    return inserted.lastrowid or 0


def write_decisions(
    db: sqlite3.Connection,
    repository: int,
    poll: PollRecord,
    activities: dict[tuple[ChangeKind, str], int],
) -> str | None:
    """Each decision under its change's activity; a backfilled tag gets an activity of its own. The
    batch of those that are held, if any are."""
    queued = {(new.trigger, new.change, new.tag): new.id for new in poll.executions}
    batch: str | None = None
    for decision in poll.decisions:
        change = decision.change
        place = (change.kind, change.tag)
        if place not in activities:
            activities[place] = write_activity(db, repository, change, poll.at)
        execution = queued.get((decision.trigger, change.kind.value, change.tag))
        event = _write_decision(db, activities[place], decision, execution)
        kept = poll.held.get((decision.trigger, change.tag, change.number))
        if kept is not None:
            _keep(db, event, kept)
        if decision.verdict is Verdict.HELD:
            batch = batch or f"b{event}"
            db.execute("UPDATE decision SET batch = ? WHERE id = ?", (batch, event))
    return batch


def activity(
    db: sqlite3.Connection, limit: int | None, account: str | None, repository: str | None
) -> list[dict[str, Json]]:
    """Newest first, in the shape of SPEC 8."""
    rows = db.execute(
        "SELECT a.id, a.time, r.account, r.name, a.tag, a.digest, a.change FROM activity a "
        "JOIN repository r ON r.id = a.repository WHERE (?1 IS NULL OR r.account = ?1) "
        "AND (?2 IS NULL OR r.name = ?2) ORDER BY a.id DESC LIMIT ?3",
        (account, repository, -1 if limit is None else limit),
    ).fetchall()
    return [
        {
            "time": rfc3339(row[1]),
            "account": row[2],
            "repository": row[3],
            "tag": row[4],
            "digest": row[5],
            "change": row[6],
            "triggers": _outcomes(db, row[0]),
        }
        for row in rows
    ]


def events(db: sqlite3.Connection, outcome: str | None) -> list[dict[str, Json]]:
    """Oldest first; `outcome` is one of core.trigger.Verdict."""
    return _events(db, "WHERE ?1 IS NULL OR d.outcome = ?1 ORDER BY d.id", (outcome,))


def latest(db: sqlite3.Connection, limit: int, outcomes: Collection[str]) -> list[dict[str, Json]]:
    """Those with one of these outcomes, newest first."""
    marks = ", ".join("?" * len(outcomes))
    where = f"WHERE d.outcome IN ({marks}) ORDER BY d.id DESC LIMIT ?"
    return _events(db, where, (*outcomes, limit))


def _events(
    db: sqlite3.Connection, where: str, values: tuple[object, ...]
) -> list[dict[str, Json]]:
    rows = db.execute(
        "SELECT d.id, a.time, r.account, r.name, a.tag, a.digest, a.change, d.trigger_name, "
        f"d.outcome, d.reason, d.batch, d.execution {_EVENT} {where}",
        values,
    )
    names = "id time account repository tag digest change trigger outcome reason batch execution"
    return [{**dict(zip(names.split(), row, strict=True)), "time": rfc3339(row[1])} for row in rows]


def held_by_trigger(db: sqlite3.Connection) -> dict[str, int]:
    """How many events are held, by trigger."""
    rows = db.execute(
        "SELECT trigger_name, count(*) FROM decision WHERE outcome = ? GROUP BY trigger_name",
        (Verdict.HELD.value,),
    )
    return dict(rows.fetchall())


def release(
    db: sqlite3.Connection, selector: EventSelector, triggers: Iterable[Trigger]
) -> tuple[str, ...]:
    """Queue what the selected held events kept, in rising order, and raise what their triggers
    take for the highest tag; the ids of the executions. Triggers that are not among `triggers`
    keep their highest. An event whose image was rejected meanwhile is recorded as such."""
    by_name = {trigger.name: trigger for trigger in triggers}
    queued: list[str] = []
    for event, repository, name, new in _held(db, selector):
        rejection = rejections.keeping_out(db, new)
        if rejection is not None:
            db.execute(
                "UPDATE decision SET outcome = ?, reason = ? WHERE id = ?",
                (Verdict.REJECTED.value, rejection.why, event),
            )
            continue
        if queueing.submit(db, new):
            queued.append(new.id)
        db.execute(
            "UPDATE decision SET outcome = ?, reason = 'released', execution = ? WHERE id = ?",
            (Verdict.FIRED.value, new.id, event),
        )
        db.execute("DELETE FROM held WHERE decision = ?", (event,))
        if name in by_name and new.tag is not None and new.change is not None:
            _raise_highest(db, repository, by_name[name], new)
    _remind_of_others(db)
    return tuple(queued)


def drop(db: sqlite3.Connection, selector: EventSelector) -> tuple[int, ...]:
    """Let the selected held events go; their ids. They can still be replayed."""
    dropped = [event for event, _, _, _ in _held(db, selector)]
    db.executemany(
        "UPDATE decision SET outcome = ?, reason = 'dropped by hand' WHERE id = ?",
        [(Verdict.DROPPED.value, event) for event in dropped],
    )
    _remind_of_others(db)
    return tuple(dropped)


def replay(db: sqlite3.Connection, event: int, at: datetime) -> str:
    """Queue the run of an old event once more, under a key of its own; its id.

    Raises UnknownName when there is no such event; UsageError when it never had a run to queue, or
    when a rollback rejected its image.
    """
    row = db.execute(
        "SELECT d.execution, d.replays + 1, h.execution, d.outcome FROM decision d "
        "LEFT JOIN held h ON h.decision = d.id WHERE d.id = ?",
        (event,),
    ).fetchone()
    if row is None:
        raise UnknownName(f"there is no event {event}", hint="`watcher events ls` lists them")
    execution, number, held, outcome = row
    if outcome == Verdict.HELD.value:
        raise UsageError(f"event {event} is held", hint=f"`watcher events release {event}`")
    if execution is not None:
        new = _as_new(db, execution)
    elif held is not None:
        new = new_execution_from_json(json.loads(held))
    else:
        raise UsageError(
            f"event {event} did not fire ({outcome}), so there is nothing to replay",
            hint="`watcher trigger NAME --tag TAG --force` runs it by hand",
        )
    rejection = rejections.keeping_out(db, new)
    if rejection is not None:
        raise UsageError(f"event {event} can't run again: {rejection.why}")
    again = replace(new, key=f"{new.key}|replay-{event}-{number}", created=at)
    queueing.submit(db, again)
    db.execute("UPDATE decision SET replays = ? WHERE id = ?", (number, event))
    return again.id


def outlive(db: sqlite3.Connection, execution: str) -> None:
    """The run is let go: what a replay of its events would queue stays with them."""
    events = db.execute("SELECT id FROM decision WHERE execution = ?", (execution,)).fetchall()
    for (event,) in events:
        _keep(db, event, _as_new(db, execution))
        db.execute("UPDATE decision SET execution = NULL WHERE id = ?", (event,))


def _remind_of_others(db: sqlite3.Connection) -> None:
    from watcher.store import notices  # an idle pass tells nothing

    notices.of_decided(db)


def _write_decision(
    db: sqlite3.Connection, activity: int, decision: Decision, execution: str | None
) -> int:
    inserted = db.execute(
        "INSERT INTO decision (activity, trigger_name, outcome, reason, execution) "
        "VALUES (?, ?, ?, ?, ?)",
        (activity, decision.trigger, decision.verdict.value, decision.reason, execution),
    )
    return inserted.lastrowid or 0


def _keep(db: sqlite3.Connection, event: int, new: NewExecution) -> None:
    """What a person's word may queue."""
    db.execute(
        "INSERT INTO held (decision, execution) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (event, to_text(new_execution_to_json(new))),
    )


def _outcomes(db: sqlite3.Connection, activity: int) -> list[dict[str, Json]]:
    rows = db.execute(
        "SELECT trigger_name, outcome, reason, execution FROM decision "
        "WHERE activity = ? ORDER BY id",
        (activity,),
    )
    return [
        {"name": name, "outcome": outcome, "reason": reason, "execution": execution}
        for name, outcome, reason, execution in rows
    ]


def _held(
    db: sqlite3.Connection, selector: EventSelector
) -> list[tuple[int, int, str, NewExecution]]:
    """The selected held events: id, repository row, trigger, what they queue; rising."""
    rows = db.execute(
        "SELECT d.id, a.repository, d.trigger_name, h.execution "
        f"{_EVENT} JOIN held h ON h.decision = d.id "
        "WHERE d.outcome = ? AND (?2 IS NULL OR d.id = ?2) AND (?3 IS NULL OR d.batch = ?3) "
        "AND (?4 IS NULL OR d.trigger_name = ?4) AND (?5 IS NULL OR r.account = ?5) "
        "AND (?6 IS NULL OR r.name = ?6) ORDER BY d.id",
        (
            Verdict.HELD.value,
            selector.event,
            selector.batch,
            selector.trigger,
            selector.account,
            selector.repository,
        ),
    ).fetchall()
    return [
        (event, repository, trigger, new_execution_from_json(json.loads(text)))
        for event, repository, trigger, text in rows
    ]


def _raise_highest(
    db: sqlite3.Connection, repository: int, trigger: Trigger, new: NewExecution
) -> None:
    row = db.execute(
        "SELECT highest FROM trigger_state WHERE repository = ? AND trigger_name = ?",
        (repository, trigger.name),
    ).fetchone()
    before = TriggerState(highest=row[0] if row else None)
    change = Change(
        kind=ChangeKind(new.change or ""),
        tag=new.tag or "",
        digest=new.digest,
        previous_digest=None,
        number=0,
    )
    fired = Decision(trigger=trigger.name, change=change, verdict=Verdict.FIRED, reason="released")
    after = raised(trigger, before, (fired,))
    db.execute(
        "INSERT INTO trigger_state (repository, trigger_name, highest) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET highest = excluded.highest",
        (repository, trigger.name, after.highest),
    )
    db.execute("UPDATE repository SET generation = generation + 1 WHERE id = ?", (repository,))


def _as_new(db: sqlite3.Connection, identifier: str) -> NewExecution:
    """What was queued for an execution, to queue it again."""
    old = load_executions(db, "id = ?", (identifier,))[0]
    names: Mapping[str, Any] = {
        name: getattr(old, name) for name in NewExecution.__dataclass_fields__
    }
    return NewExecution(**names)

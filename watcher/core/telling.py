"""The notices of what the state file records: runs, rollbacks, held events, doubted listings. Pure.

Used by the store, which writes each in the transaction of what it tells of.
"""

from __future__ import annotations

from typing import Any

from watcher.core import stepping
from watcher.core.notice import Notice, NoticeEvent, NoticeKind, Trouble
from watcher.core.pipeline import Execution, ExecutionStatus
from watcher.core.poll import PollRecord
from watcher.core.verdict import Verdict

Json = Any


def of_execution(execution: Execution, before: ExecutionStatus | None) -> Notice | None:
    """Of a run that has ended, or that waits for a person from now on."""
    moment = execution.finished
    if execution.status is ExecutionStatus.WAITING:
        stage = stepping.current_stage(execution)
        is_new = before is not ExecutionStatus.WAITING
        if not is_new or stage is None or not stepping.waits_for_person(stage):
            return None
        moment = stage.suspended
    elif not execution.status.is_final:
        return None
    return Notice(
        event=NoticeEvent.EXECUTION,
        kind=execution.status.value,
        subject=execution.id,
        account=execution.account,
        text=f"{execution.pipeline.name} {execution.status.value}{_for_image(execution)}",
        detail=_lines(execution.reason, f"`watcher executions {execution.id}` shows it"),
        time=(moment or execution.created).timestamp(),
        facts=_facts(execution),
    )


def of_rollback(execution: Execution, index: int) -> Notice | None:
    """Of a stage whose work could not be taken back."""
    stage = execution.stages[index]
    if stage.undo_error is None:
        return None
    advice = "what the stage did is still there, in whole or in part"
    return Notice(
        event=NoticeEvent.ROLLBACK_FAILED,
        kind=NoticeKind.HAPPENED,
        subject=execution.id,
        account=execution.account,
        text=f"{execution.pipeline.name}: the rollback of {stage.name} failed"
        f"{_for_image(execution)}",
        detail=_lines(stage.undo_error, advice, f"`watcher executions {execution.id}` shows it"),
        time=(stage.undone or execution.created).timestamp(),
        facts={**_facts(execution), "stage": stage.name},
    )


def of_held(poll: PollRecord, batch: str | None) -> Notice | None:
    """Of events that wait for a person's word."""
    held = sum(decision.verdict is Verdict.HELD for decision in poll.decisions)
    if not held:
        return None
    return Notice(
        event=NoticeEvent.EVENTS_HELD,
        kind=NoticeKind.HAPPENED,
        subject=place_of(poll),
        account=poll.account,
        text=f"{place_of(poll)}: held events: {held}, batch {batch}",
        detail=f"`watcher events release {batch}` fires them, `watcher events drop {batch}` not",
        time=poll.at.timestamp(),
        facts={"repository": poll.repository, "batch": batch, "events": held},
    )


def of_waiting_events(poll: PollRecord) -> Trouble:
    """That a repository holds events, for as long as any of them waits."""
    place = place_of(poll)
    return Trouble(
        event=NoticeEvent.EVENTS_HELD,
        subject=place,
        account=poll.account,
        text=f"{place}: events are still held",
        detail=f"`watcher events ls` lists them; `watcher events release {place}` fires them, "
        f"`watcher events drop {place}` not",
        since=poll.at.timestamp(),
    )


def of_quarantine(poll: PollRecord) -> Trouble | None:
    """A listing that is not believed; it ends with a poll that is."""
    if poll.quarantine is None:
        return None
    return Trouble(
        event=NoticeEvent.LISTING_QUARANTINED,
        subject=place_of(poll),
        account=poll.account,
        text=f"{place_of(poll)}: a listing of only {poll.quarantine.listed} tags is doubted",
        detail="it lost too many tags at once; a later poll that says the same is believed",
        since=poll.at.timestamp(),
    )


def believed(poll: PollRecord) -> str:
    """What is told when the doubt is over."""
    return f"{place_of(poll)}: its listing is believed"


def place_of(poll: PollRecord) -> str:
    return f"{poll.account}/{poll.repository}"


def _for_image(execution: Execution) -> str:
    if execution.repository is None:
        return ""
    tag = f":{execution.tag}" if execution.tag is not None else ""
    return f" for {execution.account}/{execution.repository}{tag}"


def _facts(execution: Execution) -> dict[str, Json]:
    return {
        "execution": execution.id,
        "pipeline": execution.pipeline.name,
        "trigger": execution.trigger,
        "repository": execution.repository,
        "tag": execution.tag,
        "digest": execution.digest,
        "status": execution.status.value,
    }


def _lines(*lines: str | None) -> str:
    return "\n".join(line for line in lines if line)

"""What a person asks of runs, events and messages, as transactions on the state file: the same for
the command line and the API. What may not be is refused with the reason, and nothing is written
then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from watcher.core import stepping
from watcher.core.message import MessageStatus
from watcher.core.pipeline import Execution, ExecutionStatus
from watcher.core.trigger import Trigger
from watcher.core.verdict import Verdict
from watcher.errors import UnknownName, UsageError
from watcher.store.sqlite import EventSelector, Store

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What became of held events: the runs that were queued, and the events of images that a
    rollback has rejected since."""

    runs: tuple[Execution, ...]
    rejected: tuple[Event, ...]


def find_execution(store: Store | None, identifier: str) -> Execution:
    """By its id or the beginning of it; raises UnknownName when there is none."""
    found = store.execution(identifier) if store is not None else None
    if found is None:
        raise UnknownName(
            f"there is no execution {identifier!r}", hint="`watcher executions` lists them"
        )
    return found


def cancel(store: Store, identifier: str) -> Execution:
    """Ask for the end of a run; the run as it is then."""
    found = find_execution(store, identifier)
    if found.status.is_final:
        raise UsageError(f"execution {found.id} is over: {found.status.value}")
    store.request_cancel(found.id)
    return find_execution(store, found.id)


def retry(store: Store, identifier: str) -> Execution:
    """Queue a failed or canceled run again from the stage where it ended."""
    found = find_execution(store, identifier)
    if found.status not in (ExecutionStatus.FAILED, ExecutionStatus.CANCELED):
        raise UsageError(
            f"execution {found.id} is {found.status.value}",
            hint="only a failed or canceled run can be retried",
        )
    store.retry(found.id)
    return find_execution(store, found.id)


def decide(store: Store, identifier: str, *, approved: bool, person: str) -> Execution:
    """Approve or reject the stage of a run that waits for a person."""
    found = find_execution(store, identifier)
    waiting = [stage for stage in found.stages if stepping.waits_for_person(stage)]
    if found.status.is_final or not waiting:
        raise UsageError(f"no stage of execution {found.id} waits for a person")
    if not store.decide(found.id, waiting[0].index, approved=approved, person=person):
        raise UsageError(f"stage {waiting[0].name!r} was decided about already")
    return find_execution(store, found.id)


def release(store: Store, selector: str, triggers: Iterable[Trigger]) -> Released:
    """Queue the runs of held events, in rising order of their tags. `triggers` are the config's."""
    chosen, taken = _held(store, selector)
    queued = store.release(chosen, triggers)
    runs = tuple(run for run in map(store.execution, queued) if run is not None)
    rejected = tuple(e for e in store.events(Verdict.REJECTED.value) if e["id"] in taken)
    return Released(runs=runs, rejected=rejected)


def drop(store: Store, selector: str) -> tuple[int, ...]:
    """Let held events go; their ids."""
    chosen, _ = _held(store, selector)
    return store.drop(chosen)


def replay(store: Store, event: int) -> Execution:
    """Queue the run of an old event once more; the new run."""
    return find_execution(store, store.replay(event))


def clear(store: Store, number: int) -> int:
    """Let the image of this rejection go again; its number."""
    if not store.clear_rejections([number]):
        raise UnknownName(
            f"there is no rejection {number}", hint="`watcher events rejected` lists them"
        )
    return number


def send_again(store: Store, numbers: Iterable[int]) -> list[int]:
    """Send messages again that were given up, and such that wait at once; their numbers."""
    chosen = _unsent(store, numbers)
    store.outbox.retry(chosen)
    return chosen


def forget(store: Store, numbers: Iterable[int]) -> list[int]:
    """Forget messages that wait or were given up; their numbers."""
    chosen = _unsent(store, numbers)
    store.outbox.drop(chosen)
    return chosen


def _unsent(store: Store, numbers: Iterable[int]) -> list[int]:
    """These messages, each once; raises UnknownName for one that there is not, UsageError for one
    that was sent."""
    known = {message.id: message.status for message in store.outbox.messages()}
    chosen = sorted(set(numbers))
    for number in chosen:
        if number not in known:
            raise UnknownName(
                f"there is no message {number}", hint="`watcher notify ls` lists them"
            )
        if known[number] is MessageStatus.SENT:
            raise UsageError(f"message {number} was sent already")
    return chosen


def _held(store: Store, selector: str) -> tuple[EventSelector, frozenset[int]]:
    """The selector and the events it takes; raises UsageError when that is none of the held."""
    chosen = EventSelector.parse(selector)
    held = store.events(Verdict.HELD.value)
    taken = frozenset(event["id"] for event in held if _takes(chosen, event))
    if not taken:
        batches = sorted({str(event["batch"]) for event in held})
        raise UsageError(
            f"{selector!r} takes no held event",
            hint=f"held are the batches {', '.join(batches)}" if batches else "nothing is held",
        )
    return chosen, taken


def _takes(chosen: EventSelector, event: Event) -> bool:
    wanted = {
        "id": chosen.event,
        "batch": chosen.batch,
        "trigger": chosen.trigger,
        "account": chosen.account,
        "repository": chosen.repository,
    }
    return all(value in (None, event[key]) for key, value in wanted.items())

"""What is told stands in the transaction of what it tells of, and becomes each notifier's messages
once: grouped, tried again, given up, and the same whichever process looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.store.builders import ACCOUNT, NOW, REPOSITORY, baseline, fired, held, pipeline, run_of
from watcher.core import stepping, undoing
from watcher.core.change import Quarantine
from watcher.core.message import MOST_ITEMS, Message, MessageStatus
from watcher.core.notice import Notice, NoticeEvent, NoticeKind, Trouble
from watcher.core.notifier import Audience, Notifier
from watcher.core.pipeline import ExecutionStatus, Waiting, Wish
from watcher.errors import StateUnwritable
from watcher.store import maintenance
from watcher.store.sqlite import EventSelector, Store

OPS = Notifier(name="ops")
PLACE = f"{ACCOUNT}/{REPOSITORY}"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[Store]:
    with Store.open(path, clock=clock) as opened:
        yield opened


def told(store: Store, *notifiers: Notifier, **wishes: tuple[Wish, ...]) -> list[Message]:
    """What stands in the outbox after what is pending went into it, oldest first."""
    store.outbox.fill(Audience(notifiers or (OPS,), wishes))
    return store.outbox.messages()[::-1]


def stale(name: str = "acme/web", **changes: Any) -> Trouble:
    return Trouble(
        event=NoticeEvent.REPOSITORY_STALE,
        subject=f"{ACCOUNT}/{name}",
        account=ACCOUNT,
        text=f"{name} is stale",
        since=NOW.timestamp(),
    )._replace(**changes)


# In the transaction of what is told


def ended(store: Store, status: ExecutionStatus, reason: str | None = None) -> str:
    new = run_of()
    store.submit(new)
    (execution,) = store.claim(NOW, (), 1).executions
    store.save(stepping.finish(execution, status, reason, NOW), None, None)
    return new.id


def test_a_run_that_failed_is_told_with_its_reason(store: Store) -> None:
    identifier = ended(store, ExecutionStatus.FAILED, "the rollout failed")
    (message,) = told(store)
    assert (message.event, message.kind) == ("execution", "FAILED")
    assert message.title == "deploy FAILED for dockerhub/acme/demoapp:1.0"
    assert message.text.startswith("the rollout failed\n")
    assert message.items[0]["execution"] == identifier


@pytest.mark.parametrize(
    ("status", "wishes", "count"),
    [
        (ExecutionStatus.SUCCEEDED, (), 0),
        (ExecutionStatus.CANCELED, (), 0),
        (ExecutionStatus.FAILED, (), 1),
        (ExecutionStatus.FAILED, (Wish(notifier="ops"),), 1),
        (
            ExecutionStatus.SUCCEEDED,
            (Wish(notifier="ops", statuses=frozenset({ExecutionStatus.SUCCEEDED})),),
            1,
        ),
        (ExecutionStatus.SUCCEEDED, (Wish(notifier="dev"),), 0),
    ],
    ids=["succeeded", "canceled", "failed", "failed, twice wanted", "by status", "other notifier"],
)
def test_who_is_told_of_a_run(
    status: ExecutionStatus, wishes: tuple[Wish, ...], count: int, store: Store
) -> None:
    ended(store, status)
    assert len(told(store, deploy=wishes)) == count


def test_a_notifier_without_events_is_told_of_the_pipelines_that_name_it(store: Store) -> None:
    ended(store, ExecutionStatus.FAILED)
    silent = Notifier(name="silent", events=frozenset())
    dev = Notifier(name="dev", events=frozenset())
    messages = told(store, silent, dev, deploy=(Wish(notifier="dev"),))
    assert [message.notifier for message in messages] == ["dev"]


def test_a_run_that_waits_for_a_person_is_told_once(store: Store) -> None:
    store.submit(run_of())
    (execution,) = store.claim(NOW, (), 1).executions
    begun = store.save_start(stepping.begin(execution, 0, NOW), 0)
    waiting = Waiting(None, stepping.FOR_PERSON)
    waits = stepping.conclude(begun, 0, waiting, NOW)
    for _ in range(2):
        waits = store.save(replace(waits, status=ExecutionStatus.WAITING), 0, None)
    assert [message.kind for message in told(store)] == ["WAITING"]
    assert store.outbox.messages()[0].count == 1


def test_a_run_that_waits_for_time_is_not_told(store: Store) -> None:
    store.submit(run_of())
    (execution,) = store.claim(NOW, (), 1).executions
    begun = store.save_start(stepping.begin(execution, 0, NOW), 0)
    later = NOW + timedelta(minutes=5)
    waits = stepping.conclude(begun, 0, Waiting(later, "time"), NOW)
    store.save(replace(waits, status=ExecutionStatus.WAITING), 0, later)
    assert told(store) == []


def test_a_rollback_that_failed_is_told_once(store: Store) -> None:
    store.submit(run_of(of=pipeline("note")))
    (execution,) = store.claim(NOW, (), 1).executions
    failed = undoing.conclude_undo(execution, 0, "the cluster is gone", NOW)
    for _ in range(2):
        store.save(failed, 0, None)
    (message,) = told(store)
    assert (message.event, message.count) == ("rollback_failed", 1)
    assert "the cluster is gone" in message.text


def test_held_events_are_told_with_their_batch(store: Store) -> None:
    store.record_poll(baseline())
    store.record_poll(held("1.0", "1.1"))
    (message,) = told(store)
    assert message.title == f"{PLACE}: held events: 2, batch b1"
    assert "watcher events release b1" in message.text


def test_of_events_that_are_held_who_may_decide_is_reminded_until_somebody_did(
    store: Store, clock: Clock
) -> None:
    store.record_poll(baseline())
    store.record_poll(held("1.0", "1.1"))
    store.record_poll(held("1.2"))
    assert [(message.kind, message.count) for message in told(store)] == [("happened", 2)]
    clock.passes(hours=25)
    reminder = told(store)[-1]
    assert (reminder.kind, reminder.count, reminder.severity) == ("reminder", 1, "warning")
    assert reminder.title == f"{PLACE}: events are still held"
    assert f"watcher events release {PLACE}" in reminder.text
    store.drop(EventSelector.parse("b1"))
    clock.passes(hours=24)
    assert [message.kind for message in told(store)] == ["happened", "reminder", "reminder"]
    store.release(EventSelector.parse("b3"))
    clock.passes(hours=24)
    assert len(told(store)) == 3
    store.record_poll(held("1.3"))
    clock.passes(hours=25)
    assert [message.kind for message in told(store)[3:]] == ["happened", "reminder"]


def test_a_quarantine_is_told_once_and_so_is_its_end(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    doubt = Quarantine(since=NOW, fingerprint="f", listed=0)
    for _ in range(3):
        store.record_poll(replace(baseline(), baseline=None, quarantine=doubt))
    store.record_poll(fired("1.1"))
    store.record_poll(fired("1.2"))
    assert [(message.event, message.kind, message.count) for message in told(store)] == [
        ("listing_quarantined", "begun", 1),
        ("listing_quarantined", "over", 1),
    ]


@pytest.mark.parametrize("point", ["outcome.before_commit", "fill.before_commit"])
def test_what_is_not_committed_is_not_told_and_what_is_is_not_lost(
    point: str, path: Path, clock: Clock
) -> None:
    strikes = [point]

    def fault(reached: str) -> None:
        if reached in strikes:
            strikes.remove(reached)
            raise StateUnwritable("the disk is full")

    with Store.open(path, clock=clock, fault=fault) as store:
        store.submit(run_of())
        (execution,) = store.claim(NOW, (), 1).executions
        failed = stepping.finish(execution, ExecutionStatus.FAILED, None, NOW)
        for _ in range(2):
            try:
                store.save(failed, None, None)
                told(store)
            except StateUnwritable:
                with Store.open(path, clock=clock) as other:
                    assert other.outbox.messages() == []
    with Store.open(path, clock=clock) as store:
        assert [message.count for message in told(store)] == [1]


# Troubles


def test_a_trouble_is_told_once_whoever_looks(path: Path, store: Store) -> None:
    assert store.outbox.settle([stale()], []) == 1
    with Store.open(path) as other:
        assert other.outbox.settle([stale()], []) == 0
        assert other.outbox.troubles() == [stale()]
        assert other.outbox.settle([], [(stale(), "it is polled again")]) == 1
        assert other.outbox.settle([], [(stale(), "it is polled again")]) == 0
    assert [(message.kind, message.count) for message in told(store)] == [("begun", 1), ("over", 1)]


def test_a_trouble_that_lasts_is_told_again_at_its_time(store: Store, clock: Clock) -> None:
    store.outbox.settle([stale()], [])
    hourly = OPS._replace(remind=timedelta(hours=1))
    daily = Notifier(name="daily")
    told(store, hourly, daily)
    for _ in range(12):
        clock.passes(minutes=10)
        told(store, hourly, daily)
        told(store, hourly, daily)
    reminders = [m for m in store.outbox.messages() if m.kind == NoticeKind.REMINDER]
    assert [(m.notifier, m.count) for m in reminders] == [("ops", 1), ("ops", 1)]


@pytest.mark.parametrize(
    ("begun", "looked"),
    [
        pytest.param(timedelta(), timedelta(days=365), id="told again by a clock a year ahead"),
        pytest.param(timedelta(days=365), timedelta(days=365), id="begun by such a clock"),
    ],
)
def test_who_is_told_again_does_not_wait_until_the_time_of_a_wrong_clock_comes(
    begun: timedelta, looked: timedelta, store: Store, clock: Clock
) -> None:
    hourly = OPS._replace(remind=timedelta(hours=1))
    clock.now = NOW + looked
    store.outbox.settle([stale(since=(NOW + begun).timestamp())], [])
    told(store, hourly)
    clock.now = NOW + timedelta(days=1)
    before = len(told(store, hourly))
    for _ in range(3):
        clock.passes(hours=1, seconds=1)
        told(store, hourly)
    assert sum(m.count for m in told(store, hourly)) - before >= 2


def test_only_who_wants_it_is_told(store: Store) -> None:
    store.outbox.settle([stale()], [])
    here = Notifier(name="here", accounts=frozenset({ACCOUNT}))
    elsewhere = Notifier(name="elsewhere", accounts=frozenset({"gcr"}))
    deaf = Notifier(name="deaf", events=frozenset({NoticeEvent.EXECUTION}))
    assert [message.notifier for message in told(store, here, elsewhere, deaf)] == ["here"]


def test_without_notifiers_nothing_is_kept(store: Store) -> None:
    ended(store, ExecutionStatus.FAILED)
    store.outbox.fill(Audience())
    assert told(store) == []


def test_where_there_is_nothing_nothing_is_written(store: Store) -> None:
    before = store.commits
    store.outbox.fill(Audience((OPS,)))
    assert store.outbox.due() == {}
    assert store.commits == before


# Grouping


def test_a_thousand_of_a_kind_are_one_message(store: Store) -> None:
    store.outbox.settle([stale(f"acme/{number}") for number in range(1000)], [])
    (message,) = told(store)
    assert (message.count, len(message.items)) == (1000, MOST_ITEMS)
    assert message.title == "1000 repositories or accounts are stale"
    assert message.text.splitlines()[-1] == "and 980 more"


def test_what_comes_within_the_window_joins_and_what_comes_later_does_not(
    store: Store, clock: Clock
) -> None:
    for number in range(3):
        store.outbox.settle([stale(f"acme/{number}")], [])
        told(store)
        clock.passes(seconds=20)
    assert [message.count for message in told(store)] == [2, 1]


def test_a_message_that_was_tried_takes_no_more(store: Store, clock: Clock) -> None:
    store.outbox.settle([stale("acme/1")], [])
    told(store)
    clock.passes(minutes=1)
    assert store.outbox.take("ops") is not None
    clock.passes(minutes=-1)  # the clock is set back while it is on its way
    store.outbox.settle([stale("acme/2")], [])
    assert [message.count for message in told(store)] == [1, 1]


@pytest.mark.parametrize("was_tried", [False, True])
def test_what_a_wrong_clock_wrote_does_not_wait_until_that_time_comes_again(
    was_tried: bool, store: Store, clock: Clock
) -> None:
    clock.passes(days=365)
    store.outbox.settle([stale("acme/1", since=clock().timestamp())], [])
    told(store)
    if was_tried:
        clock.passes(minutes=1)
        tried = store.outbox.take("ops")
        assert tried is not None
        store.outbox.failed(tried.id, "refused", timedelta(minutes=5))
    clock.passes(days=-365)
    store.outbox.settle([stale("acme/2")], [])
    assert [message.count for message in told(store)] == [1, 1], "nothing more joins the first"
    assert store.outbox.due() == {"ops": False}
    taken = store.outbox.take("ops")
    assert taken is not None
    assert taken.items[0]["subject"] == f"{ACCOUNT}/acme/1"
    assert store.outbox.take("ops") is None, "the second gathers"


# Sending


def two_waiting(store: Store, clock: Clock) -> list[Message]:
    for kind in (NoticeKind.BEGUN, NoticeKind.OVER):
        event = NoticeEvent.CONFIG_REJECTED
        store.outbox.tell(Notice(event=event, kind=kind, subject="c", text=kind, time=0))
    messages = told(store)
    clock.passes(minutes=1)
    return messages


def test_messages_go_in_their_order_and_once(store: Store, clock: Clock) -> None:
    first, second = two_waiting(store, clock)
    assert store.outbox.due() == {"ops": False}
    for expected in (first, second):
        taken = store.outbox.take("ops")
        assert taken is not None
        assert (taken.id, taken.key, taken.attempts) == (expected.id, expected.key, 1)
        store.outbox.sent(taken.id)
    assert store.outbox.take("ops") is None
    assert store.outbox.due() == {}


def test_a_process_that_dies_while_it_sends_sends_the_same_again(
    path: Path, store: Store, clock: Clock
) -> None:
    two_waiting(store, clock)
    taken = store.outbox.take("ops")
    with Store.open(path, clock=clock) as other:
        again = other.outbox.take("ops")
    assert taken is not None
    assert again is not None
    assert (again.key, again.attempts) == (taken.key, 2)


def test_after_five_attempts_others_go_first(store: Store, clock: Clock) -> None:
    first, second = two_waiting(store, clock)
    for _ in range(5):
        taken = store.outbox.take("ops")
        assert taken is not None
        assert taken.id == first.id
        store.outbox.failed(taken.id, "no", timedelta())
    taken = store.outbox.take("ops")
    assert taken is not None
    assert taken.id == second.id


def test_a_refused_message_waits_and_lets_the_next_go(store: Store, clock: Clock) -> None:
    first, second = two_waiting(store, clock)
    store.outbox.take("ops")
    store.outbox.failed(first.id, "ops answered 400", timedelta(minutes=5))
    taken = store.outbox.take("ops")
    assert taken is not None
    assert taken.id == second.id
    store.outbox.sent(second.id)
    assert store.outbox.take("ops") is None
    clock.passes(minutes=6)
    again = store.outbox.take("ops")
    assert again is not None
    assert (again.id, again.error) == (first.id, "ops answered 400")


def test_dead_messages_are_listed_sent_again_and_dropped(store: Store, clock: Clock) -> None:
    first, second = two_waiting(store, clock)
    store.outbox.failed(first.id, "gone", None)
    assert [m.id for m in store.outbox.messages(MessageStatus.DEAD)] == [first.id]
    assert store.outbox.retry([first.id, 99]) == 1
    assert store.outbox.due() == {"ops": True}
    assert store.outbox.messages(MessageStatus.DEAD) == []
    assert store.outbox.drop([first.id, second.id]) == 2
    assert store.outbox.messages() == []


def test_what_is_sent_again_is_as_old_as_before_but_waits_anew(store: Store, clock: Clock) -> None:
    first, second = two_waiting(store, clock)
    clock.passes(days=4)
    store.outbox.retry([first.id])
    taken = store.outbox.take("ops")
    assert taken is not None
    assert (taken.id, taken.created) == (first.id, first.created)
    assert taken.waits_since == clock.now.timestamp()
    store.outbox.failed(taken.id, "no", timedelta(minutes=5))
    assert store.outbox.bury_older("ops", timedelta(days=3), "no") == 1
    (dead,) = store.outbox.messages(MessageStatus.DEAD)
    assert dead.id == second.id


def test_what_was_sent_is_neither_dropped_nor_sent_again_and_forgotten_in_time(
    store: Store, clock: Clock
) -> None:
    first, _ = two_waiting(store, clock)
    store.outbox.take("ops")
    store.outbox.sent(first.id)
    assert (store.outbox.drop([first.id]), store.outbox.retry([first.id])) == (0, 0)
    assert store.outbox.forget_sent(clock.now) == 0
    clock.passes(days=7)
    assert store.outbox.forget_sent(clock.now) == 1


def test_what_waits_for_a_notifier_that_is_gone_is_given_up(store: Store, clock: Clock) -> None:
    two_waiting(store, clock)
    store.outbox.bury_orphans(["ops"])
    assert store.outbox.messages(MessageStatus.DEAD) == []
    store.outbox.bury_orphans(["dev"])
    dead = store.outbox.messages(MessageStatus.DEAD)
    assert {message.error for message in dead} == {"no notifier of this name is in the config"}


def test_the_outbox_is_part_of_an_export(
    path: Path, tmp_path: Path, store: Store, clock: Clock
) -> None:
    messages = two_waiting(store, clock)
    store.outbox.settle([stale()], [])
    copy = tmp_path / "copy.db"
    maintenance.import_state(maintenance.export_state(path), copy)
    with Store.open(copy, clock=clock) as other:
        assert other.outbox.messages()[::-1] == messages
        assert other.outbox.troubles() == [stale()]

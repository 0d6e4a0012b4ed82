"""Runs in the state file: queued once, claimed oldest first, ended once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.store.builders import NOW, pipeline, run_of
from watcher.core import stepping
from watcher.core.pipeline import (
    ConcurrencyPolicy,
    Done,
    Execution,
    ExecutionStatus,
    Failed,
    NewExecution,
    StageStatus,
    Waiting,
)
from watcher.errors import UsageError
from watcher.store.sqlite import Store

LATER = NOW + timedelta(minutes=5)


def begin(store: Store, new: NewExecution) -> Execution:
    """Queue, claim, and start the first stage."""
    store.submit(new)
    (execution,) = store.claim(NOW, (), 1).executions
    return store.save_start(stepping.begin(execution, 0, NOW), 0)


def conclude(store: Store, execution: Execution, outcome: Done | Failed | Waiting) -> Execution:
    after = stepping.conclude(execution, 0, outcome, NOW, "said so")
    step = stepping.next_step(after, NOW)
    wake = step.until if isinstance(step, stepping.Sleep) else NOW
    if isinstance(step, stepping.Finish):
        after = stepping.finish(after, step.status, step.reason, NOW)
    return store.save(after, 0, wake)


def waiting(store: Store, new: NewExecution, waiting_for: str) -> Execution:
    return conclude(store, begin(store, new), Waiting(None, waiting_for, {"seen": 1}))


def stored(store: Store, identifier: str) -> Execution:
    execution = store.execution(identifier)
    assert execution is not None
    return execution


def test_a_key_queues_once_for_ever(store: Store) -> None:
    assert store.submit(run_of("1.0"))
    assert not store.submit(run_of("1.0"))
    conclude(store, begin(store, run_of("1.0")), Done())
    assert not store.submit(run_of("1.0"))
    assert len(store.executions()) == 1


def test_a_run_is_stored_with_all_it_was_given(store: Store) -> None:
    new = run_of("1.0", of=pipeline("render", "command"))
    store.submit(new)
    execution = stored(store, new.id)
    for name in NewExecution.__dataclass_fields__:
        assert getattr(execution, name) == getattr(new, name), name
    assert [(s.name, s.status) for s in execution.stages] == [
        ("render-0", StageStatus.PENDING),
        ("command-1", StageStatus.PENDING),
    ]


def test_a_claim_takes_the_oldest_first_and_only_what_may_run_at_once(store: Store) -> None:
    for tag in ("1.0", "1.1"):
        store.submit(run_of(tag))
    store.submit(run_of("2.0", of=pipeline(name="other")))
    assert [e.tag for e in store.claim(NOW, (), 5).executions] == ["1.0", "2.0"]
    assert store.claim(NOW, {e.id for e in store.executions()}, 5).executions == []


def test_what_a_stopped_process_left_is_claimed_before_all_else(store: Store) -> None:
    store.submit(run_of("1.0"))
    store.claim(NOW, (), 5)
    store.submit(run_of("1.1", of=pipeline(name="other")))
    assert [e.tag for e in store.claim(NOW, (), 5).executions] == ["1.0", "1.1"]


def test_no_more_are_claimed_than_there_are_slots(store: Store) -> None:
    for number in range(5):
        store.submit(run_of(str(number), of=pipeline(name=f"p{number}")))
    assert [e.tag for e in store.claim(NOW, (), 2).executions] == ["0", "1"]
    assert store.claim(NOW, (), 0).executions == []


@pytest.mark.parametrize(
    ("policy", "begun", "skipped"),
    [
        pytest.param(ConcurrencyPolicy.QUEUE, ["0"], [], id="queue"),
        pytest.param(ConcurrencyPolicy.NEWEST, ["2"], ["0", "1"], id="newest"),
        pytest.param(ConcurrencyPolicy.SKIP, ["0"], ["1", "2"], id="skip"),
    ],
)
def test_a_pipeline_s_policy_says_what_the_others_do(
    store: Store, policy: ConcurrencyPolicy, begun: list[str], skipped: list[str]
) -> None:
    for number in range(3):
        store.submit(run_of(str(number), of=pipeline(policy=policy)))
    claimed = store.claim(NOW, (), 5)
    assert [e.tag for e in claimed.executions] == begun
    assert [(e.tag, e.status) for e in claimed.settled] == [
        (tag, ExecutionStatus.SKIPPED) for tag in skipped
    ]
    assert all(e.reason and e.finished == NOW for e in claimed.settled)


def test_a_run_that_waits_keeps_its_place_in_its_pipeline(store: Store) -> None:
    waiting(store, run_of("1.0"), "person")
    store.submit(run_of("1.1"))
    assert store.claim(LATER, (), 5).executions == []


def test_a_run_that_waits_for_time_is_due_when_it_is_over(store: Store) -> None:
    execution = begin(store, run_of())
    conclude(store, execution, Waiting(LATER, "the time", {"until": "then"}))
    assert store.next_wake() == LATER.timestamp()
    assert store.claim(LATER - timedelta(seconds=1), (), 5).executions == []
    (due,) = store.claim(LATER, (), 5).executions
    assert due.stages[0].resumed == {"until": "then"}
    assert due.stages[0].log == "said so"


def test_what_began_to_wait_by_a_clock_that_was_set_back_is_looked_at_once(store: Store) -> None:
    before = NOW - timedelta(days=365)
    execution = begin(store, run_of())
    conclude(store, execution, Waiting(LATER, "the time", {"until": "then"}))
    (due,) = store.claim(before, (), 5).executions
    assert stepping.next_step(due, before) == stepping.RunStage(0)
    again = stepping.begin(due, 0, before)
    soon = before + timedelta(minutes=5)
    waits = stepping.conclude(again, 0, Waiting(soon, "the time", {}), before)
    store.save(waits, 0, soon)
    assert store.claim(before, (), 5).executions == []


def test_who_waits_for_a_person_goes_on_waiting_whatever_the_clock(store: Store) -> None:
    waiting(store, run_of("1.0"), "person")
    assert store.claim(NOW - timedelta(days=365), (), 5).executions == []


def test_a_run_that_waits_for_one_that_has_ended_is_due_at_once(store: Store) -> None:
    child, parent = run_of("child", of=pipeline(name="child")), run_of("parent")
    conclude(store, begin(store, child), Done())
    waiting(store, parent, f"execution:{child.id}")
    assert [e.id for e in store.claim(NOW, (), 5).executions] == [parent.id]


def test_a_run_that_waits_for_another_is_due_when_that_ends(store: Store) -> None:
    child, parent = run_of("child", of=pipeline(name="child")), run_of("parent")
    begun = begin(store, child)
    store.submit(parent)
    (claimed,) = store.claim(NOW, {child.id}, 1).executions
    started = store.save_start(stepping.begin(claimed, 0, NOW), 0)
    conclude(store, started, Waiting(None, f"execution:{child.id}"))
    assert store.claim(NOW, {child.id}, 5).executions == []
    assert store.next_wake(without_people=True) is None
    conclude(store, begun, Failed("no"))
    assert [e.id for e in store.claim(NOW, (), 5).executions] == [parent.id]


def test_a_run_that_waits_for_one_that_is_not_there_is_due_at_once(store: Store) -> None:
    waiting(store, run_of(), "execution:0000000000000000")
    assert len(store.claim(NOW, (), 5).executions) == 1


@pytest.mark.parametrize("early", [True, False], ids=["before it waits", "while it waits"])
def test_the_first_decision_stands_and_wakes_the_run(store: Store, early: bool) -> None:
    new = run_of()
    if early:
        store.submit(new)
        assert store.decide(new.id, 0, approved=True, person="ann")
        waiting(store, new, "person")
    else:
        waiting(store, new, "person")
        assert store.claim(LATER, (), 5).executions == []
        assert store.decide(new.id, 0, approved=True, person="ann")
    assert not store.decide(new.id, 0, approved=False, person="bob")
    (due,) = store.claim(NOW, (), 5).executions
    approval = due.stages[0].approval
    assert approval is not None
    assert (approval.approved, approval.person, approval.time) == (True, "ann", NOW)


def test_nobody_decides_about_what_has_ended_or_never_was(store: Store) -> None:
    ended = conclude(store, begin(store, run_of()), Done())
    assert not store.decide(ended.id, 0, approved=True, person="ann")
    assert not store.decide("unknown", 0, approved=True, person="ann")


@pytest.mark.parametrize("status", [ExecutionStatus.QUEUED, ExecutionStatus.WAITING])
def test_cancel_ends_at_once_what_no_process_has_in_hand(
    store: Store, status: ExecutionStatus
) -> None:
    new = run_of()
    store.submit(new) if status is ExecutionStatus.QUEUED else waiting(store, new, "person")
    assert store.request_cancel(new.id)
    execution = stored(store, new.id)
    assert (execution.status, execution.finished) == (ExecutionStatus.CANCELED, NOW)
    assert not store.request_cancel(new.id)
    assert store.claim(LATER, (), 5).executions == []


def test_cancel_of_a_running_one_is_a_request_to_its_runner(store: Store) -> None:
    execution = begin(store, run_of())
    assert store.request_cancel(execution.id)
    assert stored(store, execution.id).status is ExecutionStatus.RUNNING
    assert store.canceled([execution.id, "unknown"]) == [execution.id]


def test_cancel_reaches_the_runs_that_a_run_started(store: Store) -> None:
    parent, child = run_of("parent"), run_of("child", of=pipeline(name="child"))
    waiting(store, parent, f"execution:{child.id}")
    store.submit(child, parent=parent.id)
    store.request_cancel(parent.id)
    assert stored(store, child.id).status is ExecutionStatus.CANCELED
    assert stored(store, child.id).parent == parent.id


def test_a_run_that_ended_is_never_written_again(store: Store) -> None:
    execution = begin(store, run_of())
    ended = conclude(store, execution, Failed("no"))
    late = store.save(stepping.conclude(execution, 0, Done(), LATER), 0, None)
    assert late == ended
    assert stored(store, execution.id).stages[0].status is StageStatus.FAILED


def test_retry_goes_on_at_the_failed_stage_and_keeps_what_came_before(store: Store) -> None:
    new = run_of(of=pipeline("note", "note"))
    first = conclude(store, begin(store, new), Done({"n": 1}))
    begun = store.save_start(stepping.begin(first, 1, NOW), 1)
    failed = stepping.conclude(begun, 1, Failed("no"), NOW)
    store.save(stepping.finish(failed, ExecutionStatus.FAILED, "no", NOW), 1, None)
    assert store.retry(new.id)
    again = stored(store, new.id)
    assert (again.status, again.reason, again.finished) == (ExecutionStatus.QUEUED, None, None)
    assert [s.status for s in again.stages] == [StageStatus.SUCCEEDED, StageStatus.PENDING]
    assert again.stages[0].outputs == {"n": 1}
    assert again.stages[1].attempts == 0


def test_only_failed_and_canceled_runs_are_retried(store: Store) -> None:
    assert not store.retry("unknown")
    ended = conclude(store, begin(store, run_of()), Done())
    assert not store.retry(ended.id)
    store.submit(run_of("2.0"))
    assert not store.retry(run_of("2.0").id)


def test_a_run_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    for number in range(40):
        store.submit(run_of(str(number)))
    one = run_of("7")
    found = store.execution(one.id[:12])
    assert found is not None
    assert found.id == one.id
    assert store.execution("zz") is None
    assert store.execution("") is None
    letters = Counter(execution.id[0] for execution in store.executions())
    with pytest.raises(UsageError):
        store.execution(letters.most_common(1)[0][0])


def test_lists_are_newest_first_and_leave_logs_on_the_disk(store: Store) -> None:
    ended = conclude(store, begin(store, run_of("1.0")), Done())
    store.submit(run_of("1.1", of=pipeline(name="other")))
    assert [e.tag for e in store.executions()] == ["1.1", "1.0"]
    assert [e.tag for e in store.executions(limit=1)] == ["1.1"]
    assert [e.tag for e in store.executions(status=ExecutionStatus.SUCCEEDED)] == ["1.0"]
    assert [e.tag for e in store.executions(pipeline="other")] == ["1.1"]
    assert store.executions(pipeline="deploy")[0].stages[0].log == ""
    assert stored(store, ended.id).stages[0].log == "said so"


def test_what_a_stage_says_is_kept_whatever_it_says(store: Store) -> None:
    execution = begin(store, run_of())
    odd = "zero \0 and a lone surrogate \udcff and ünïcode"
    store.save_logs({(execution.id, 0): odd})
    assert stored(store, execution.id).stages[0].log == odd.replace("\udcff", "?")
    ended = stepping.conclude(execution, 0, Done({"odd": odd}), NOW, odd)
    store.save(replace(ended, reason=odd), 0, None)
    assert stored(store, execution.id).stages[0].outputs == {"odd": odd}


def test_a_run_that_its_caller_has_in_hand_is_never_claimed_again(store: Store) -> None:
    due = waiting(store, run_of("1.0"), "clock")
    store.save(due, 0, NOW)
    assert store.claim(NOW, {due.id}, 5).executions == []
    assert [e.id for e in store.claim(NOW, (), 5).executions] == [due.id]


def test_a_retried_run_waits_until_its_caller_let_go_of_it(store: Store) -> None:
    failed = conclude(store, begin(store, run_of("1.0")), Failed("no"))
    assert store.retry(failed.id)
    assert store.claim(NOW, {failed.id}, 5).executions == []
    assert [e.id for e in store.claim(NOW, (), 5).executions] == [failed.id]


def test_a_cancellation_just_before_a_stage_begins_to_wait_is_not_lost(store: Store) -> None:
    execution = begin(store, run_of("1.0"))
    assert store.request_cancel(execution.id)
    conclude(store, execution, Waiting(None, stepping.FOR_PERSON, None))
    assert store.next_wake() == 0
    (claimed,) = store.claim(NOW, (), 5).executions
    assert stepping.next_step(claimed, NOW) == stepping.Finish(
        ExecutionStatus.CANCELED, "canceled on request"
    )


def test_what_a_canceled_run_still_starts_is_canceled_with_it(store: Store) -> None:
    parent = begin(store, run_of("1.0"))
    store.request_cancel(parent.id)
    child = run_of("1.0", number=2, of=pipeline(name="other"))
    store.submit(child, parent.id)
    assert stored(store, child.id).status is ExecutionStatus.CANCELED
    assert store.claim(NOW, {parent.id}, 5).executions == []

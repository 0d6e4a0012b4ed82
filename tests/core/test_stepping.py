"""What comes next in an execution, whatever happened before: a table of states and steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from watcher.core import retrying, stepping
from watcher.core.admission import admit
from watcher.core.pipeline import (
    Approval,
    Concurrency,
    ConcurrencyPolicy,
    Done,
    Execution,
    ExecutionStatus,
    Failed,
    OnFailure,
    Pipeline,
    Retry,
    Skipped,
    StageRun,
    StageSpec,
    StageStatus,
    Waiting,
)
from watcher.core.undoing import MOST_STARTS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def running(*stages: StageSpec, **values: Any) -> Execution:
    """An execution that began now; its stages are still to come."""
    specs = stages or (StageSpec(name="one", type="note", options={}),)
    return Execution(
        id="0" * 16,
        key="key",
        trigger="t",
        pipeline=Pipeline(name="deploy", stages=specs),
        status=ExecutionStatus.RUNNING,
        account="a",
        repository="r",
        tag="1.0",
        digest=None,
        change="new",
        created=NOW,
        started=NOW,
        finished=None,
        parameters={},
        source={},
        stages=tuple(
            StageRun(index=index, name=spec.name, type=spec.type)
            for index, spec in enumerate(specs)
        ),
        **values,
    )


def spec(name: str = "one", **values: Any) -> StageSpec:
    return StageSpec(name=name, type="note", options={}, **values)


def with_stage(execution: Execution, index: int = 0, **values: Any) -> Execution:
    stages = list(execution.stages)
    stages[index] = replace(stages[index], **values)
    return replace(execution, stages=tuple(stages))


def waiting(waiting_for: str, **values: Any) -> Execution:
    values = {"suspended": NOW, **values}
    return with_stage(running(), status=StageStatus.WAITING, waiting_for=waiting_for, **values)


def approved(by: str, *, yes: bool) -> Approval:
    return Approval(approved=yes, person=by, time=NOW)


@pytest.mark.parametrize(
    ("execution", "step"),
    [
        pytest.param(running(), stepping.RunStage(0), id="begun"),
        pytest.param(
            with_stage(running(spec(), spec("two")), status=StageStatus.SUCCEEDED),
            stepping.RunStage(1),
            id="a stage is done",
        ),
        pytest.param(
            with_stage(running(), status=StageStatus.SUCCEEDED),
            stepping.Finish(ExecutionStatus.SUCCEEDED),
            id="all are done",
        ),
        pytest.param(
            with_stage(running(), status=StageStatus.SKIPPED),
            stepping.Finish(ExecutionStatus.SUCCEEDED),
            id="all were skipped",
        ),
        pytest.param(
            with_stage(running(spec(), spec("two")), status=StageStatus.FAILED, error="no"),
            stepping.Finish(ExecutionStatus.FAILED, "stage one: no"),
            id="a stage failed",
        ),
        pytest.param(
            with_stage(
                running(spec(on_failure=OnFailure.CONTINUE), spec("two")),
                status=StageStatus.FAILED,
                error="no",
            ),
            stepping.RunStage(1),
            id="a stage failed that may",
        ),
        pytest.param(
            running(cancel_requested=True),
            stepping.Finish(ExecutionStatus.CANCELED, "canceled on request"),
            id="canceled",
        ),
        pytest.param(
            with_stage(
                running(cancel_requested=True), status=StageStatus.RUNNING, undo={"before": 1}
            ),
            stepping.Finish(
                ExecutionStatus.CANCELED,
                "canceled on request; stage one may have changed something: see its log",
            ),
            id="canceled in the middle of a change",
        ),
        pytest.param(
            with_stage(running(), status=StageStatus.RUNNING, starts=9),
            stepping.RunStage(0),
            id="its process was stopped",
        ),
        pytest.param(
            waiting("the time", wake=NOW + MINUTE),
            stepping.Sleep(NOW + MINUTE),
            id="waits for time",
        ),
        pytest.param(waiting("the time", wake=NOW), stepping.RunStage(0), id="the time has come"),
        pytest.param(
            waiting("execution:x", deadline=NOW + MINUTE),
            stepping.Sleep(NOW + MINUTE),
            id="waits for a run, within the stage's time",
        ),
        pytest.param(
            waiting("the time", wake=NOW + 2 * MINUTE, deadline=NOW - MINUTE),
            stepping.Sleep(NOW + 2 * MINUTE),
            id="a wait for time is no part of the stage's time",
        ),
        pytest.param(waiting("person"), stepping.Sleep(None), id="waits for a person, for ever"),
        pytest.param(waiting("person", wake=NOW), stepping.Expire(0), id="nobody decided"),
        pytest.param(
            waiting("person", wake=NOW, approval=approved("ann", yes=True)),
            stepping.Conclude(
                0, Done({"approved_by": "ann", "approved": "2026-03-01T12:00:00+00:00"})
            ),
            id="approved",
        ),
        pytest.param(
            waiting("person", approval=approved("ann", yes=False)),
            stepping.Conclude(0, Failed("rejected by ann")),
            id="rejected",
        ),
        pytest.param(
            waiting("person", approval=approved("timeout", yes=False)),
            stepping.Conclude(0, Failed("nobody decided in time")),
            id="expired",
        ),
        pytest.param(
            replace(waiting("person"), started=NOW - timedelta(days=9)),
            stepping.Sleep(None),
            id="a person's time is not the run's",
        ),
        pytest.param(
            replace(running(), started=NOW - timedelta(hours=1)),
            stepping.Finish(
                ExecutionStatus.FAILED, "the run took longer than its time-out of 3600 s"
            ),
            id="the run's time is over",
        ),
        pytest.param(
            replace(running(), started=NOW - timedelta(hours=2), paused=timedelta(hours=1.5)),
            stepping.RunStage(0),
            id="time that people took is given back",
        ),
        pytest.param(
            replace(running(), status=ExecutionStatus.SUCCEEDED),
            stepping.Finish(ExecutionStatus.SUCCEEDED),
            id="ended",
        ),
    ],
)
def test_next_step(execution: Execution, step: stepping.Step) -> None:
    assert stepping.next_step(execution, NOW) == step


def test_a_wait_for_a_run_ends_with_the_stage_s_time() -> None:
    late = waiting("execution:x", deadline=NOW)
    step = stepping.next_step(late, NOW)
    assert isinstance(step, stepping.Conclude)
    assert isinstance(step.outcome, Retry)
    assert "waiting for execution:x took longer" in step.outcome.reason


def test_a_stage_that_kills_its_process_is_given_up_after_ten_starts() -> None:
    execution = running(spec(attempts=3))
    for start in range(MOST_STARTS):
        step = stepping.next_step(execution, NOW)
        assert step == stepping.RunStage(0)
        execution = stepping.begin(execution, 0, NOW)
        assert execution.stages[0].attempts == start + 1
    step = stepping.next_step(execution, NOW)
    assert isinstance(step, stepping.Conclude)
    assert isinstance(step.outcome, Failed)
    ended = stepping.conclude(execution, 0, step.outcome, NOW)
    assert ended.stages[0].status is StageStatus.FAILED


def test_a_temporary_failure_is_tried_again_until_the_attempts_are_used_up() -> None:
    execution = running(spec(attempts=2, backoff=timedelta(seconds=7)))
    execution = stepping.conclude(stepping.begin(execution, 0, NOW), 0, Retry("no"), NOW)
    assert execution.status is ExecutionStatus.WAITING
    assert stepping.next_step(execution, NOW) == stepping.Sleep(NOW + timedelta(seconds=7))
    later = NOW + timedelta(seconds=7)
    assert stepping.next_step(execution, later) == stepping.RunStage(0)
    execution = stepping.begin(execution, 0, later)
    assert execution.stages[0].attempts == 2
    execution = stepping.conclude(execution, 0, Retry("no again"), later)
    assert stepping.next_step(execution, later) == stepping.Finish(
        ExecutionStatus.FAILED, "stage one: no again"
    )


def test_a_retry_may_say_itself_how_long_to_wait() -> None:
    begun = stepping.begin(running(spec(attempts=2)), 0, NOW)
    execution = stepping.conclude(begun, 0, Retry("busy", MINUTE), NOW)
    assert stepping.next_step(execution, NOW) == stepping.Sleep(NOW + MINUTE)


def test_after_a_wait_it_is_the_same_attempt_with_its_state_and_a_new_time() -> None:
    begun = stepping.begin(running(), 0, NOW)
    state = {"until": "then"}
    waits = stepping.conclude(begun, 0, Waiting(NOW + MINUTE, "the time", state), NOW, "so far")
    again = stepping.begin(waits, 0, NOW + MINUTE)
    stage = again.stages[0]
    assert (stage.attempts, stage.resumed, stage.log) == (1, state, "so far")
    assert stage.deadline == NOW + MINUTE + timedelta(minutes=10)
    assert (stage.wake, stage.waiting_for, stage.started) == (NOW + MINUTE, None, NOW)


def test_a_wait_for_a_run_goes_on_within_the_same_time() -> None:
    begun = stepping.begin(running(), 0, NOW)
    waits = stepping.conclude(begun, 0, Waiting(None, "execution:x"), NOW)
    again = stepping.begin(waits, 0, NOW + MINUTE)
    assert again.stages[0].deadline == NOW + timedelta(minutes=10)


def test_the_time_a_person_took_is_given_back_to_the_run() -> None:
    execution = waiting("person", approval=approved("ann", yes=True))
    after = stepping.conclude(execution, 0, Done(), NOW + timedelta(days=2))
    assert after.paused == timedelta(days=2)
    assert stepping.run_deadline(after) == NOW + timedelta(days=2, hours=1)


def test_a_clock_that_is_set_back_meanwhile_takes_the_run_no_time() -> None:
    execution = waiting("person", approval=approved("ann", yes=True))
    after = stepping.conclude(execution, 0, Done(), NOW - timedelta(days=365))
    assert stepping.run_deadline(after) == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("outcome", "status", "error"),
    [
        pytest.param(Done({"n": 1}), StageStatus.SUCCEEDED, None, id="done"),
        pytest.param(Skipped("not today"), StageStatus.SKIPPED, "not today", id="skipped"),
        pytest.param(Failed("no"), StageStatus.FAILED, "no", id="failed"),
    ],
)
def test_an_outcome_ends_its_stage(
    outcome: Done | Skipped | Failed, status: StageStatus, error: str | None
) -> None:
    begun = stepping.begin(running(), 0, NOW)
    after = stepping.conclude(begun, 0, outcome, NOW + MINUTE, "said")
    stage = after.stages[0]
    assert (stage.status, stage.error, stage.finished, stage.log, stage.starts) == (
        status,
        error,
        NOW + MINUTE,
        "said",
        0,
    )
    assert stepping.outputs_of(after) == ({"one": {"n": 1}} if outcome == Done({"n": 1}) else {})


def test_the_end_of_a_run_ends_the_stage_under_way() -> None:
    begun = stepping.begin(running(spec(), spec("two")), 0, NOW)
    ended = stepping.finish(begun, ExecutionStatus.CANCELED, "on request", NOW)
    assert (ended.status, ended.reason, ended.finished) == (
        ExecutionStatus.CANCELED,
        "on request",
        NOW,
    )
    assert [s.status for s in ended.stages] == [StageStatus.CANCELED, StageStatus.PENDING]


@pytest.mark.parametrize(
    ("statuses", "again"),
    [
        pytest.param(["SUCCEEDED", "FAILED", "PENDING"], 1, id="failed"),
        pytest.param(["SUCCEEDED", "SUCCEEDED", "CANCELED"], 2, id="canceled"),
        pytest.param(["PENDING", "PENDING", "PENDING"], 0, id="never begun"),
    ],
)
def test_a_retry_begins_where_the_run_ended(statuses: list[str], again: int) -> None:
    execution = running(spec(), spec("two"), spec("three"))
    for index, status in enumerate(statuses):
        execution = with_stage(execution, index, status=StageStatus(status), attempts=1)
    execution = replace(execution, status=ExecutionStatus.FAILED, finished=NOW, reason="no")
    reset = retrying.reset(execution)
    assert reset.status is ExecutionStatus.QUEUED
    assert [s.attempts for s in reset.stages] == [1] * again + [0] * (3 - again)
    begun = replace(reset, status=ExecutionStatus.RUNNING)
    assert stepping.next_step(begun, NOW) == stepping.RunStage(again)


def test_what_succeeded_is_not_retried() -> None:
    with pytest.raises(ValueError, match="SUCCEEDED"):
        retrying.reset(replace(running(), status=ExecutionStatus.SUCCEEDED))


@pytest.mark.parametrize(
    ("policy", "most", "under_way", "begin", "never"),
    [
        pytest.param("queue", 1, 0, "a", "", id="queue, free"),
        pytest.param("queue", 1, 1, "", "", id="queue, busy"),
        pytest.param("queue", 3, 1, "ab", "", id="queue, two free"),
        pytest.param("newest", 1, 0, "c", "ab", id="newest, free"),
        pytest.param("newest", 1, 1, "", "ab", id="newest, busy"),
        pytest.param("skip", 1, 0, "a", "bc", id="skip, free"),
        pytest.param("skip", 2, 1, "a", "bc", id="skip, one free"),
        pytest.param("skip", 1, 1, "", "abc", id="skip, busy"),
        pytest.param("queue", 1, 5, "", "", id="more than allowed are under way"),
    ],
)
def test_admission(policy: str, most: int, under_way: int, begin: str, never: str) -> None:
    concurrency = Concurrency(max=most, policy=ConcurrencyPolicy(policy))
    begins, refused = admit(["a", "b", "c"], under_way, concurrency)
    assert (begins, sorted(refused)) == (list(begin), list(never))
    assert all(refused.values())

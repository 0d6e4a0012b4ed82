"""What a rollback does next, whatever happened before: which stages, in which order, how often."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from watcher.core import retrying, stepping, undoing
from watcher.core.pipeline import (
    Done,
    Execution,
    ExecutionStatus,
    Failed,
    OnFailure,
    Pipeline,
    Retry,
    StageRun,
    StageSpec,
    StageStatus,
    Superseded,
    Waiting,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROLLBACK, STOP, CONTINUE = OnFailure.ROLLBACK, OnFailure.STOP, OnFailure.CONTINUE
SUCCEEDED, FAILED, PENDING = StageStatus.SUCCEEDED, StageStatus.FAILED, StageStatus.PENDING
RUNNING, CANCELED = StageStatus.RUNNING, StageStatus.CANCELED


def stage(status: StageStatus, **values: Any) -> dict[str, Any]:
    """A stage as it stands; `to` is its on_failure, rollback unless said."""
    return {"status": status, **values}


def run_of(*stages: dict[str, Any], **values: Any) -> Execution:
    """An execution that began now, with stages named one, two, three."""
    names = ("one", "two", "three")
    specs = tuple(
        StageSpec(name=name, type="note", options={}, on_failure=given.get("to", ROLLBACK))
        for name, given in zip(names, stages, strict=False)
    )
    runs = tuple(
        StageRun(
            index=index,
            name=names[index],
            type="note",
            **{key: value for key, value in given.items() if key != "to"},
        )
        for index, given in enumerate(stages)
    )
    execution = Execution(
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
        stages=runs,
    )
    return replace(execution, **values)


DONE = stage(SUCCEEDED, undo="before")
BROKEN = stage(FAILED, undo="before", error="no")
NEXT = stage(PENDING)
KILLS = "started 10 times without an end; it seems to kill its process"


@pytest.mark.parametrize(
    ("stages", "step"),
    [
        pytest.param([DONE, BROKEN], undoing.UndoStage(1), id="the failed stage first"),
        pytest.param(
            [DONE, BROKEN | {"undone": NOW}], undoing.UndoStage(0), id="then those before"
        ),
        pytest.param([DONE, BROKEN | {"undo": None}], undoing.UndoStage(0), id="it did nothing"),
        pytest.param(
            [DONE | {"to": STOP}, BROKEN], undoing.UndoStage(1), id="the failed stage decides"
        ),
        pytest.param(
            [DONE, BROKEN | {"to": STOP}],
            stepping.Finish(ExecutionStatus.FAILED, "stage two: no"),
            id="and may decide against it",
        ),
        pytest.param([DONE, BROKEN | {"to": CONTINUE}, NEXT], stepping.RunStage(2), id="or go on"),
        pytest.param(
            [BROKEN | {"to": CONTINUE}, BROKEN | {"undone": NOW}],
            undoing.UndoStage(0),
            id="what failed earlier, and was let go, is taken back too",
        ),
        pytest.param(
            [stage(SUCCEEDED), BROKEN | {"undo": None}],
            stepping.Finish(ExecutionStatus.FAILED, "stage two: no"),
            id="nothing to take back",
        ),
        pytest.param(
            [DONE | {"undone": NOW}, BROKEN | {"undone": NOW}],
            stepping.Finish(ExecutionStatus.FAILED, "stage two: no; rolled back: one, two"),
            id="all is taken back",
        ),
        pytest.param(
            [DONE | {"undone": NOW}, BROKEN | {"undone": NOW, "undo_error": "gone"}],
            stepping.Finish(
                ExecutionStatus.FAILED,
                "stage two: no; rolled back: one; ROLLBACK FAILED: stage two: gone",
            ),
            id="not all of it",
        ),
        pytest.param(
            [DONE | {"undone": NOW}, BROKEN | {"undone": NOW, "undo_skipped": "it is ready"}],
            stepping.Finish(
                ExecutionStatus.FAILED,
                "stage two: no; rolled back: one; not rolled back: two (it is ready)",
            ),
            id="nothing of it had to be",
        ),
        pytest.param(
            [DONE, BROKEN | {"undone": NOW, "undo_error": "gone"}],
            undoing.UndoStage(0),
            id="a rollback that failed does not stop the others",
        ),
        pytest.param(
            [DONE, BROKEN | {"undo_starts": 9}], undoing.UndoStage(1), id="stopped on the way"
        ),
        pytest.param(
            [DONE, BROKEN | {"undo_starts": 10}],
            undoing.ConcludeUndo(1, KILLS),
            id="stopped on the way too often",
        ),
        pytest.param(
            [DONE, stage(CANCELED, undo="before", error="newer"), NEXT],
            stepping.Finish(ExecutionStatus.SKIPPED, "stage two: newer"),
            id="superseded: nothing is taken back, nothing runs any more",
        ),
    ],
)
def test_next_step_of_a_failed_run(stages: list[dict[str, Any]], step: stepping.Step) -> None:
    assert stepping.next_step(run_of(*stages), NOW) == step


@pytest.mark.parametrize(
    ("to", "status", "step"),
    [
        pytest.param(
            ROLLBACK,
            RUNNING,
            stepping.Conclude(1, Failed("the run took longer than its time-out of 3600 s")),
            id="under way: it failed, and is taken back",
        ),
        pytest.param(
            ROLLBACK,
            PENDING,
            stepping.Conclude(1, Failed("the run took longer than its time-out of 3600 s")),
            id="not begun: what came before is taken back",
        ),
        pytest.param(
            STOP,
            RUNNING,
            stepping.Finish(
                ExecutionStatus.FAILED, "the run took longer than its time-out of 3600 s"
            ),
            id="no rollback asked for",
        ),
    ],
)
def test_a_run_past_its_time(to: OnFailure, status: StageStatus, step: stepping.Step) -> None:
    late = run_of(DONE, stage(status, to=to), started=NOW - timedelta(hours=1))
    assert stepping.next_step(late, NOW) == step


def test_a_rollback_goes_on_whatever_is_left_of_the_run_s_time() -> None:
    late = run_of(DONE, BROKEN, started=NOW - timedelta(days=1))
    assert stepping.next_step(late, NOW) == undoing.UndoStage(1)


def test_a_rollback_from_its_first_step_to_the_run_s_end() -> None:
    execution = run_of(DONE, BROKEN)
    for index in (1, 0):
        assert stepping.next_step(execution, NOW) == undoing.UndoStage(index)
        execution = undoing.begin_undo(execution, index)
        assert execution.stages[index].undo_starts == 1
        assert execution.status is ExecutionStatus.RUNNING
        execution = undoing.conclude_undo(execution, index, None, NOW)
        assert (execution.stages[index].undo_starts, execution.stages[index].undone) == (0, NOW)
    step = stepping.next_step(execution, NOW)
    assert step == stepping.Finish(ExecutionStatus.FAILED, "stage two: no; rolled back: one, two")


def test_a_rollback_that_kills_its_process_is_given_up_after_ten_starts() -> None:
    execution = run_of(BROKEN)
    for _ in range(undoing.MOST_STARTS):
        assert stepping.next_step(execution, NOW) == undoing.UndoStage(0)
        execution = undoing.begin_undo(execution, 0)
    assert stepping.next_step(execution, NOW) == undoing.ConcludeUndo(0, KILLS)


def test_a_stop_of_the_process_says_nothing_against_a_rollback() -> None:
    execution = run_of(BROKEN)
    for _ in range(3 * undoing.MOST_STARTS):
        assert stepping.next_step(execution, NOW) == undoing.UndoStage(0)
        execution = undoing.release_undo(undoing.begin_undo(execution, 0), 0)


@pytest.mark.parametrize(
    ("execution", "reason"),
    [
        pytest.param(run_of(DONE, BROKEN), "canceled on request", id="before"),
        pytest.param(
            undoing.begin_undo(run_of(DONE, BROKEN), 1),
            "canceled on request, in the middle of a rollback",
            id="in its middle",
        ),
        pytest.param(
            undoing.release_undo(undoing.begin_undo(run_of(DONE, BROKEN), 1), 1),
            "canceled on request, in the middle of a rollback",
            id="while the process is stopped in its middle",
        ),
    ],
)
def test_a_run_may_be_canceled_while_it_is_rolled_back(execution: Execution, reason: str) -> None:
    step = stepping.next_step(replace(execution, cancel_requested=True), NOW)
    assert step == stepping.Finish(ExecutionStatus.CANCELED, reason)


@pytest.mark.parametrize(
    ("stages", "again", "undo"),
    [
        pytest.param(
            [DONE, BROKEN | {"to": STOP}],
            1,
            ["before", "before"],
            id="no rollback: the failed stage, whose first state is still known",
        ),
        pytest.param(
            [DONE | {"undone": NOW}, BROKEN | {"undone": NOW}],
            0,
            [None, None],
            id="rolled back: all that was taken back",
        ),
        pytest.param(
            [stage(SUCCEEDED), DONE | {"undone": NOW}, BROKEN | {"undone": NOW}],
            1,
            [None, None, None],
            id="rolled back: but not what could not be",
        ),
        pytest.param(
            [DONE | {"undone": NOW, "undo_error": "gone"}, BROKEN | {"undone": NOW}],
            0,
            ["before", None],
            id="rolled back in vain: what was there first is still known",
        ),
        pytest.param(
            [DONE | {"undone": NOW, "undo_skipped": "ready"}, BROKEN | {"undone": NOW}],
            0,
            ["before", None],
            id="not rolled back: what was there first is still known",
        ),
        pytest.param(
            [DONE | {"undo_starts": 1}, BROKEN | {"undone": NOW}],
            0,
            ["before", None],
            id="canceled in the middle of a rollback: also what was taken back in part",
        ),
        pytest.param(
            [DONE, BROKEN | {"undone": NOW}],
            1,
            ["before", None],
            id="canceled between two stages: what was not touched stays",
        ),
    ],
)
def test_a_retry_after_a_rollback_begins_where_the_first_work_was_taken_back(
    stages: list[dict[str, Any]], again: int, undo: list[str | None]
) -> None:
    ended = run_of(*stages, status=ExecutionStatus.FAILED, finished=NOW)
    reset = retrying.reset(ended)
    assert [s.status for s in reset.stages[again:]] == [PENDING] * (len(stages) - again)
    assert [s.undo for s in reset.stages] == undo
    assert all(s.undone is None and not s.undo_starts for s in reset.stages[again:])
    begun = replace(reset, status=ExecutionStatus.RUNNING)
    assert stepping.next_step(begun, NOW) == stepping.RunStage(again)


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(Done(), id="done"),
        pytest.param(Failed("no"), id="failed"),
        pytest.param(Retry("not yet"), id="its attempts are used up"),
        pytest.param(Superseded("newer"), id="superseded"),
    ],
)
def test_what_undoing_needs_outlives_the_stage_and_what_resuming_needs_does_not(
    outcome: Done | Failed | Retry | Superseded,
) -> None:
    begun = stepping.begin(run_of(NEXT), 0, NOW)
    kept = stepping.remember(begun, 0, {"at": 1}, {"before": 1})
    after = stepping.conclude(kept, 0, outcome, NOW).stages[0]
    assert (after.resumed, after.undo) == (None, {"before": 1})


def test_both_are_known_to_the_next_attempt() -> None:
    patient = run_of(NEXT)
    spec = replace(patient.pipeline.stages[0], attempts=2)
    patient = replace(patient, pipeline=replace(patient.pipeline, stages=(spec,)))
    kept = stepping.remember(stepping.begin(patient, 0, NOW), 0, {"at": 1}, {"before": 1})
    again = stepping.begin(stepping.conclude(kept, 0, Retry("not yet"), NOW), 0, NOW)
    assert (again.stages[0].resumed, again.stages[0].undo) == ({"at": 1}, {"before": 1})


def test_both_are_known_after_a_wait_and_after_a_stop() -> None:
    kept = stepping.remember(stepping.begin(run_of(NEXT), 0, NOW), 0, {"at": 1}, {"before": 1})
    waits = stepping.conclude(kept, 0, Waiting(NOW, "the time", {"at": 2}), NOW)
    stopped = stepping.release(kept, 0, "said")
    assert (waits.stages[0].resumed, waits.stages[0].undo) == ({"at": 2}, {"before": 1})
    assert (stopped.stages[0].resumed, stopped.stages[0].undo) == ({"at": 1}, {"before": 1})


def test_a_superseded_stage_ends_its_run_as_neither_success_nor_failure() -> None:
    begun = stepping.begin(run_of(stage(PENDING, to=CONTINUE), NEXT), 0, NOW)
    after = stepping.conclude(begun, 0, Superseded("1.1 is there"), NOW, "said")
    assert (after.stages[0].status, after.stages[0].log) == (CANCELED, "said")
    step = stepping.next_step(after, NOW)
    assert isinstance(step, stepping.Finish)
    ended = stepping.finish(after, step.status, step.reason, NOW)
    assert (ended.status, ended.reason) == (ExecutionStatus.SKIPPED, "stage one: 1.1 is there")
    assert [s.status for s in ended.stages] == [CANCELED, PENDING]
    with pytest.raises(ValueError, match="SKIPPED"):
        retrying.reset(ended)

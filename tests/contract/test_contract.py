"""The promises of engine/port.py, each with the worker in another process, often killed."""

from __future__ import annotations

import signal
import time

import pytest

from tests.contract.conftest import Machine, run_of, stage
from watcher.core.pipeline import ExecutionStatus, StageStatus
from watcher.core.undoing import MOST_STARTS

SUCCEEDED, FAILED = ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED
CANCELED, WAITING = ExecutionStatus.CANCELED, ExecutionStatus.WAITING


async def test_a_key_submitted_twice_runs_once_also_after_its_end(machine: Machine) -> None:
    new = run_of(stage("note"))
    assert await machine.runner.submit(new)
    assert not await machine.runner.submit(new)
    machine.start()
    await machine.reaches(new.id, SUCCEEDED)
    assert not await machine.runner.submit(new)
    other = await machine.submit(stage("note"), key="other")
    await machine.reaches(other, SUCCEEDED)
    assert machine.said(new.id) == ["note started 1", "note done"]


async def test_a_temporary_failure_is_tried_again(machine: Machine) -> None:
    run = await machine.submit(stage("flaky", attempts=3, succeeds_at=3))
    machine.start()
    execution = await machine.reaches(run, SUCCEEDED)
    assert execution.stages[0].attempts == 3
    assert execution.stages[0].outputs == {"attempt": 3}
    assert execution.stages[0].log == "attempt 1\nattempt 2\nattempt 3\n"


async def test_attempts_are_limited(machine: Machine) -> None:
    run = await machine.submit(stage("flaky", attempts=2, succeeds_at=3), stage("note"))
    machine.start()
    execution = await machine.reaches(run, FAILED)
    assert execution.reason == "stage flaky: attempt 2 is not enough"
    assert machine.said(run) == ["flaky started 1", "flaky started 2"]


async def test_a_failure_for_good_is_not_tried_again(machine: Machine) -> None:
    run = await machine.submit(stage("needs", attempts=5, file="never"), stage("note"))
    machine.start()
    execution = await machine.reaches(run, FAILED)
    assert execution.stages[0].error == "never is missing"
    assert [s.status for s in execution.stages] == [StageStatus.FAILED, StageStatus.PENDING]
    assert machine.said(run) == ["needs started 1"]


async def test_retry_goes_on_at_the_failed_stage(machine: Machine) -> None:
    run = await machine.submit(stage("note"), stage("needs", file="it"), stage("note", "last"))
    machine.start()
    await machine.reaches(run, FAILED)
    machine.make("it")
    assert await machine.runner.retry(run)
    await machine.reaches(run, SUCCEEDED)
    assert not await machine.runner.retry(run)
    assert machine.said(run) == [
        "note started 1",
        "note done",
        "needs started 1",
        "needs started 1",
        "needs done",
        "last started 1",
        "last done",
    ]


async def test_a_wait_for_time_outlives_kill_9(machine: Machine) -> None:
    run = await machine.submit(stage("pause", seconds=1.0), stage("note"))
    machine.start()
    await machine.reaches(run, WAITING)
    machine.kill()
    began = (await machine.get(run)).stages[0].wake
    machine.start()
    execution = await machine.reaches(run, SUCCEEDED)
    ended = execution.stages[0].finished
    assert began is not None
    assert ended is not None
    assert ended >= began
    assert machine.said(run).count("pause started 1") == 2  # before and after, one attempt


async def test_a_wait_for_a_person_outlives_kill_9(machine: Machine) -> None:
    run = await machine.submit(stage("note"), stage("approve"), stage("note", "last"))
    machine.start()
    await machine.reaches(run, WAITING)
    machine.kill()
    assert await machine.runner.decide(run, 1, approved=True, person="ann")
    machine.start()
    execution = await machine.reaches(run, SUCCEEDED)
    assert execution.stages[1].outputs["approved_by"] == "ann"
    assert machine.said(run).count("note started 1") == 1
    assert machine.said(run).count("approve started 1") == 1


async def test_a_decision_may_come_before_its_stage_is_reached(machine: Machine) -> None:
    run = await machine.submit(stage("note"), stage("approve"))
    assert await machine.runner.decide(run, 1, approved=True, person="ann")
    machine.start()
    await machine.reaches(run, SUCCEEDED)


async def test_the_first_decision_stands(machine: Machine) -> None:
    run = await machine.submit(stage("approve"), stage("note"))
    machine.start()
    await machine.reaches(run, WAITING)
    assert await machine.runner.decide(run, 0, approved=False, person="ann")
    assert not await machine.runner.decide(run, 0, approved=True, person="bob")
    execution = await machine.reaches(run, FAILED)
    assert execution.reason == "stage approve: rejected by ann"
    assert not await machine.runner.decide(run, 0, approved=True, person="bob")
    assert "note started 1" not in machine.said(run)


async def test_a_decision_that_never_comes_is_decided_by_time(machine: Machine) -> None:
    run = await machine.submit(stage("approve", within=0.3))
    machine.start()
    execution = await machine.reaches(run, FAILED)
    assert execution.stages[0].error == "nobody decided in time"
    assert not await machine.runner.decide(run, 0, approved=True, person="late")
    assert machine.said(run) == ["approve started 1"]


async def test_cancel_reaches_a_running_stage_within_a_second(machine: Machine) -> None:
    run = await machine.submit(stage("hold", file="never", attempts=3), stage("note"))
    machine.start()
    await machine.says(run, "hold started 1")
    asked = time.monotonic()
    assert await machine.runner.cancel(run)
    await machine.says(run, "hold cancelled")
    assert time.monotonic() - asked < 3  # a second, and what a busy machine needs
    execution = await machine.reaches(run, CANCELED)
    assert [s.status for s in execution.stages] == [StageStatus.CANCELED, StageStatus.PENDING]
    assert not await machine.runner.cancel(run)
    assert machine.said(run) == ["hold started 1", "hold cancelled"]


async def test_cancel_ends_a_run_that_waits(machine: Machine) -> None:
    run = await machine.submit(stage("approve"), stage("note"))
    machine.start()
    await machine.reaches(run, WAITING)
    assert await machine.runner.cancel(run)
    await machine.reaches(run, CANCELED)
    assert not await machine.runner.decide(run, 0, approved=True, person="ann")


async def test_cancel_while_no_process_works_holds_after_the_restart(machine: Machine) -> None:
    run = await machine.submit(stage("hold", file="never"))
    machine.start()
    await machine.says(run, "hold started 1")
    machine.kill()
    assert await machine.runner.cancel(run)
    machine.start()
    await machine.reaches(run, CANCELED)
    assert machine.said(run) == ["hold started 1"]


async def test_a_machine_killed_with_five_runs_loses_none_and_repeats_no_ended_stage(
    machine: Machine,
) -> None:
    runs = [
        await machine.submit(
            stage("note"), stage("hold", file="go"), stage("note", "last"), key=f"run-{number}"
        )
        for number in range(5)
    ]
    machine.start()
    for run in runs:
        await machine.says(run, "hold started 1")
    machine.kill()
    machine.make("go")
    machine.start()
    for run in runs:
        await machine.reaches(run, SUCCEEDED)
        assert machine.said(run) == [
            "note started 1",
            "note done",
            "hold started 1",
            "hold started 2",
            "hold done",
            "last started 1",
            "last done",
        ]


async def test_sigterm_lets_a_stage_end_and_starts_no_other(machine: Machine) -> None:
    run = await machine.submit(stage("hold", file="go"), stage("note"))
    worker = machine.start()
    await machine.says(run, "hold started 1")
    worker.send_signal(signal.SIGTERM)
    machine.make("go")
    assert machine.stop(signal.SIGTERM) == 0
    assert machine.said(run) == ["hold started 1", "hold done"]
    machine.start()
    await machine.reaches(run, SUCCEEDED)


async def test_sigterm_cancels_a_stage_after_its_grace_and_leaves_it_to_be_resumed(
    machine: Machine,
) -> None:
    run = await machine.submit(stage("hold", file="go"))
    machine.start()
    await machine.says(run, "hold started 1")
    assert machine.stop(signal.SIGTERM) == 0
    assert machine.said(run) == ["hold started 1", "hold cancelled"]
    machine.make("go")
    machine.start()
    execution = await machine.reaches(run, SUCCEEDED)
    assert execution.stages[0].attempts == 2


async def test_a_stage_that_kills_its_process_is_given_up(machine: Machine) -> None:
    run = await machine.submit(stage("die"))
    for _ in range(MOST_STARTS):
        assert machine.start().wait() == -signal.SIGKILL
    machine.start()
    execution = await machine.reaches(run, FAILED)
    assert "kill its process" in str(execution.stages[0].error)
    assert len(machine.said(run)) == MOST_STARTS


async def test_a_rollback_is_taken_up_again_after_kill_9_in_its_middle(machine: Machine) -> None:
    run = await machine.submit(
        stage("deploy", "first"),
        stage("deploy", "second", undo_waits_for="go"),
        stage("deploy", "third", breaks=True, on_failure="rollback"),
        stage("note"),
    )
    for times in (1, 2):
        machine.start()
        await machine.says(run, "second taking back second", times)
        machine.kill()
    machine.make("go")
    machine.start()
    execution = await machine.reaches(run, FAILED)
    assert execution.reason == ("stage third: it is broken; rolled back: first, second, third")
    assert machine.said(run)[5:] == [
        "third taking back third",
        "third taken back",
        *["second taking back second"] * 3,
        "second taken back",
        "first taking back first",
        "first taken back",
    ]
    assert execution.stages[3].status is StageStatus.PENDING


async def test_a_run_killed_before_its_rollback_began_is_rolled_back(machine: Machine) -> None:
    run = await machine.submit(
        stage("deploy", "first"), stage("hold", file="never", on_failure="rollback", timeout=1.5)
    )
    machine.start()
    await machine.says(run, "hold started 1")
    machine.kill()
    machine.start()
    execution = await machine.reaches(run, FAILED)
    assert machine.said(run)[-2:] == ["first taking back first", "first taken back"]
    assert str(execution.reason).endswith("; rolled back: first")


async def test_sigterm_in_the_middle_of_a_rollback_leaves_it_to_be_resumed(
    machine: Machine,
) -> None:
    run = await machine.submit(
        stage("deploy", breaks=True, undo_waits_for="go", on_failure="rollback")
    )
    machine.start()
    await machine.says(run, "deploy taking back deploy")
    assert machine.stop(signal.SIGTERM) == 0
    machine.make("go")
    machine.start()
    execution = await machine.reaches(run, FAILED)
    assert execution.reason == "stage deploy: it is broken; rolled back: deploy"
    assert machine.said(run).count("deploy taken back") == 1


async def test_cancel_ends_a_rollback_that_runs(machine: Machine) -> None:
    run = await machine.submit(
        stage("deploy", breaks=True, undo_waits_for="never", on_failure="rollback")
    )
    machine.start()
    await machine.says(run, "deploy taking back deploy")
    assert await machine.runner.cancel(run)
    execution = await machine.reaches(run, CANCELED)
    assert execution.reason == "canceled on request, in the middle of a rollback"
    assert machine.said(run)[-1] == "deploy cancelled"


async def test_a_rollback_that_kills_its_process_is_given_up(machine: Machine) -> None:
    run = await machine.submit(stage("deploy", breaks=True, undo_dies=True, on_failure="rollback"))
    for _ in range(MOST_STARTS):
        assert machine.start().wait() == -signal.SIGKILL
    machine.start()
    execution = await machine.reaches(run, FAILED)
    assert "ROLLBACK FAILED: stage deploy: started 10 times" in str(execution.reason)
    assert machine.said(run).count("deploy taking back deploy") == MOST_STARTS


async def test_runs_of_one_pipeline_go_one_at_a_time_oldest_first(machine: Machine) -> None:
    runs = [
        await machine.submit(stage("note"), key=f"run-{number}", pipeline="deploy")
        for number in range(3)
    ]
    machine.start()
    for run in runs:
        await machine.reaches(run, SUCCEEDED)
    starts = [(await machine.get(run)).started for run in runs]
    ends = [(await machine.get(run)).finished for run in runs]
    assert all(
        end is not None and start is not None and end <= start
        for end, start in zip(ends, starts[1:], strict=False)
    )


async def test_a_list_is_newest_first_with_one_line_per_run(machine: Machine) -> None:
    first = await machine.submit(stage("note"), key="first")
    second = await machine.submit(stage("needs", file="never"), key="second")
    machine.start()
    await machine.reaches(first, SUCCEEDED)
    await machine.reaches(second, FAILED)
    await machine.runner.retry(second)
    await machine.reaches(second, FAILED)
    assert [e.id for e in await machine.runner.list()] == [second, first]
    assert [e.id for e in await machine.runner.list(limit=1)] == [second]
    assert [e.id for e in await machine.runner.list(status=SUCCEEDED)] == [first]


@pytest.mark.parametrize("identifier", ["", "unknown", "0" * 16])
async def test_what_is_not_there_is_neither_found_nor_changed(
    machine: Machine, identifier: str
) -> None:
    assert await machine.runner.get(identifier) is None
    assert not await machine.runner.cancel(identifier)
    assert not await machine.runner.retry(identifier)
    assert not await machine.runner.decide(identifier, 0, approved=True, person="ann")

"""`pipeline`: another run, started once and waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.stages.conftest import ContextMaker, FakeChildren, make_execution
from watcher.core.pipeline import Done, ExecutionStatus, Failed, StageRun, Waiting
from watcher.errors import StageError
from watcher.stages.pipeline import PipelineStage

OPTIONS = {"name": "smoke-test", "parameters": {"tag": "${trigger.tag}"}}
CHILD = "child of 0123456789abcdef/step"


async def test_it_starts_the_child_and_waits_for_it(make_context: ContextMaker) -> None:
    children = FakeChildren()
    outcome = await PipelineStage().run(OPTIONS, make_context(children=children))
    assert outcome == Waiting(None, f"execution:{CHILD}", {"id": CHILD})
    assert children.submitted == {"0123456789abcdef/step": ("smoke-test", {"tag": "1.10"})}


async def test_a_crash_before_the_answer_was_saved_starts_no_second(
    make_context: ContextMaker,
) -> None:
    children = FakeChildren()
    for _ in range(3):
        await PipelineStage().run(OPTIONS, make_context(children=children))
    assert len(children.executions) == 1


async def test_a_new_try_starts_another_child_where_the_first_one_failed(
    make_context: ContextMaker,
) -> None:
    children = FakeChildren()
    await PipelineStage().run(OPTIONS, make_context(children=children))
    failed = replace(children.executions[CHILD], status=ExecutionStatus.FAILED)
    children.executions[CHILD] = failed
    for _ in range(2):
        again = await PipelineStage().run(OPTIONS, make_context(children=children))
        assert again == Waiting(None, f"execution:{CHILD}/2", {"id": f"{CHILD}/2"})
    assert len(children.executions) == 2


async def test_a_success_hands_on_the_outputs(make_context: ContextMaker) -> None:
    run = StageRun(index=0, name="look", type="verify", outputs={"looks": 2})
    child = make_execution(id="c", status=ExecutionStatus.SUCCEEDED, stages=(run,))
    context = make_context(children=FakeChildren(executions={"c": child}), resumed={"id": "c"})
    outcome = await PipelineStage().run(OPTIONS, context)
    assert outcome == Done({"id": "c", "status": "SUCCEEDED", "stages": {"look": {"looks": 2}}})


@pytest.mark.parametrize(
    "status", [ExecutionStatus.FAILED, ExecutionStatus.CANCELED, ExecutionStatus.SKIPPED]
)
async def test_any_other_end_is_a_failure(
    status: ExecutionStatus, make_context: ContextMaker
) -> None:
    child = make_execution(id="c", status=status, reason="stage look failed")
    context = make_context(children=FakeChildren(executions={"c": child}), resumed={"id": "c"})
    outcome = await PipelineStage().run(OPTIONS, context)
    assert outcome == Failed(f"execution c of deploy-web is {status}: stage look failed")


@pytest.mark.parametrize("status", [s for s in ExecutionStatus if not s.is_final])
async def test_while_it_runs_the_wait_goes_on(
    status: ExecutionStatus, make_context: ContextMaker
) -> None:
    child = replace(make_execution(id="c"), status=status)
    context = make_context(children=FakeChildren(executions={"c": child}), resumed={"id": "c"})
    assert isinstance(await PipelineStage().run(OPTIONS, context), Waiting)


async def test_an_unknown_pipeline_is_told(make_context: ContextMaker) -> None:
    with pytest.raises(StageError, match="no pipeline other"):
        await PipelineStage().run({"name": "other"}, make_context())


async def test_a_child_that_vanished_is_told(make_context: ContextMaker) -> None:
    outcome = await PipelineStage().run(OPTIONS, make_context(resumed={"id": "c"}))
    assert outcome == Failed("the execution c is no longer in the state")


async def test_a_pipeline_does_not_start_itself(make_context: ContextMaker) -> None:
    with pytest.raises(StageError, match="would start itself"):
        await PipelineStage().run({"name": "deploy-${'web'}"}, make_context())

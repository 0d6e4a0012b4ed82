"""`wait`: the end is computed once and outlives restarts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.stages.conftest import START, ContextMaker, FakeTime, make_execution
from watcher.core.pipeline import Done, Execution, Json, StageRun, Waiting
from watcher.stages.wait import WaitStage


def run(until: datetime | None = None) -> Execution:
    """One whose stage has waited until then."""
    return make_execution(stages=(StageRun(index=0, name="step", type="wait", wake=until),))


@pytest.mark.parametrize("options", ["5m", {"for": "5m"}], ids=["short", "long"])
async def test_it_waits_as_data(options: Json, make_context: ContextMaker) -> None:
    outcome = await WaitStage().run(options, make_context(execution=run()))
    assert isinstance(outcome, Waiting)
    assert outcome.until == timedelta(minutes=5)


async def test_the_end_stays_where_it_was_first_put(make_context: ContextMaker) -> None:
    time = FakeTime()
    first = await WaitStage().run("5m", make_context(time=time, execution=run()))
    assert isinstance(first, Waiting)
    waits = run(START + timedelta(minutes=5))
    time.moment += timedelta(minutes=3)
    again = await WaitStage().run("5m", make_context(time=time, execution=waits))
    assert again == replace(first, until=timedelta(minutes=2))
    time.moment += timedelta(minutes=2)
    assert isinstance(await WaitStage().run("5m", make_context(time=time, execution=waits)), Done)


async def test_a_clock_that_is_set_back_does_not_put_the_end_off(
    make_context: ContextMaker,
) -> None:
    time, waits = FakeTime(), run(START + timedelta(minutes=5))
    time.moment -= timedelta(days=365)
    again = await WaitStage().run("5m", make_context(time=time, execution=waits))
    assert isinstance(again, Waiting)
    assert again.until == timedelta(minutes=5)


async def test_no_time_is_no_wait(make_context: ContextMaker) -> None:
    assert isinstance(await WaitStage().run("0s", make_context(execution=run())), Done)

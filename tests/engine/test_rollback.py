"""Rollbacks as the runner carries them out: what is taken back, when, how often, and what is said
when that fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import run_of
from tests.contract.engines import remembering
from watcher.config.fields import Anything, Kind
from watcher.core.pipeline import (
    Done,
    Execution,
    ExecutionStatus,
    Failed,
    Json,
    NewExecution,
    OnFailure,
    Retry,
    Skipped,
    StageOutcome,
    StageSpec,
    StageStatus,
    Superseded,
    Waiting,
)
from watcher.core.undoing import MOST_STARTS
from watcher.engine.invocation import LEAST_PAUSE
from watcher.engine.runner import EmbeddedRunner
from watcher.errors import RateLimited, StageError, StateUnwritable
from watcher.stages.base import StageContext
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log

SUCCEEDED, FAILED = ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED
CANCELED, SKIPPED = ExecutionStatus.CANCELED, ExecutionStatus.SKIPPED
ROLLBACK, STOP, CONTINUE = OnFailure.ROLLBACK, OnFailure.STOP, OnFailure.CONTINUE

Act = Callable[[StageContext], Awaitable[Any]]


class Crash(BaseException):
    """The process stops here, as far as the test can do that within itself."""


async def apply(context: StageContext) -> StageOutcome:
    """What a stage does unless the test says otherwise: it can be taken back, and went well."""
    await context.memory.keep_undo({"before": context.spec.name})
    return Done()


async def fail(context: StageContext) -> StageOutcome:
    await context.memory.keep_undo({"before": context.spec.name})
    return Failed("broken")


async def put_back(context: StageContext) -> StageOutcome:
    context.log.line(f"put back {context.memory.undo['before']}")
    return Done()


class Deploy:
    """A stage whose work can be taken back; tells of each call, in order."""

    type = "deploy"
    options: Kind = Anything()
    has_dry_run = True

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        self._bench.calls.append(f"run {context.spec.name}")
        outcome: StageOutcome = await self._bench.runs.get(context.spec.name, apply)(context)
        return outcome

    async def undo(self, options: Json, context: StageContext) -> StageOutcome:
        self._bench.calls.append(f"undo {context.spec.name}")
        outcome: StageOutcome = await self._bench.undoes.get(context.spec.name, put_back)(context)
        return outcome


class Note:
    """A stage that nothing can take back, and that knows no dry run."""

    type = "note"
    options: Kind = Anything()
    has_dry_run = False

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        self._bench.calls.append(f"run {context.spec.name}")
        outcome: StageOutcome = await self._bench.runs.get(context.spec.name, apply)(context)
        return outcome


class Bench:
    """Runs on a state file of its own; `runs` and `undoes` say what stages do, by their names."""

    def __init__(self, path: Path) -> None:
        self.calls: list[str] = []
        self.runs: dict[str, Act] = {}
        self.undoes: dict[str, Act] = {}
        self.pauses: list[float] = []
        self.crashes_at: str | None = None
        self.passes = 0
        self.full_at: str | None = None
        self.said = StringIO()
        self.store = ThreadedStore(lambda: Store.open(path, fault=self.fault))

    def runner(self, **settings: Any) -> EmbeddedRunner:
        settings = {"grace": timedelta(seconds=0.1), "sleep": self._sleep, **settings}
        return EmbeddedRunner(
            self.store,
            {"deploy": Deploy(self), "note": Note(self)},
            remembering(self.store),
            log=Log("info", "json", stream=self.said),
            fault=self.fault,
            **settings,
        )

    async def once(self, new: NewExecution, **settings: Any) -> Execution:
        """Submit, run until idle; the run as it stands then."""
        runner = self.runner(**settings)
        await runner.submit(new)
        async with asyncio.timeout(20):
            await runner.run(until_idle=True)
        return await self.get(new.id)

    async def get(self, identifier: str) -> Execution:
        execution = await self.store.run(lambda store: store.execution(identifier))
        assert execution is not None
        return execution

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.said.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]

    def crash_at(self, point: str, occurrence: int = 1) -> None:
        self.crashes_at, self.passes = point, occurrence

    def fault(self, point: str) -> None:
        if point == self.full_at:
            raise StateUnwritable("the disk is full")
        if point == self.crashes_at:
            self.passes -= 1
            if self.passes == 0:
                self.crashes_at = None
                raise Crash(point)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


def spec(name: str, to: OnFailure = ROLLBACK, kind: str = "deploy", **values: Any) -> StageSpec:
    values = {"backoff": timedelta(), **values}
    return StageSpec(name=name, type=kind, options={}, on_failure=to, **values)


def with_pipeline(new: NewExecution, **values: Any) -> NewExecution:
    return replace(new, pipeline=replace(new.pipeline, **values))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "watcher.db")
    yield made
    await made.store.close()


ONE_TWO = run_of(spec("one"), spec("two"), spec("three"))


# What is taken back, and when


async def test_what_was_done_is_taken_back_last_first(bench: Bench) -> None:
    bench.runs["two"] = fail
    run = await bench.once(ONE_TWO)
    assert bench.calls == ["run one", "run two", "undo two", "undo one"]
    assert (run.status, run.reason) == (FAILED, "stage two: broken; rolled back: one, two")
    assert [s.status.value for s in run.stages] == ["SUCCEEDED", "FAILED", "PENDING"]
    assert [s.log for s in run.stages] == [
        "rolling back\nput back one\n",
        "rolling back\nput back two\n",
        "",
    ]
    assert [e["stage"] for e in bench.events("rollback_started")] == ["two", "one"]
    assert bench.events("rollback_failed") == []
    (finished,) = bench.events("execution_finished")
    assert (finished["level"], finished["reason"]) == ("warning", run.reason)


@pytest.mark.parametrize(
    ("to", "calls", "status"),
    [
        pytest.param(STOP, ["run one", "run two"], FAILED, id="stop"),
        pytest.param(CONTINUE, ["run one", "run two", "run three"], SUCCEEDED, id="continue"),
    ],
)
async def test_only_a_stage_that_asks_for_it_is_rolled_back(
    bench: Bench, to: OnFailure, calls: list[str], status: ExecutionStatus
) -> None:
    bench.runs["two"] = fail
    run = await bench.once(run_of(spec("one"), spec("two", to), spec("three")))
    assert (bench.calls, run.status) == (calls, status)


async def test_a_check_after_a_deployment_rolls_it_back(bench: Bench) -> None:
    async def refuse(context: StageContext) -> StageOutcome:
        return Failed("unhealthy")

    bench.runs["check"] = refuse
    run = await bench.once(run_of(spec("one", STOP), spec("check", kind="note")))
    assert bench.calls == ["run one", "run check", "undo one"]
    assert run.reason == "stage check: unhealthy; rolled back: one"


async def test_what_did_nothing_is_not_taken_back(bench: Bench) -> None:
    async def idle(context: StageContext) -> StageOutcome:
        return Done() if context.spec.name == "one" else Failed("nothing was applied")

    bench.runs.update(one=idle, two=idle)
    run = await bench.once(ONE_TWO)
    assert (bench.calls, run.reason) == (
        ["run one", "run two"],
        "stage two: nothing was applied",
    )


async def test_a_run_that_goes_well_keeps_nothing_of_its_way_back(bench: Bench) -> None:
    run = await bench.once(ONE_TWO)
    assert (run.status, [s.undo for s in run.stages]) == (SUCCEEDED, [None, None, None])


async def test_a_run_past_its_time_is_rolled_back(bench: Bench) -> None:
    async def hang(context: StageContext) -> StageOutcome:
        await apply(context)
        await asyncio.Event().wait()
        return Done()

    bench.runs["two"] = hang
    run = await bench.once(with_pipeline(ONE_TWO, timeout=timedelta(seconds=0.2)))
    assert bench.calls == ["run one", "run two", "undo two", "undo one"]
    assert run.status is FAILED
    assert run.reason == (
        "stage two: the run took longer than its time-out of 0.2 s; rolled back: one, two"
    )


async def test_a_superseded_stage_ends_the_run_and_takes_nothing_back(bench: Bench) -> None:
    async def older(context: StageContext) -> StageOutcome:
        await apply(context)
        return Superseded("1.1 is there already")

    bench.runs["two"] = older
    run = await bench.once(ONE_TWO)
    assert bench.calls == ["run one", "run two"]
    assert (run.status, run.reason) == (SKIPPED, "stage two: 1.1 is there already")
    assert [s.status.value for s in run.stages] == ["SUCCEEDED", "CANCELED", "PENDING"]
    assert [s.undo for s in run.stages] == [None, None, None]


async def test_a_dry_run_skips_what_knows_none(bench: Bench) -> None:
    new = with_pipeline(run_of(spec("one"), spec("say", kind="note")), dry_run=True)
    run = await bench.once(new)
    assert (bench.calls, run.status) == (["run one"], SUCCEEDED)
    assert run.stages[1].status is StageStatus.SKIPPED
    assert run.stages[1].error == "the pipeline is a dry run"


async def test_a_retry_after_a_rollback_does_all_of_it_again(bench: Bench) -> None:
    bench.runs["two"] = fail
    await bench.once(ONE_TWO)
    del bench.runs["two"]
    bench.calls.clear()
    runner = bench.runner()
    assert await runner.retry(ONE_TWO.id)
    await runner.run(until_idle=True)
    assert (await bench.get(ONE_TWO.id)).status is SUCCEEDED
    assert bench.calls == ["run one", "run two", "run three"]


async def test_a_stage_that_is_tried_again_is_taken_back_once_with_what_it_kept(
    bench: Bench,
) -> None:
    async def try_again(context: StageContext) -> StageOutcome:
        if context.memory.undo is None:
            await context.memory.keep_undo({"before": "the first attempt"})
        return Retry("not yet")

    bench.runs["two"] = try_again
    run = await bench.once(run_of(spec("two", attempts=3)))
    assert bench.calls == ["run two"] * 3 + ["undo two"]
    assert run.stages[0].log == "rolling back\nput back the first attempt\n"


# How a rollback ends


async def raising(error: BaseException) -> StageOutcome:
    raise error


@pytest.mark.parametrize(
    ("undo", "error"),
    [
        pytest.param(lambda _: raising(StageError("gone", hint="do")), "gone (do)", id="an error"),
        pytest.param(lambda _: raising(KeyError("x")), "KeyError: 'x'", id="a fault"),
        pytest.param(
            lambda _: raising(asyncio.CancelledError()),
            "the stage cancelled itself",
            id="a stray cancellation",
        ),
    ],
)
async def test_a_rollback_that_fails_is_loud_and_the_others_go_on(
    bench: Bench, undo: Act, error: str
) -> None:
    bench.runs["two"], bench.undoes["two"] = fail, undo
    run = await bench.once(ONE_TWO)
    assert bench.calls == ["run one", "run two", "undo two", "undo one"]
    assert run.status is FAILED
    assert run.reason == (
        f"stage two: broken; rolled back: one; ROLLBACK FAILED: stage two: {error}"
    )
    assert (run.stages[1].error, run.stages[1].undo_error) == ("broken", error)
    (loud,) = bench.events("rollback_failed")
    assert (loud["level"], loud["stage"], loud["error"]) == ("error", "two", error)
    assert loud["hint"]


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        pytest.param(Done(), None, id="done"),
        pytest.param(Skipped("nothing to put back"), None, id="nothing to do"),
        pytest.param(Failed("no"), "no", id="failed"),
        pytest.param(Superseded("newer"), "newer", id="something newer is there"),
        pytest.param(
            Waiting(None, "person"),
            "Waiting(until=None, waiting_for='person', state=None)",
            id="a wait, which a rollback can't",
        ),
        pytest.param("fine", "the stage answered str, which is no outcome", id="no outcome"),
    ],
)
async def test_what_a_rollback_answers(bench: Bench, outcome: Any, error: str | None) -> None:
    async def answer(context: StageContext) -> Any:
        return outcome

    bench.runs["one"], bench.undoes["one"] = fail, answer
    run = await bench.once(run_of(spec("one")))
    assert run.stages[0].undone is not None
    assert run.stages[0].undo_error == error
    assert len(bench.events("rollback_failed")) == (error is not None)


async def test_the_next_try_of_a_rollback_knows_what_the_last_one_kept(bench: Bench) -> None:
    async def in_two_tries(context: StageContext) -> StageOutcome:
        if context.memory.undo == "half":
            return Done()
        await context.memory.keep_undo("half")
        return Retry("not yet")

    bench.runs["one"], bench.undoes["one"] = fail, in_two_tries
    run = await bench.once(run_of(spec("one")))
    assert bench.calls == ["run one", "undo one", "undo one"]
    assert run.stages[0].undo_error is None


async def test_a_rollback_that_put_nothing_back_says_why(bench: Bench) -> None:
    async def leave(context: StageContext) -> StageOutcome:
        return Skipped("it has become ready")

    bench.runs["two"], bench.undoes["two"] = fail, leave
    bench.undoes["one"] = lambda _: raising(Crash("between the two"))
    with suppress(Crash):
        await bench.once(ONE_TWO)
    del bench.undoes["one"]
    run = await bench.once(ONE_TWO)
    assert run.reason == (
        "stage two: broken; rolled back: one; not rolled back: two (it has become ready)"
    )
    assert run.stages[1].undo_error is None
    (said,) = bench.events("rollback_skipped")
    assert (said["level"], said["stage"]) == ("warning", "two")
    assert said["reason"] == "it has become ready"


async def test_what_another_version_did_can_t_be_taken_back(bench: Bench) -> None:
    bench.runs["say"] = fail
    run = await bench.once(run_of(spec("say", kind="note")))
    assert run.stages[0].undo_error == "this version can't take back what a stage 'note' did"


@pytest.mark.parametrize(
    ("backoff", "after", "pause"),
    [
        pytest.param(7.0, None, 7.0, id="the stage's backoff"),
        pytest.param(7.0, 3.0, 3.0, id="as it asks"),
        pytest.param(0.0, None, LEAST_PAUSE, id="never at once"),
        pytest.param(7.0, 0.0, LEAST_PAUSE, id="even if it asks"),
    ],
)
async def test_a_rollback_is_tried_again_while_it_may_pass(
    bench: Bench, backoff: float, after: float | None, pause: float
) -> None:
    async def third_time(context: StageContext) -> StageOutcome:
        tries = bench.calls.count("undo one")
        if tries == 1:
            return Retry("busy", None if after is None else timedelta(seconds=after))
        if tries == 2:
            raise RateLimited(
                "very busy", retry_after=None if after is None else timedelta(seconds=after)
            )
        return await put_back(context)

    bench.runs["one"], bench.undoes["one"] = fail, third_time
    run = await bench.once(run_of(spec("one", backoff=timedelta(seconds=backoff))))
    assert bench.calls.count("undo one") == 3
    assert bench.pauses == [pause, pause]
    assert run.reason == "stage one: broken; rolled back: one"
    assert run.stages[0].log == (
        "rolling back\nrollback: busy; trying again\nrollback: very busy; trying again\n"
        "put back one\n"
    )


async def test_a_rollback_ends_with_the_stage_s_time_and_says_what_stood_in_its_way(
    bench: Bench,
) -> None:
    async def never(context: StageContext) -> StageOutcome:
        return Retry("the server is away")

    bench.runs["one"], bench.undoes["one"] = fail, never
    run = await bench.once(run_of(spec("one", timeout=timedelta(seconds=0.2))), sleep=asyncio.sleep)
    assert run.stages[0].undo_error == (
        "the rollback took longer than its time-out of 0.2 s; at last: the server is away"
    )


async def test_a_rollback_that_hangs_is_cancelled_at_its_time(bench: Bench) -> None:
    cancelled: list[str] = []

    async def hang(context: StageContext) -> StageOutcome:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(context.spec.name)
            raise
        return Done()

    bench.runs["one"], bench.undoes["one"] = fail, hang
    run = await bench.once(run_of(spec("one", timeout=timedelta(seconds=0.1))))
    assert cancelled == ["one"]
    assert run.stages[0].undo_error == "the rollback took longer than its time-out of 0.1 s"


# What comes between


@pytest.mark.parametrize("occurrence", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "point",
    [
        "start.before_commit",
        "start.after_commit",
        "undo.before_outcome",
        "memory.before_commit",
        "memory.after_commit",
        "stage.before_outcome",
        "outcome.before_commit",
        "outcome.after_commit",
    ],
)
async def test_a_stop_at_any_arrow_ends_in_the_same_rollback(
    bench: Bench, point: str, occurrence: int
) -> None:
    bench.runs["two"] = fail
    bench.crash_at(point, occurrence)
    with suppress(Crash):
        await bench.once(ONE_TWO)
    bench.crashes_at = None
    run = await bench.once(ONE_TWO)
    assert run.reason == "stage two: broken; rolled back: one, two"
    assert [s.undone is not None for s in run.stages] == [True, True, False]
    order = list(dict.fromkeys(bench.calls))
    assert order == ["run one", "run two", "undo two", "undo one"]
    assert len(bench.calls) - len(order) <= 1


async def test_a_rollback_that_kills_its_process_is_given_up_and_said(bench: Bench) -> None:
    bench.runs["one"] = fail
    for _ in range(MOST_STARTS):
        bench.crash_at("undo.before_outcome")
        with suppress(Crash):
            await bench.once(run_of(spec("one")))
    run = await bench.once(run_of(spec("one")))
    assert bench.calls.count("undo one") == MOST_STARTS
    assert "kill its process" in str(run.stages[0].undo_error)
    assert [e["stage"] for e in bench.events("rollback_failed")] == ["one"]


class Hold:
    """A rollback that stands still until it is let go or cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, context: StageContext) -> StageOutcome:
        context.log.line("putting back")
        self.begun.set()
        await self.go.wait()
        return Done()


async def test_a_cancellation_in_its_middle_ends_the_run_there(bench: Bench) -> None:
    held = Hold()
    bench.runs["two"], bench.undoes["two"] = fail, held
    runner = bench.runner()
    await runner.submit(ONE_TWO)
    running = asyncio.create_task(runner.run(until_idle=True))
    async with asyncio.timeout(20):
        await held.begun.wait()
        assert await runner.cancel(ONE_TWO.id)
        await running
    run = await bench.get(ONE_TWO.id)
    assert (run.status, run.reason) == (
        CANCELED,
        "canceled on request, in the middle of a rollback",
    )
    assert bench.calls == ["run one", "run two", "undo two"]
    assert run.stages[1].log == "rolling back\nputting back\n"


async def test_a_shutdown_in_its_middle_leaves_it_to_the_next_process(bench: Bench) -> None:
    held = Hold()
    bench.runs["two"], bench.undoes["two"] = fail, held
    runner = bench.runner()
    await runner.submit(ONE_TWO)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(20):
        await held.begun.wait()
        await runner.close()
        await running
    stopped = await bench.get(ONE_TWO.id)
    assert (stopped.status, stopped.stages[1].undone) == (ExecutionStatus.RUNNING, None)
    assert stopped.stages[1].log == "rolling back\nputting back\n"
    held.go.set()
    run = await bench.once(ONE_TWO)
    assert run.reason == "stage two: broken; rolled back: one, two"
    assert bench.calls == ["run one", "run two", "undo two", "undo two", "undo one"]


async def test_a_shutdown_lets_a_rollback_end_within_the_grace(bench: Bench) -> None:
    held = Hold()
    bench.runs["two"], bench.undoes["two"] = fail, held
    runner = bench.runner(grace=timedelta(seconds=10))
    await runner.submit(ONE_TWO)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(20):
        await held.begun.wait()
        closing = asyncio.create_task(runner.close())
        await asyncio.sleep(0)
        held.go.set()
        await closing
        await running
    assert bench.calls == ["run one", "run two", "undo two"]
    assert (await bench.once(ONE_TWO)).reason == "stage two: broken; rolled back: one, two"
    assert bench.calls == ["run one", "run two", "undo two", "undo one"]


async def test_a_retry_after_a_cancellation_in_its_middle_begins_with_what_was_touched(
    bench: Bench,
) -> None:
    held = Hold()
    bench.runs["two"], bench.undoes["one"] = fail, held
    runner = bench.runner()
    await runner.submit(ONE_TWO)
    running = asyncio.create_task(runner.run(until_idle=True))
    async with asyncio.timeout(20):
        await held.begun.wait()
        await runner.cancel(ONE_TWO.id)
        await running
    del bench.runs["two"]
    bench.calls.clear()
    again = bench.runner()
    assert await again.retry(ONE_TWO.id)
    await again.run(until_idle=True)
    assert (await bench.get(ONE_TWO.id)).status is SUCCEEDED
    assert bench.calls == ["run one", "run two", "run three"]


async def test_memory_that_can_t_be_kept_fails_the_stage_before_it_does_anything(
    bench: Bench,
) -> None:
    async def careful(context: StageContext) -> StageOutcome:
        await context.memory.keep_undo({"before": 1})
        bench.calls.append("applied")
        return Done()

    bench.runs["one"] = careful
    bench.full_at = "memory.before_commit"
    run = await bench.once(run_of(spec("one")))
    assert "applied" not in bench.calls
    assert "the disk is full" in str(run.reason)

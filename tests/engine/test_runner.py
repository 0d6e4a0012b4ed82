"""The runner around stages that do anything: time-outs, faults, waits, and when a pass is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import run_of
from tests.contract.stages import context_of
from watcher.config.fields import Anything, Kind
from watcher.core import stepping
from watcher.core.pipeline import (
    Concurrency,
    ConcurrencyPolicy,
    Done,
    Execution,
    ExecutionStatus,
    Failed,
    Json,
    NewExecution,
    OnFailure,
    Retry,
    StageOutcome,
    StageSpec,
    StageStatus,
    Waiting,
)
from watcher.engine.runner import EmbeddedRunner, utc_now
from watcher.errors import RateLimited, StateUnwritable, UsageError
from watcher.stages.base import StageContext
from watcher.stages.wait import WaitStage
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log

SUCCEEDED, FAILED = ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED

Work = Callable[[StageContext], Awaitable[Any]]


class Worker:
    """A stage that does what the test says."""

    type = "work"
    options: Kind = Anything()
    has_dry_run = False

    def __init__(self, work: Work) -> None:
        self._work = work

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        outcome: StageOutcome = await self._work(context)
        return outcome


@asynccontextmanager
async def working(runner: EmbeddedRunner) -> AsyncIterator[None]:
    """The runner works inside the block, and is stopped in order at its end."""
    running = asyncio.create_task(runner.run())
    try:
        yield
    finally:
        await runner.close()
        await running


async def waits_for(bench: Bench, new: NewExecution, least: timedelta) -> bool:
    """Whether the run's wait is over so long from now, or later."""
    (stage,) = (await bench.get(new.id)).stages
    return stage.wake is not None and stage.wake - utc_now() >= least


async def done(context: StageContext) -> StageOutcome:
    return Done()


def spec(name: str = "one", **values: Any) -> StageSpec:
    values = {"backoff": timedelta(), **values}
    return StageSpec(name=name, type="work", options={}, **values)


class Bench:
    """Runs made with stages of the test, on a state file of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[str] = []
        self.crashes_at: str | None = None
        self.passes = 0
        self.store = ThreadedStore(lambda: Store.open(path, fault=self._store_fault))

    def runner(self, work: Work, **settings: Any) -> EmbeddedRunner:
        settings = {"grace": timedelta(seconds=0.2), **settings}
        return EmbeddedRunner(
            self.store,
            {"work": Worker(work)},
            context_of,
            log=Log("error"),
            fault=self._fault,
            **settings,
        )

    async def once(self, work: Work, *runs: NewExecution, **settings: Any) -> list[Execution]:
        """Submit, run until idle; the runs in the order in which they were submitted."""
        runner = self.runner(work, **settings)
        for new in runs:
            await runner.submit(new)
        async with asyncio.timeout(20):
            await runner.run(until_idle=True)
        return [await self.get(new.id) for new in runs]

    async def get(self, identifier: str) -> Execution:
        execution = await self.store.run(lambda store: store.execution(identifier))
        assert execution is not None
        return execution

    async def count(self, status: ExecutionStatus) -> int:
        return len(await self.store.run(lambda store: store.executions(status=status)))

    async def said(self, identifier: str) -> str:
        return (await self.get(identifier)).stages[0].log

    async def until(self, look: Callable[[], Awaitable[object]], seen: object) -> None:
        """Wait for what another task brings about."""
        async with asyncio.timeout(20):
            while await look() != seen:
                await asyncio.sleep(0.01)

    def crash_at(self, point: str, occurrence: int) -> None:
        """Stop when the point is reached for the nth time."""
        self.crashes_at, self.passes = point, occurrence

    def _fault(self, point: str) -> None:
        if point != self.crashes_at:
            return
        self.passes -= 1
        if self.passes == 0:
            raise Crash(point)

    def _store_fault(self, point: str) -> None:
        self._fault(point)
        if point in self.faults:
            self.faults.remove(point)
            raise StateUnwritable(point)


class Crash(BaseException):
    """The process stops here, as far as the test can do that within itself."""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "watcher.db")
    yield made
    await made.store.close()


async def test_outputs_go_to_later_stages(bench: Bench) -> None:
    seen: list[Any] = []

    async def work(context: StageContext) -> StageOutcome:
        seen.append(dict(context.outputs))
        return Done({"place": context.index})

    (run,) = await bench.once(work, run_of(spec("a"), spec("b"), spec("c")))
    assert run.status is SUCCEEDED
    assert seen == [{}, {"a": {"place": 0}}, {"a": {"place": 0}, "b": {"place": 1}}]


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        pytest.param("parameters.go", StageStatus.SUCCEEDED, id="true"),
        pytest.param("not parameters.go", StageStatus.SKIPPED, id="false"),
        pytest.param("no_such_name", StageStatus.FAILED, id="unknown name"),
    ],
)
async def test_a_condition_decides_whether_a_stage_runs(
    bench: Bench, condition: str, status: StageStatus
) -> None:
    new = replace(run_of(spec(condition=condition)), parameters={"go": True})
    (run,) = await bench.once(done, new)
    assert run.stages[0].status is status
    assert (run.status is FAILED) is (status is StageStatus.FAILED)


async def test_a_failure_that_may_be_does_not_end_the_run(bench: Bench) -> None:
    async def work(context: StageContext) -> StageOutcome:
        return Failed("no") if context.index == 0 else Done()

    first = spec(on_failure=OnFailure.CONTINUE)
    (run,) = await bench.once(work, run_of(first, spec("two")))
    assert run.status is SUCCEEDED
    assert [s.status for s in run.stages] == [StageStatus.FAILED, StageStatus.SUCCEEDED]


async def raising(error: BaseException) -> StageOutcome:
    raise error


@pytest.mark.parametrize(
    ("error", "attempts", "said"),
    [
        pytest.param(UsageError("no", hint="do"), 1, "no (do)", id="an error for good"),
        pytest.param(
            RateLimited("busy", retry_after=timedelta()), 2, "busy", id="a temporary error"
        ),
        pytest.param(KeyError("x"), 1, "KeyError: 'x'", id="a fault of the stage"),
        pytest.param(
            asyncio.CancelledError(), 1, "the stage cancelled itself", id="a stray cancellation"
        ),
    ],
)
async def test_what_a_stage_raises_is_an_outcome(
    bench: Bench, error: BaseException, attempts: int, said: str
) -> None:
    (run,) = await bench.once(lambda _: raising(error), run_of(spec(attempts=2)))
    assert (run.status, run.stages[0].attempts, run.stages[0].error) == (FAILED, attempts, said)


async def test_an_answer_that_is_no_outcome_is_a_failure(bench: Bench) -> None:
    async def work(context: StageContext) -> Any:
        return {"fine": True}

    (run,) = await bench.once(work, run_of(spec()))
    assert run.stages[0].error == "the stage answered dict, which is no outcome"


async def test_a_stage_of_another_version_is_a_failure(bench: Bench) -> None:
    (run,) = await bench.once(done, run_of(replace(spec(), type="apply")))
    assert run.stages[0].error == "this version has no stage 'apply'"


async def test_a_stage_past_its_time_is_cancelled_and_may_be_tried_again(bench: Bench) -> None:
    cancelled: list[int] = []

    async def work(context: StageContext) -> StageOutcome:
        context.log.line("waiting")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(context.attempt)
            raise
        return Done()

    slow = spec(attempts=2, timeout=timedelta(seconds=0.05))
    (run,) = await bench.once(work, run_of(slow))
    assert cancelled == [1, 2]
    assert run.status is FAILED
    assert "longer than its time-out" in str(run.stages[0].error)
    assert run.stages[0].log == "waiting\nwaiting\n"


async def test_a_run_past_its_time_ends_whatever_its_stages_allow(bench: Bench) -> None:
    async def work(context: StageContext) -> StageOutcome:
        await asyncio.Event().wait()
        return Done()

    patient = spec(attempts=9, on_failure=OnFailure.CONTINUE)
    new = run_of(patient, spec("two"))
    new = replace(new, pipeline=replace(new.pipeline, timeout=timedelta(seconds=0.1)))
    (run,) = await bench.once(work, new)
    assert (run.status, run.stages[0].attempts) == (FAILED, 1)
    assert run.reason == "the run took longer than its time-out of 0.1 s"
    assert run.stages[1].status is StageStatus.PENDING


async def test_one_pass_stays_for_time_but_not_for_people(bench: Bench) -> None:
    async def work(context: StageContext) -> StageOutcome:
        if context.resumed:
            return Done()
        if context.spec.name == "person":
            return Waiting(context.now() + timedelta(days=1), stepping.FOR_PERSON)
        return Waiting(context.now() + timedelta(seconds=0.1), "the time", {"waited": True})

    timed, person = await bench.once(
        work, run_of(spec("time"), key="time"), run_of(spec("person"), key="person")
    )
    assert (timed.status, person.status) == (SUCCEEDED, ExecutionStatus.WAITING)


async def test_a_retry_does_not_wait_until_a_wrong_clock_s_time_comes_again(bench: Bench) -> None:
    tried = asyncio.Event()

    async def work(context: StageContext) -> StageOutcome:
        if tried.is_set():
            return Done()
        tried.set()
        return Retry("not yet", timedelta(hours=1))

    new = run_of(spec(attempts=2))
    wrong = bench.runner(work, now=lambda: utc_now() + timedelta(days=365))
    async with working(wrong):
        await wrong.submit(new)
        await bench.until(lambda: bench.count(ExecutionStatus.WAITING), 1)
    async with working(bench.runner(work)):
        await bench.until(lambda: bench.count(ExecutionStatus.SUCCEEDED), 1)


JUMPS = [
    pytest.param(timedelta(days=1), id="a day on"),
    pytest.param(timedelta(days=-1), id="a day back"),
]


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_run_is_not_judged_by_a_clock_that_is_set_while_its_stage_works(
    bench: Bench, jump: timedelta
) -> None:
    ahead = [timedelta()]

    async def work(context: StageContext) -> StageOutcome:
        if context.spec.name == "first":
            ahead[0] = jump
        return Done()

    new = run_of(spec("first"), spec("second"))
    (run,) = await bench.once(work, new, now=lambda: utc_now() + ahead[0])
    assert (run.status, run.reason) == (SUCCEEDED, None)


@pytest.mark.parametrize("jump", JUMPS)
async def test_the_time_of_a_stage_and_of_its_run_strikes_after_a_clock_was_set_as_before(
    bench: Bench, jump: timedelta
) -> None:
    ahead = [timedelta()]

    async def work(context: StageContext) -> StageOutcome:
        ahead[0] = jump
        await asyncio.sleep(60)
        return Done()

    brief, longer = timedelta(seconds=0.3), timedelta(seconds=3)
    of_stage = run_of(spec(timeout=brief), key="of the stage")
    of_run = run_of(spec(), key="of the run")
    of_run = replace(of_run, pipeline=replace(of_run.pipeline, timeout=longer))
    runs = await bench.once(work, of_stage, of_run, now=lambda: utc_now() + ahead[0])
    reasons = [run.reason for run in runs]
    assert reasons == [
        "stage one: the stage took longer than its time-out of 0.3 s",
        "stage one: the run took longer than its time-out of 3 s",
    ]


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize(
    "waiting",
    [
        pytest.param(Retry("not yet", timedelta(seconds=1)), id="for another try"),
        pytest.param(None, id="for the time"),
    ],
)
async def test_a_run_that_waits_waits_as_long_when_the_clock_is_set(
    bench: Bench, jump: timedelta, waiting: StageOutcome | None
) -> None:
    ahead, tries = [timedelta()], list[float]()

    async def work(context: StageContext) -> StageOutcome:
        tries.append(time.monotonic())
        if len(tries) > 1:
            return Done()
        return waiting or Waiting(utc_now() + timedelta(seconds=1), "the time", {})

    runner = bench.runner(work, now=lambda: utc_now() + ahead[0])
    async with working(runner):
        await runner.submit(run_of(spec(attempts=2), spec("next")))
        await bench.until(lambda: bench.count(ExecutionStatus.WAITING), 1)
        ahead[0] = jump
        await bench.until(lambda: bench.count(ExecutionStatus.SUCCEEDED), 1)
    assert tries[1] - tries[0] >= 0.99


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_wait_is_over_when_its_time_has_passed_though_the_clock_was_set(
    bench: Bench, jump: timedelta
) -> None:
    ahead, looks = [timedelta()], list[StageOutcome]()

    def now() -> datetime:
        return utc_now() + ahead[0]

    async def work(context: StageContext) -> StageOutcome:
        looks.append(await WaitStage().run("1s", replace(context, now=now)))
        return looks[-1]

    runner = bench.runner(work, now=now)
    async with working(runner):
        await runner.submit(run_of(spec()))
        await bench.until(lambda: bench.count(ExecutionStatus.WAITING), 1)
        ahead[0] = jump
        await bench.until(lambda: bench.count(ExecutionStatus.SUCCEEDED), 1)
    assert [type(look) for look in looks] == [Waiting, Done]


async def test_a_wait_is_not_longer_where_the_clock_is_set_back_just_when_it_begins(
    bench: Bench,
) -> None:
    ahead = [timedelta()]

    def now() -> datetime:
        return utc_now() + ahead[0]

    async def work(context: StageContext) -> StageOutcome:
        outcome = await WaitStage().run("1s", replace(context, now=now))
        ahead[0] = timedelta(days=-1)
        return outcome

    runner = bench.runner(work, now=now)
    async with working(runner):
        await runner.submit(run_of(spec()))
        await bench.until(lambda: bench.count(ExecutionStatus.SUCCEEDED), 1)


async def test_what_waits_for_a_person_waits_on_when_the_clock_is_set(bench: Bench) -> None:
    ahead = [timedelta()]

    async def work(context: StageContext) -> StageOutcome:
        if context.spec.name == "person":
            return Waiting(utc_now() + timedelta(hours=1), stepping.FOR_PERSON)
        ahead[0] = timedelta(days=1)
        return Done()

    runner = bench.runner(work, now=lambda: utc_now() + ahead[0])
    asked, other = run_of(spec("person"), key="person"), run_of(spec("other"), key="other")
    async with working(runner):
        await runner.submit(asked)
        await bench.until(lambda: bench.count(ExecutionStatus.WAITING), 1)
        await runner.submit(other)
        await bench.until(lambda: bench.count(ExecutionStatus.SUCCEEDED), 1)
        left = timedelta(days=1, minutes=59)
        await bench.until(lambda: waits_for(bench, asked, left), seen=True)
        assert (await bench.get(asked.id)).status is ExecutionStatus.WAITING


async def test_one_pass_does_not_stay_for_what_stands_behind_a_person(bench: Bench) -> None:
    """The parent waits for its child, the child for a person, and a third for the child."""
    child = run_of(spec("person"), key="child", pipeline="child")

    async def work(context: StageContext) -> StageOutcome:
        if context.spec.name == "person":
            return Waiting(None, stepping.FOR_PERSON)
        return Waiting(None, f"execution:{child.id}", {})

    runs = await bench.once(
        work,
        child,
        run_of(spec("parent"), key="parent"),
        run_of(spec("person"), key="next", pipeline="child"),
    )
    assert [run.status.value for run in runs] == ["WAITING", "WAITING", "QUEUED"]


async def test_a_run_that_waits_for_another_goes_on_when_that_ends(bench: Bench) -> None:
    child = run_of(spec("child"), key="child")

    async def work(context: StageContext) -> StageOutcome:
        if context.spec.name == "child":
            await asyncio.sleep(0.05)
            return Failed("no")
        if context.resumed is None:
            return Waiting(None, f"execution:{child.id}", {"id": child.id})
        return Done(context.resumed)

    parent, _ = await bench.once(work, run_of(spec("parent"), key="parent"), child)
    assert parent.stages[0].outputs == {"id": child.id}
    assert parent.stages[0].attempts == 1


async def test_what_waits_holds_no_task(bench: Bench) -> None:
    async def work(context: StageContext) -> StageOutcome:
        return Waiting(None, stepping.FOR_PERSON)

    runner = bench.runner(work)
    for number in range(30):
        await runner.submit(run_of(spec(), key=f"run-{number}"))
    running = asyncio.create_task(runner.run())
    await bench.until(lambda: bench.count(ExecutionStatus.WAITING), 30)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) <= 4  # this test, the runner, its rest
    await runner.close()
    await running


@pytest.mark.parametrize(
    ("policy", "statuses"),
    [
        pytest.param("queue", ["SUCCEEDED", "SUCCEEDED", "SUCCEEDED"], id="queue"),
        pytest.param("newest", ["SUCCEEDED", "SKIPPED", "SUCCEEDED"], id="newest"),
        pytest.param("skip", ["SUCCEEDED", "SKIPPED", "SKIPPED"], id="skip"),
    ],
)
async def test_runs_that_come_while_one_is_under_way(
    bench: Bench, policy: str, statuses: list[str]
) -> None:
    under_way, at_once = asyncio.Event(), [0, 0]
    go = asyncio.Event()

    async def work(context: StageContext) -> StageOutcome:
        at_once[0] += 1
        at_once[1] = max(at_once)
        under_way.set()
        await go.wait()
        at_once[0] -= 1
        return Done()

    concurrency = Concurrency(policy=ConcurrencyPolicy(policy))
    runs = [run_of(spec(), key=f"run-{n}", pipeline="deploy") for n in range(3)]
    runs = [replace(r, pipeline=replace(r.pipeline, concurrency=concurrency)) for r in runs]
    runner = bench.runner(work)
    await runner.submit(runs[0])
    running = asyncio.create_task(runner.run(until_idle=True))
    await under_way.wait()
    for new in runs[1:]:
        await runner.submit(new)
    skipped = statuses.count("SKIPPED")
    await bench.until(lambda: bench.count(ExecutionStatus.SKIPPED), skipped)
    go.set()
    await running
    assert [(await bench.get(new.id)).status.value for new in runs] == statuses
    assert at_once[1] == 1


async def test_others_see_what_a_stage_says_while_it_runs(bench: Bench) -> None:
    go = asyncio.Event()

    async def work(context: StageContext) -> StageOutcome:
        context.log.line("half way")
        await go.wait()
        return Done()

    runner = bench.runner(work)
    new = run_of(spec())
    await runner.submit(new)
    running = asyncio.create_task(runner.run(until_idle=True))
    await bench.until(lambda: bench.said(new.id), "half way\n")
    assert (await bench.get(new.id)).stages[0].status is StageStatus.RUNNING
    go.set()
    await running
    assert (await bench.get(new.id)).stages[0].log == "half way\n"


async def test_no_more_run_at_once_than_there_are_slots(bench: Bench) -> None:
    at_once = [0, 0]

    async def work(context: StageContext) -> StageOutcome:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await asyncio.sleep(0.01)
        at_once[0] -= 1
        return Done()

    runs = await bench.once(work, *(run_of(spec(), key=f"{n}") for n in range(7)), slots=2)
    assert {run.status for run in runs} == {SUCCEEDED}
    assert at_once[1] == 2


@pytest.mark.parametrize("occurrence", [1, 2, 3])
@pytest.mark.parametrize(
    "point",
    [
        "claim.before_commit",
        "claim.after_commit",
        "start.before_commit",
        "start.after_commit",
        "stage.started",
        "stage.before_outcome",
        "outcome.before_commit",
        "outcome.after_commit",
    ],
)
async def test_a_stop_at_any_arrow_repeats_at_most_the_stage_under_way(
    bench: Bench, point: str, occurrence: int
) -> None:
    ran: list[str] = []

    async def work(context: StageContext) -> StageOutcome:
        ran.append(context.spec.name)
        return Done()

    runs = [run_of(spec("a"), spec("b"), spec("c"), key=key) for key in ("one", "two")]
    bench.crash_at(point, occurrence)
    with suppress(Crash):
        await bench.once(work, *runs, slots=1)
    before = len(ran)
    for run in await bench.once(work, *runs, slots=1):
        assert [stage.status for stage in run.stages] == [StageStatus.SUCCEEDED] * 3
    assert len(ran) - 6 <= 1
    if len(ran) > 6:
        assert ran[before] == ran[before - 1]
        assert point in ("stage.before_outcome", "outcome.before_commit")


@pytest.mark.parametrize("point", ["start.before_commit", "outcome.before_commit"])
async def test_a_disk_that_is_full_for_a_moment_repeats_no_stage(bench: Bench, point: str) -> None:
    ran: list[int] = []
    pauses: list[float] = []

    async def work(context: StageContext) -> StageOutcome:
        ran.append(context.attempt)
        return Done()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    bench.faults.extend([point, point])
    (run,) = await bench.once(work, run_of(spec()), sleep=sleep)
    assert (run.status, ran, len(pauses)) == (SUCCEEDED, [1], 2)


async def test_a_disk_that_stays_full_ends_the_runner_and_loses_nothing(bench: Bench) -> None:
    ran: list[int] = []

    async def work(context: StageContext) -> StageOutcome:
        ran.append(context.attempt)
        return Done()

    async def sleep(seconds: float) -> None:
        return None

    new = run_of(spec())
    bench.faults.extend(["outcome.before_commit"] * 5)
    with pytest.raises(StateUnwritable):
        await bench.once(work, new, sleep=sleep)
    (run,) = await bench.once(work, new)
    assert (run.status, ran) == (SUCCEEDED, [1, 2])


async def test_a_pause_before_a_retry_is_data_too(bench: Bench) -> None:
    async def work(context: StageContext) -> StageOutcome:
        return Retry("not yet") if context.attempt == 1 else Done()

    new = run_of(spec(attempts=2, backoff=timedelta(hours=1)))
    runner = bench.runner(work)
    await runner.submit(new)
    running = asyncio.create_task(runner.run())
    await bench.until(lambda: bench.count(ExecutionStatus.WAITING), 1)
    await runner.close()
    await running
    stage = (await bench.get(new.id)).stages[0]
    assert (stage.waiting_for, stage.error) == (stepping.FOR_RETRY, "not yet")
    assert stage.wake is not None


async def test_an_idle_runner_writes_nothing(bench: Bench) -> None:
    runner = bench.runner(done)
    await bench.store.run(lambda store: store.known("a", "r"))
    running = asyncio.create_task(runner.run())
    for _ in range(3):
        runner.wake()
        await asyncio.sleep(0.02)
    await runner.close()
    await running
    assert await bench.store.run(lambda store: store.commits) == 0


async def test_a_runner_that_is_cancelled_leaves_its_stages_to_be_resumed(bench: Bench) -> None:
    started = asyncio.Event()

    async def work(context: StageContext) -> StageOutcome:
        started.set()
        if context.attempt == 1:
            await asyncio.Event().wait()
        return Done()

    new = run_of(spec())
    runner = bench.runner(work)
    await runner.submit(new)
    running = asyncio.create_task(runner.run())
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    (run,) = await bench.once(work, new)
    assert (run.status, run.stages[0].attempts) == (SUCCEEDED, 2)

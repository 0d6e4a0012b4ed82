"""Takes one execution from stage to stage until it ends or waits; used by the runner only.

What comes next is decided by `core.stepping`, what is kept is kept by the store; here stages are
called, within their time, and whatever they raise becomes an outcome. An execution that waits
leaves: there is no task for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeVar

from watcher.core import stepping
from watcher.core.pipeline import (
    Execution,
    ExecutionStatus,
    Failed,
    Retry,
    Skipped,
    StageOutcome,
    StageStatus,
)
from watcher.errors import StateLocked, StateUnwritable, WatcherError
from watcher.stages.base import Stage, StageContext, StageLog
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log

ContextFactory = Callable[[Execution, int, StageLog], StageContext]
"""Makes what the stage at an index is given; its log is the one to write to."""

SECONDS_TO_STOP = 5.0
"""How long a cancelled stage may take to clean up before it is left behind."""

_SAVE_PAUSES = (0.2, 1.0, 4.0, 10.0)
_Result = TypeVar("_Result")


class Interruption(Enum):
    """Why a stage under way is cancelled."""

    CANCEL = "cancel"
    SHUTDOWN = "shutdown"


@dataclass(slots=True)
class Active:
    """An execution that is being driven, and the handles on its stage under way."""

    identifier: str
    driving: asyncio.Task[None] | None = None
    working: asyncio.Task[StageOutcome] | None = None
    interruption: Interruption | None = None
    stops_after_stage: bool = False
    index: int = 0
    log: StageLog | None = None
    log_saved: int = 0

    def interrupt(self, why: Interruption) -> None:
        """Cancel the stage under way; the first reason stands."""
        if self.interruption is None:
            self.interruption = why
        if self.working is not None:
            self.working.cancel()


class Dispatcher:
    """Drives executions; holds nothing of any of them."""

    def __init__(
        self,
        store: ThreadedStore,
        stages: Mapping[str, Stage],
        context: ContextFactory,
        *,
        log: Log,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        fault: Callable[[str], None],
    ) -> None:
        self._store = store
        self._stages = stages
        self._context = context
        self._log = log
        self._now = now
        self._sleep = sleep
        self._fault = fault

    async def drive(self, execution: Execution, active: Active) -> None:
        """Go on until the execution ends, waits, or has to stop with the process. Raises
        StateError when the state can't be written even after some patience."""
        while not execution.status.is_final:
            step = stepping.next_step(execution, self._now())
            match step:
                case stepping.Finish():
                    execution = await self._write(execution, None)
                case stepping.Sleep():
                    await self._write(replace(execution, status=ExecutionStatus.WAITING), None)
                    return
                case stepping.Expire(index):
                    execution = await self._expire(execution, index)
                case stepping.Conclude(index, outcome):
                    ended = stepping.conclude(execution, index, outcome, self._now())
                    execution = await self._write(ended, index)
                case stepping.RunStage(index):
                    if active.stops_after_stage:
                        return
                    execution = await self._run_stage(execution, index, active)
            if execution.status is ExecutionStatus.WAITING:
                return

    async def _run_stage(self, execution: Execution, index: int, active: Active) -> Execution:
        resumes = execution.stages[index].status is StageStatus.WAITING
        begun = stepping.begin(execution, index, self._now())
        begun = await self._persist(lambda store: store.save_start(begun, index))
        if begun.cancel_requested:
            return begun
        self._fault("stage.started")
        stage = begun.stages[index]
        self._log.info(
            Event.STAGE_STARTED, **_keys(begun), stage=stage.name, attempt=stage.attempts
        )
        log = StageLog.of(stage.log)
        active.index, active.log, active.log_saved = index, log, log.written
        outcome = await self._invoke(begun, index, log, active, resumes=resumes)
        active.log = None
        self._fault("stage.before_outcome")
        if outcome is None:
            return await self._interrupted(begun, index, log, active)
        return await self._write(
            stepping.conclude(begun, index, outcome, self._now(), log.text), index
        )

    async def _invoke(
        self, begun: Execution, index: int, log: StageLog, active: Active, *, resumes: bool
    ) -> StageOutcome | None:
        """The stage's outcome; None when it was interrupted before it had one."""
        if active.interruption is not None:
            return None
        working = asyncio.create_task(self._work(begun, index, log, resumes=resumes))
        active.working = working
        try:
            in_time = await self._in_time(begun, index, working)
        finally:
            working.cancel()
            active.working = None
        if working.done() and not working.cancelled():
            return working.result()
        if not in_time:
            return self._timed_out(begun, index)
        return self._without_outcome(active)

    async def _in_time(
        self, begun: Execution, index: int, working: asyncio.Task[StageOutcome]
    ) -> bool:
        """Wait for the stage's end; past its time it is cancelled, and left behind when it does
        not clean up."""
        done, _ = await asyncio.wait({working}, timeout=self._time_left(begun, index))
        if done:
            return True
        working.cancel()
        _, left = await asyncio.wait({working}, timeout=SECONDS_TO_STOP)
        if left:
            self._log.error(
                Event.INTERNAL_ERROR, **_keys(begun), error="a stage ignores its cancellation"
            )
        return False

    @staticmethod
    def _without_outcome(active: Active) -> StageOutcome | None:
        return None if active.interruption is not None else Failed("the stage cancelled itself")

    async def _work(
        self, begun: Execution, index: int, log: StageLog, *, resumes: bool
    ) -> StageOutcome:
        """Call the stage; whatever it raises is an outcome."""
        spec = begun.pipeline.stages[index]
        stage = self._stages.get(spec.type)
        if stage is None:
            return Failed(f"this version has no stage {spec.type!r}")
        try:
            context = self._context(begun, index, log)
            if spec.condition and not resumes and not await context.holds(spec.condition):
                return Skipped(f"its `if` is false: {spec.condition}")
            outcome: object = await stage.run(spec.options, context)
        except WatcherError as error:
            hint = f" ({error.hint})" if error.hint else ""
            reason = f"{error}{hint}"
            return Retry(reason, error.retry_after) if error.temporary else Failed(reason)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            self._log.error(Event.INTERNAL_ERROR, **_keys(begun), stage=spec.name, error=what)
            return Failed(what)
        if isinstance(outcome, StageOutcome):
            return outcome
        return Failed(f"the stage answered {type(outcome).__name__}, which is no outcome")

    async def _interrupted(
        self, begun: Execution, index: int, log: StageLog, active: Active
    ) -> Execution:
        if active.interruption is Interruption.SHUTDOWN:
            active.stops_after_stage = True
            released = stepping.release(begun, index, log.text)
            return await self._persist(lambda store: store.save(released, index, None))
        stages = list(begun.stages)
        stages[index] = replace(stages[index], log=log.text)
        canceled = replace(begun, stages=tuple(stages), cancel_requested=True)
        return await self._write(canceled, index)

    async def _expire(self, execution: Execution, index: int) -> Execution:
        """Time decides, through the same door as people: whoever is first."""

        def decide(store: Store) -> Execution:
            store.decide(execution.id, index, approved=False, person=stepping.BY_TIMEOUT)
            return store.execution(execution.id) or execution

        return await self._persist(decide)

    async def _write(self, execution: Execution, index: int | None) -> Execution:
        """Save the execution; when its end follows from what it is now, save that with it."""
        now = self._now()
        step = stepping.next_step(execution, now)
        wake = step.until if isinstance(step, stepping.Sleep) else now
        current = stepping.current_stage(execution)
        if isinstance(step, stepping.Finish):
            execution = stepping.finish(execution, step.status, step.reason, now)
            index = current.index if index is None and current is not None else index
        saved = await self._persist(lambda store: store.save(execution, index, wake))
        self._tell(saved, index)
        return saved

    async def _persist(self, function: Callable[[Store], _Result]) -> _Result:
        """Write; a disk that is full for a moment must not make a stage run twice."""
        for pause in _SAVE_PAUSES:
            try:
                return await self._store.run(function)
            except (StateUnwritable, StateLocked) as error:
                self._log.error(Event.STATE_FAILED, error=str(error), hint=error.hint)
                await self._sleep(pause)
        return await self._store.run(function)

    def _time_left(self, begun: Execution, index: int) -> float:
        """Seconds that the stage may take: its own, and never more than the run has left."""
        ends = [begun.stages[index].deadline, stepping.run_deadline(begun)]
        end = min(moment for moment in ends if moment is not None)
        return max(0.0, (end - self._now()) / timedelta(seconds=1))

    def _timed_out(self, begun: Execution, index: int) -> StageOutcome:
        end = stepping.run_deadline(begun)
        if end is not None and self._now() >= end:
            return Failed(stepping.timed_out(begun.pipeline.timeout, "the run"))
        return Retry(stepping.timed_out(begun.pipeline.stages[index].timeout, "the stage"))

    def _tell(self, saved: Execution, index: int | None) -> None:
        stage = saved.stages[index] if index is not None else None
        if stage is not None and stage.waiting_for == stepping.FOR_RETRY:
            self._log.warning(
                Event.STAGE_RETRIED,
                **_keys(saved),
                stage=stage.name,
                attempt=stage.attempts,
                error=stage.error,
            )
        if stage is not None and stage.finished is not None:
            self._log.info(
                Event.STAGE_FINISHED,
                **_keys(saved),
                stage=stage.name,
                status=stage.status.value,
                error=stage.error,
            )
        if saved.status.is_final:
            tell_finished(self._log, saved)


def tell_finished(log: Log, execution: Execution) -> None:
    """The line about an execution's end."""
    failed = execution.status is ExecutionStatus.FAILED
    write = log.warning if failed else log.info
    write(
        Event.EXECUTION_FINISHED,
        **_keys(execution),
        status=execution.status.value,
        reason=execution.reason,
    )


def _keys(execution: Execution) -> dict[str, str]:
    return {"execution": execution.id, "pipeline": execution.pipeline.name}

"""Takes one execution from stage to stage until it ends or waits; used by the runner only.

What comes next is decided by `core.stepping`, what is kept is kept by the store, stages are called
by `invocation`. An execution that waits leaves: there is no task for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from watcher.core import stepping, undoing
from watcher.core.pipeline import Execution, ExecutionStatus, StageRun, StageStatus
from watcher.engine.invocation import (
    Active,
    ContextFactory,
    Interruption,
    Invoker,
    error_of,
    keys,
    skipped_of,
)
from watcher.engine.jumps import Jumps
from watcher.errors import StateLocked, StateUnwritable
from watcher.stages.base import Stage, StageLog
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.events import Event
from watcher.telemetry.families import Count, RollbackResult, StateUse, Timing
from watcher.telemetry.log import Log
from watcher.telemetry.meter import UNMEASURED, Meter

_SAVE_PAUSES = (0.2, 1.0, 4.0, 10.0)
_Result = TypeVar("_Result")


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
        monotonic: Callable[[], float],
        meter: Meter = UNMEASURED,
    ) -> None:
        self._store = store
        self._invoker = Invoker(stages, context, log=log, now=now, sleep=sleep)
        self._jumps = Jumps(now, monotonic)
        self._log = log
        self._now = now
        self._sleep = sleep
        self._fault = fault
        self._meter = meter

    async def drive(self, execution: Execution, active: Active) -> None:
        """Go on until the execution ends, waits, or has to stop with the process. Raises
        StateError when the state can't be written even after some patience."""
        self._jumps.take(execution)
        self._jumps.leave(await self._driven(execution, active))

    async def _driven(self, execution: Execution, active: Active) -> Execution:
        while not execution.status.is_final:
            execution = self._jumps.heed(execution)
            step = stepping.next_step(execution, self._now())
            match step:
                case stepping.Finish():
                    execution = await self._write(execution, None)
                case stepping.Sleep():
                    execution = await self._sleep_on(execution)
                case stepping.Expire(index):
                    execution = await self._expire(execution, index)
                case stepping.Conclude(index, outcome):
                    ended = stepping.conclude(execution, index, outcome, self._now())
                    execution = await self._write(ended, index)
                case undoing.ConcludeUndo(index, reason):
                    execution = await self._undo_ended(execution, index, reason)
                case stepping.RunStage(_) | undoing.UndoStage(_) if active.stops_after_stage:
                    return execution
                case stepping.RunStage(index):
                    execution = await self._run_stage(execution, index, active)
                case undoing.UndoStage(index):
                    execution = await self._undo_stage(execution, index, active)
            if execution.status is ExecutionStatus.WAITING:
                break
        return execution

    async def _sleep_on(self, execution: Execution) -> Execution:
        """It was looked at too early; its times may have moved."""
        stage = stepping.current_stage(execution)
        waiting = replace(execution, status=ExecutionStatus.WAITING)
        return await self._write(waiting, stage.index if stage is not None else None, tells=False)

    async def _run_stage(self, execution: Execution, index: int, active: Active) -> Execution:
        resumes = execution.stages[index].status is StageStatus.WAITING
        begun = stepping.begin(execution, index, self._now())
        begun = self._jumps.heed(await self._persist(lambda store: store.save_start(begun, index)))
        if begun.cancel_requested:
            return begun
        self._fault("stage.started")
        stage = begun.stages[index]
        self._log.info(Event.STAGE_STARTED, **keys(begun), stage=stage.name, attempt=stage.attempts)
        log = active.begin(index, stage.log)
        outcome = await self._invoker.run(begun, index, active, resumes=resumes)
        begun = self._jumps.heed(_with_memory(begun, index, active))
        self._fault("stage.before_outcome")
        if outcome is None:
            return await self._interrupted(begun, index, log, active)
        return await self._write(
            stepping.conclude(begun, index, outcome, self._now(), log.text), index
        )

    async def _undo_stage(self, execution: Execution, index: int, active: Active) -> Execution:
        """Take a stage's work back; a failure is said loudly."""
        begun = undoing.begin_undo(execution, index)
        begun = await self._persist(lambda store: store.save_start(begun, index))
        if begun.cancel_requested:
            return begun
        stage = begun.stages[index]
        self._log.warning(Event.ROLLBACK_STARTED, **keys(begun), stage=stage.name)
        log = active.begin(index, stage.log)
        outcome = await self._invoker.undo(begun, index, active)
        begun = stepping.with_log(_with_memory(begun, index, active), index, log.text)
        self._fault("undo.before_outcome")
        if outcome is None:
            return await self._undo_interrupted(begun, index, active)
        return await self._undo_ended(begun, index, error_of(outcome), skipped_of(outcome))

    async def _undo_ended(
        self, execution: Execution, index: int, error: str | None, skipped: str | None = None
    ) -> Execution:
        if error is not None:
            self._log.error(
                Event.ROLLBACK_FAILED,
                **keys(execution),
                stage=execution.stages[index].name,
                error=error,
                hint="what the stage did is still there, in whole or in part: look at its log",
            )
        self._meter.count(Count.ROLLBACKS, execution.pipeline.name, _result(error, skipped))
        if skipped is not None:
            name = execution.stages[index].name
            self._log.warning(Event.ROLLBACK_SKIPPED, **keys(execution), stage=name, reason=skipped)
        ended = undoing.conclude_undo(execution, index, error, self._now(), skipped=skipped)
        return await self._write(ended, index, tells=False)

    async def _undo_interrupted(self, begun: Execution, index: int, active: Active) -> Execution:
        if active.interruption is Interruption.SHUTDOWN:
            active.stops_after_stage = True
            released = undoing.release_undo(begun, index)
            return await self._persist(lambda store: store.save(released, index, None))
        canceled = replace(begun, cancel_requested=True)
        return await self._write(canceled, index, tells=False)

    async def _interrupted(
        self, begun: Execution, index: int, log: StageLog, active: Active
    ) -> Execution:
        if active.interruption is Interruption.SHUTDOWN:
            active.stops_after_stage = True
            released = stepping.release(begun, index, log.text)
            return await self._persist(lambda store: store.save(released, index, None))
        canceled = replace(stepping.with_log(begun, index, log.text), cancel_requested=True)
        return await self._write(canceled, index)

    async def _expire(self, execution: Execution, index: int) -> Execution:
        """Time decides, through the same door as people: whoever is first."""

        def decide(store: Store) -> Execution:
            store.decide(execution.id, index, approved=False, person=stepping.BY_TIMEOUT)
            return store.execution(execution.id) or execution

        return await self._persist(decide)

    async def _write(
        self, execution: Execution, index: int | None, *, tells: bool = True
    ) -> Execution:
        """Save the execution; when its end follows from what it is now, save that with it. Unless
        it `tells`, the stage's own end was told before."""
        now = self._now()
        step = stepping.next_step(execution, now)
        wake = step.until if isinstance(step, stepping.Sleep) else now
        current = stepping.current_stage(execution)
        if isinstance(step, stepping.Finish):
            execution = stepping.finish(execution, step.status, step.reason, now)
            index = current.index if index is None and current is not None else index
        saved = await self._persist(lambda store: store.save(execution, index, wake))
        self._tell(saved, index if tells else None)
        return saved

    async def _persist(self, function: Callable[[Store], _Result]) -> _Result:
        """Write; a disk that is full for a moment must not make a stage run twice."""
        for pause in _SAVE_PAUSES:
            try:
                return await self._store.run(function)
            except (StateUnwritable, StateLocked) as error:
                self._log.error(Event.STATE_FAILED, error=str(error), hint=error.hint)
                self._meter.count(Count.STATE_FAILURES, StateUse.EXECUTION)
                await self._sleep(pause)
        return await self._store.run(function)

    def _tell(self, saved: Execution, index: int | None) -> None:
        stage = saved.stages[index] if index is not None else None
        if stage is not None and stage.waiting_for == stepping.FOR_RETRY:
            self._log.warning(
                Event.STAGE_RETRIED,
                **keys(saved),
                stage=stage.name,
                attempt=stage.attempts,
                error=stage.error,
            )
        if stage is not None and stage.finished is not None:
            self._measure(stage)
            self._log.info(
                Event.STAGE_FINISHED,
                **keys(saved),
                stage=stage.name,
                status=stage.status.value,
                error=stage.error,
            )
        if saved.status.is_final:
            tell_finished(self._log, self._meter, saved)

    def _measure(self, stage: StageRun) -> None:
        """A stage that was skipped took no time, and one that never began has none."""
        if stage.started is not None and stage.finished is not None:
            taken = (stage.finished - stage.started).total_seconds()
            self._meter.time(Timing.STAGE, max(taken, 0.0), stage.type, stage.status)


def tell_finished(log: Log, meter: Meter, execution: Execution) -> None:
    """The line about an execution's end, and its count."""
    meter.count(Count.EXECUTIONS, execution.pipeline.name, execution.status)
    failed = execution.status is ExecutionStatus.FAILED
    write = log.warning if failed else log.info
    write(
        Event.EXECUTION_FINISHED,
        **keys(execution),
        status=execution.status.value,
        reason=execution.reason,
    )


def _result(error: str | None, skipped: str | None) -> RollbackResult:
    if error is not None:
        return RollbackResult.FAILED
    return RollbackResult.SUCCEEDED if skipped is None else RollbackResult.SKIPPED


def _with_memory(begun: Execution, index: int, active: Active) -> Execution:
    """The execution with what its stage kept while it was under way."""
    memory, active.memory, active.log = active.memory, None, None
    if memory is None:
        return begun
    return stepping.remember(begun, index, memory.resumed, memory.undo)

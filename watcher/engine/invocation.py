"""Calls one stage, within its time: to do its work, or to take it back.

Whatever a stage raises becomes an outcome here, and an interruption becomes None. Used by the
dispatcher only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from math import inf
from typing import Any

from watcher.core import stepping
from watcher.core.pipeline import (
    Done,
    Execution,
    Failed,
    Retry,
    Skipped,
    StageOutcome,
    StageSpec,
)
from watcher.errors import WatcherError
from watcher.stages.base import Stage, StageContext, StageLog, StageMemory, Undoable
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log

ContextFactory = Callable[[Execution, int, StageLog], StageContext]
"""Makes what the stage at an index is given; its log is the one to write to."""

SECONDS_TO_STOP = 5.0
"""How long a cancelled stage may take to clean up before it is left behind."""

LEAST_PAUSE = 1.0
"""Seconds between two tries of a rollback, whose number nothing limits but its time."""


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
    memory: StageMemory | None = None
    trouble: str | None = None

    def begin(self, index: int, text: str) -> StageLog:
        """The log of a stage that starts, going on after what it said before."""
        self.index, self.log, self.memory = index, StageLog.of(text), None
        self.trouble = None
        self.log_saved = self.log.written
        return self.log

    def interrupt(self, why: Interruption) -> None:
        """Cancel the stage under way; the first reason stands."""
        if self.interruption is None:
            self.interruption = why
        if self.working is not None:
            self.working.cancel()


class Invoker:
    """Calls stages; holds nothing of any execution."""

    def __init__(
        self,
        stages: Mapping[str, Stage],
        context: ContextFactory,
        *,
        log: Log,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._stages = stages
        self._context = context
        self._log = log
        self._now = now
        self._sleep = sleep

    async def run(
        self, begun: Execution, index: int, active: Active, *, resumes: bool
    ) -> StageOutcome | None:
        """The stage's outcome; None when it was interrupted before it had one."""
        of_stage = self._left(begun.stages[index].deadline)
        of_run = self._left(stepping.run_deadline(begun))
        work = self._work(begun, index, active, resumes=resumes)
        outcome, in_time = await self._within(begun, active, work, min(of_stage, of_run))
        if in_time:
            return outcome
        if of_run <= of_stage:
            return Failed(stepping.timed_out(begun.pipeline.timeout, "the run"))
        return Retry(stepping.timed_out(begun.pipeline.stages[index].timeout, "the stage"))

    async def undo(self, begun: Execution, index: int, active: Active) -> StageOutcome | None:
        """How taking the stage's work back went; None when it was interrupted. It has as long as
        the stage itself, whatever is left of the run's time."""
        limit = begun.pipeline.stages[index].timeout
        work = self._work_undo(begun, index, active)
        outcome, in_time = await self._within(begun, active, work, limit.total_seconds())
        if in_time:
            return outcome
        last = f"; at last: {active.trouble}" if active.trouble else ""
        return Failed(f"{stepping.timed_out(limit, 'the rollback')}{last}")

    async def _within(
        self,
        begun: Execution,
        active: Active,
        work: Coroutine[Any, Any, StageOutcome],
        seconds: float,
    ) -> tuple[StageOutcome | None, bool]:
        """What the work came to, and whether it ended in time."""
        if active.interruption is not None:
            work.close()
            return None, True
        working = asyncio.create_task(work)
        active.working = working
        try:
            in_time = await self._in_time(begun, working, seconds)
        finally:
            working.cancel()
            active.working = None
        if working.done() and not working.cancelled():
            return working.result(), True
        if in_time and active.interruption is None:
            return Failed("the stage cancelled itself"), True
        return None, in_time

    async def _in_time(
        self, begun: Execution, working: asyncio.Task[StageOutcome], seconds: float
    ) -> bool:
        """Wait for the work's end; past its time it is cancelled, and left behind when it does
        not clean up."""
        done, _ = await asyncio.wait({working}, timeout=seconds)
        if done:
            return True
        working.cancel()
        _, left = await asyncio.wait({working}, timeout=SECONDS_TO_STOP)
        if left:
            self._log.error(
                Event.INTERNAL_ERROR, **keys(begun), error="a stage ignores its cancellation"
            )
        return False

    async def _work(
        self, begun: Execution, index: int, active: Active, *, resumes: bool
    ) -> StageOutcome:
        spec = begun.pipeline.stages[index]
        stage = self._stages.get(spec.type)
        if stage is None:
            return Failed(f"this version has no stage {spec.type!r}")

        async def call(context: StageContext) -> StageOutcome:
            if spec.condition and not resumes and not await context.holds(spec.condition):
                return Skipped(f"its `if` is false: {spec.condition}")
            if begun.pipeline.dry_run and not stage.has_dry_run:
                return Skipped("the pipeline is a dry run")
            return await stage.run(spec.options, context)

        return await self._called(begun, index, active, call)

    async def _work_undo(self, begun: Execution, index: int, active: Active) -> StageOutcome:
        """Again and again while it may still pass: a cluster half rolled back is worth waiting."""
        spec = begun.pipeline.stages[index]
        stage = self._stages.get(spec.type)
        if not isinstance(stage, Undoable):
            return Failed(f"this version can't take back what a stage {spec.type!r} did")

        async def call(context: StageContext) -> StageOutcome:
            if not active.trouble:
                context.log.line("rolling back")
            return await stage.undo(spec.options, context)

        while True:
            outcome = await self._called(begun, index, active, call)
            if not isinstance(outcome, Retry):
                return outcome
            if active.memory is not None:
                begun = stepping.remember(begun, index, active.memory.resumed, active.memory.undo)
            active.trouble = outcome.reason
            if active.log is not None:
                active.log.line(f"rollback: {outcome.reason}; trying again")
            await self._sleep(_pause(spec, outcome))

    async def _called(
        self,
        begun: Execution,
        index: int,
        active: Active,
        call: Callable[[StageContext], Awaitable[StageOutcome]],
    ) -> StageOutcome:
        """Call the stage; whatever it raises is an outcome."""
        spec = begun.pipeline.stages[index]
        try:
            context = self._context(begun, index, active.log or StageLog())
            active.memory = context.memory
            outcome: object = await call(context)
        except WatcherError as error:
            hint = f" ({error.hint})" if error.hint else ""
            reason = f"{error}{hint}"
            return Retry(reason, error.retry_after) if error.temporary else Failed(reason)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            self._log.error(Event.INTERNAL_ERROR, **keys(begun), stage=spec.name, error=what)
            return Failed(what)
        if isinstance(outcome, StageOutcome):
            return outcome
        return Failed(f"the stage answered {type(outcome).__name__}, which is no outcome")

    def _left(self, end: datetime | None) -> float:
        """Seconds until then, which a clock that nobody sets counts from now on."""
        return inf if end is None else max(0.0, (end - self._now()) / timedelta(seconds=1))


def error_of(outcome: StageOutcome) -> str | None:
    """What went wrong with a rollback, None when it went well."""
    return None if isinstance(outcome, Done | Skipped) else getattr(outcome, "reason", str(outcome))


def skipped_of(outcome: StageOutcome) -> str | None:
    """Why a rollback put nothing back, None when it had something to do."""
    return outcome.reason if isinstance(outcome, Skipped) else None


def keys(execution: Execution) -> dict[str, str]:
    """What every log line about an execution says."""
    return {"execution": execution.id, "pipeline": execution.pipeline.name}


def _pause(spec: StageSpec, outcome: Retry) -> float:
    wanted = spec.backoff if outcome.after is None else outcome.after
    return max(LEAST_PAUSE, wanted.total_seconds())

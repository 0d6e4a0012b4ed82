"""The embedded engine: rows in the state file and asyncio, nothing to install (`port.Runner`).

One loop claims what is due and starts a task for each; it rests until somebody wakes it, a wait is
over, or another process has written. The state lock makes it the only one on its file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from watcher.core.pipeline import Execution, ExecutionStatus, NewExecution
from watcher.engine.dispatch import Dispatcher, tell_finished
from watcher.engine.invocation import SECONDS_TO_STOP, Active, ContextFactory, Interruption
from watcher.stages.base import Stage
from watcher.store.connection import no_fault
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log
from watcher.telemetry.meter import UNMEASURED, Meter

SLOTS = 16
GRACE = timedelta(seconds=15)  # so that all is over within the 20 s of SPEC 8
WATCH_SECONDS = 0.5
LOG_SECONDS = 2.0


def utc_now() -> datetime:
    return datetime.now(UTC)


class EmbeddedRunner:
    """`slots` executions run at once, of whatever pipelines. `context` makes what each stage is
    given. `grace` is what stages have to end in after `close`."""

    def __init__(
        self,
        store: ThreadedStore,
        stages: Mapping[str, Stage],
        context: ContextFactory,
        *,
        log: Log,
        slots: int = SLOTS,
        grace: timedelta = GRACE,
        now: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        fault: Callable[[str], None] = no_fault,
        meter: Meter = UNMEASURED,
    ) -> None:
        self._store = store
        self._dispatcher = Dispatcher(
            store,
            stages,
            context,
            log=log,
            now=now,
            sleep=sleep,
            fault=fault,
            monotonic=monotonic,
            meter=meter,
        )
        self._log = log
        self._meter = meter
        self._slots = slots
        self._grace = grace
        self._now = now
        self._active: dict[str, Active] = {}
        self._woken = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._closing = False
        self._failure: BaseException | None = None
        self._version = -1
        self._logs_saved = 0.0

    async def submit(self, new: NewExecution, parent: str | None = None) -> bool:
        fresh = await self._store.run(lambda store: store.submit(new, parent))
        self.wake()
        return fresh

    async def decide(self, identifier: str, index: int, *, approved: bool, person: str) -> bool:
        first = await self._store.run(
            lambda store: store.decide(identifier, index, approved=approved, person=person)
        )
        self.wake()
        return first

    async def cancel(self, identifier: str) -> bool:
        asked = await self._store.run(lambda store: store.request_cancel(identifier))
        await self._pass_on_cancellations()
        self.wake()
        return asked

    async def retry(self, identifier: str) -> bool:
        again = await self._store.run(lambda store: store.retry(identifier))
        self.wake()
        return again

    async def get(self, identifier: str) -> Execution | None:
        return await self._store.run(lambda store: store.execution(identifier))

    async def list(
        self,
        limit: int | None = 50,
        status: ExecutionStatus | None = None,
        pipeline: str | None = None,
    ) -> list[Execution]:
        return await self._store.run(lambda store: store.executions(limit, status, pipeline))

    @property
    def running(self) -> int:
        """How many executions are under way."""
        return len(self._active)

    def wake(self) -> None:
        self._woken.set()

    async def run(self, *, until_idle: bool = False) -> None:
        """See port.Runner; raises StateError when the state can't be used any more."""
        self._ended.clear()
        self._failure = None
        try:
            while not self._closing:
                self._woken.clear()
                await self._start_due()
                if until_idle and await self._is_idle():
                    return
                await self._rest()
                if self._failure is not None:
                    raise self._failure
        finally:
            await self._stop_driving()
            self._ended.set()

    async def close(self) -> None:
        self._closing = True
        for active in self._active.values():
            active.stops_after_stage = True
        self.wake()
        await self._ended.wait()

    async def _start_due(self) -> None:
        """Claim until nothing more can start."""
        while (free := self._slots - len(self._active)) > 0:
            busy = frozenset(self._active)
            claimed = await self._store.run(lambda s: s.claim(self._now(), busy, free))  # noqa: B023
            for execution in claimed.settled:
                tell_finished(self._log, self._meter, execution)
            for execution in claimed.executions:
                self._start(execution)
            if not claimed.executions:
                return

    def _start(self, execution: Execution) -> None:
        if not any(stage.attempts for stage in execution.stages):
            self._log.info(
                Event.EXECUTION_STARTED,
                execution=execution.id,
                pipeline=execution.pipeline.name,
                trigger=execution.trigger,
                tag=execution.tag,
            )
        active = Active(execution.id)
        self._active[execution.id] = active
        active.driving = asyncio.create_task(self._dispatcher.drive(execution, active))
        active.driving.add_done_callback(lambda task: self._rested(active, task))

    def _rested(self, active: Active, task: asyncio.Task[None]) -> None:
        del self._active[active.identifier]
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
        self._woken.set()

    async def _is_idle(self) -> bool:
        """Nothing runs, and nothing will without a person."""
        if self._active or self._woken.is_set():
            return False
        timer = await self._store.run(lambda store: store.next_wake(without_people=True))
        return timer is None and not self._woken.is_set()

    async def _rest(self) -> None:
        """Until there may be something to start; also when the clock was set back."""
        began = self._now()
        wake = await self._store.run(Store.next_wake)
        while not self._woken.is_set():
            patience = WATCH_SECONDS
            if wake is not None and len(self._active) < self._slots:
                patience = min(patience, wake - self._now().timestamp())
            if patience <= 0:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), patience)
            await self._save_logs()
            if self._now() < began:
                return
            if await self._others_wrote():
                await self._pass_on_cancellations()
                return

    async def _others_wrote(self) -> bool:
        before, self._version = self._version, await self._store.run(Store.data_version)
        return before != self._version

    async def _pass_on_cancellations(self) -> None:
        """Hand requests of any process to the stages under way."""
        busy = tuple(self._active)
        if not busy:
            return
        for identifier in await self._store.run(lambda store: store.canceled(busy)):
            active = self._active.get(identifier)
            if active is not None:
                active.interrupt(Interruption.CANCEL)

    async def _save_logs(self) -> None:
        """Let others see what stages say while they run; now and then, in one transaction."""
        moment = asyncio.get_running_loop().time()
        fresh = [
            active
            for active in self._active.values()
            if active.log is not None and active.log.written != active.log_saved
        ]
        if not fresh or moment - self._logs_saved < LOG_SECONDS:
            return
        self._logs_saved = moment
        logs: dict[tuple[str, int], str] = {}
        for active in fresh:
            if active.log is not None:
                logs[(active.identifier, active.index)] = active.log.text
                active.log_saved = active.log.written
        await self._store.run(lambda store: store.save_logs(logs))

    async def _stop_driving(self) -> None:
        """Grace, then cancellation, then the end of what did not listen."""
        driving = {active.driving for active in self._active.values() if active.driving}
        if not driving:
            return
        for active in self._active.values():
            active.stops_after_stage = True
        try:
            if self._closing:
                await asyncio.wait(driving, timeout=self._grace.total_seconds())
            for active in self._active.values():
                active.interrupt(Interruption.SHUTDOWN)
            await asyncio.wait(driving, timeout=SECONDS_TO_STOP + 1)
        finally:
            for task in driving:
                task.cancel()
        await asyncio.wait(driving, timeout=SECONDS_TO_STOP)

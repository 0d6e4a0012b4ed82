"""Keeps the times of runs true when the clock is set, or the machine sleeps, while they last.

Their times are those of the clock on the wall, since they have to outlive the process; within one
process another clock tells by how much that jumped. Used by the dispatcher only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from watcher.core import stepping
from watcher.core.clocks import Clocks
from watcher.core.pipeline import Execution, ExecutionStatus
from watcher.core.undoing import with_stage

_NONE = timedelta()


class Jumps:
    """Those of this process. What waited before it began, or is not known here, waited through all
    of them."""

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._clocks = Clocks(now().timestamp(), monotonic())
        self._all = _NONE
        self._heeded: dict[str, timedelta] = {}

    def look(self) -> timedelta:
        """By how much the clock has jumped, in all."""
        jump = self._clocks.jump(self._now().timestamp(), self._monotonic())
        self._all += timedelta(seconds=jump)
        return self._all

    def take(self, execution: Execution) -> None:
        """It is in hand from now on; if it did not wait, its times are of now."""
        stage = stepping.current_stage(execution)
        if stage is None or stage.suspended is None:
            self._heeded[execution.id] = self.look()

    def heed(self, execution: Execution) -> Execution:
        """The execution with its times moved by what was not heeded yet."""
        heeded, jumped = self._heeded.get(execution.id, _NONE), self.look()
        if heeded == jumped:
            return execution
        self._heeded[execution.id] = jumped
        return _moved(execution, jumped - heeded)

    def leave(self, execution: Execution) -> None:
        """It is out of hand; what it heeded has to be remembered while it waits, if anything."""
        heeded = self._heeded.pop(execution.id, _NONE)
        if heeded and execution.status is ExecutionStatus.WAITING:
            self._heeded[execution.id] = heeded


def _moved(execution: Execution, by: timedelta) -> Execution:
    """The execution with what is still to come put off by as much as the clock was set on, or
    brought forward: none of that time has passed."""
    execution = replace(execution, paused=execution.paused + by)
    stage = stepping.current_stage(execution)
    if stage is None:
        return execution
    later = replace(
        stage,
        suspended=_later(stage.suspended, by),
        wake=_later(stage.wake, by),
        deadline=_later(stage.deadline, by),
    )
    return with_stage(execution, later)


def _later(moment: datetime | None, by: timedelta) -> datetime | None:
    return None if moment is None else moment + by

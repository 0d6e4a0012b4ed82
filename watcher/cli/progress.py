"""Tells on stderr of runs that are under way: what becomes of their stages, and what these say.

Reads the state file beside whoever carries the runs out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from watcher.cli import output
from watcher.core.pipeline import ExecutionStatus, StageStatus
from watcher.core.stepping import waits_for_person

if TYPE_CHECKING:
    from watcher.core.pipeline import Execution, StageRun
    from watcher.store.sqlite import Store

LOOK_SECONDS = 0.2
_HEAD = 100
_UNDER_WAY = frozenset({StageStatus.RUNNING, StageStatus.WAITING})
_Result = TypeVar("_Result")


async def watched(work: Coroutine[Any, Any, _Result], look: Callable[[], None]) -> _Result:
    """Do the work, and look now and then as long as it takes."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait([task], timeout=LOOK_SECONDS))[0]:
            look()
    except BaseException:
        task.cancel()
        await asyncio.wait([task])
        raise
    return await task


class Teller:
    """Says what changed in one run since it looked the last time; `prefix` names the run where
    several are told of."""

    def __init__(self, store: Store, identifier: str, *, prefix: str = "") -> None:
        self._store = store
        self._identifier = identifier
        self._prefix = prefix
        self._said: dict[str, str] = {}
        self._tails: dict[str, Tail] = {}
        self.execution: Execution = self._read()

    def look(self) -> None:
        self.execution = self._read()
        for stage in self.execution.stages:
            if stage.status is StageStatus.PENDING:
                continue
            if stage.status in _UNDER_WAY:
                self._say_status(stage)
                self._say_lines(stage, ended=False)
            else:
                self._say_lines(stage, ended=True)
                self._say_status(stage)

    @property
    def is_done(self) -> bool:
        """Whether the run has ended, or waits for a person."""
        return self.execution.status.is_final or any(map(waits_for_person, self.execution.stages))

    def _say_status(self, stage: StageRun) -> None:
        error = f": {stage.error}" if stage.error else ""
        line = f"{self._prefix}stage {stage.name}: {stage.status.value}{error}"
        if self._said.get(stage.name) != line:
            self._said[stage.name] = line
            output.complain(line)

    def _say_lines(self, stage: StageRun, *, ended: bool) -> None:
        tail = self._tails.setdefault(stage.name, Tail())
        for line in tail.fresh(stage.log, ended=ended):
            output.complain(f"{self._prefix}{stage.name} | {line}")

    def _read(self) -> Execution:
        found = self._store.execution(self._identifier)
        assert found is not None  # executions are never removed while they are young
        return found


class Tail:
    """The lines of a growing text that were not shown yet. Only the end of a long text is kept,
    so what was shown may have lost its beginning."""

    def __init__(self) -> None:
        self._shown = ""

    def fresh(self, text: str, *, ended: bool) -> list[str]:
        """The new lines; unless the text has `ended`, the last one only when it is complete."""
        there = text if ended else text[: text.rfind("\n") + 1]
        new = there[_overlap(self._shown, there) :]
        self._shown = there
        return new.splitlines()


class Onlooker:
    """Tells of every run that takes its time in a pass of this process. `opened` gives the state
    file, at the first look."""

    def __init__(self, opened: Callable[[], Store]) -> None:
        self._opened = opened
        self._store: Store | None = None
        self._tellers: dict[str, Teller] = {}

    def look(self) -> None:
        if self._store is None:
            self._store = self._opened()
        for run in self._store.executions(None, ExecutionStatus.RUNNING):
            if run.id not in self._tellers:
                name = f"{run.pipeline.name} {run.tag or run.id}: "
                self._tellers[run.id] = Teller(self._store, run.id, prefix=name)
        self.end()

    def end(self) -> None:
        """Say the last words of the runs that were told of."""
        for teller in self._tellers.values():
            if not teller.execution.status.is_final:
                teller.look()


def _overlap(before: str, text: str) -> int:
    """How much of the text's beginning is the end of what was there before, at most."""
    if not text or text.startswith(before):
        return len(before) if text else 0
    head = text[:_HEAD]
    place = before.find(head)
    while place >= 0:
        if text.startswith(before[place:]):
            return len(before) - place
        place = before.find(head, place + 1)
    return next((length for length in range(len(head), 0, -1) if before.endswith(head[:length])), 0)

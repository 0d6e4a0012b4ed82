"""Waits for one execution and tells of its stages: carried out by the daemon that runs, or here."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from watcher.cli import output
from watcher.cli.base import Invocation
from watcher.cli.session import open_log, open_store
from watcher.errors import StateLocked

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.pipeline import Execution
    from watcher.store.sqlite import Store

LOOK_SECONDS = 0.2


def follow(invocation: Invocation, config: Config, identifier: str) -> Execution:
    """The execution at its end, or where it waits for a person."""
    with open_store(config) as store:
        teller = _Teller(store, identifier)
        try:
            asyncio.run(_carry_out(invocation, config, teller))
        except StateLocked:
            while not teller.is_done():
                time.sleep(LOOK_SECONDS)
        return teller.execution


async def _carry_out(invocation: Invocation, config: Config, teller: _Teller) -> None:
    from watcher.daemon.app import opened

    async with opened(
        config,
        log=open_log(invocation),
        clock=time.time,
        environment=os.environ,
        command="watcher trigger",
    ) as app:
        work = asyncio.create_task(app.run_executions())
        while not work.done():
            await asyncio.wait([work], timeout=LOOK_SECONDS)
            teller.is_done()
        await work


class _Teller:
    """Says on stderr what changed since it looked the last time."""

    def __init__(self, store: Store, identifier: str) -> None:
        self._store = store
        self._identifier = identifier
        self._said: dict[str, str] = {}
        self.execution: Execution = self._read()

    def is_done(self) -> bool:
        self.execution = self._read()
        for stage in self.execution.stages:
            if stage.status != "PENDING":
                self._say(stage.name, f"stage {stage.name}: {stage.status.value}", stage.error)
        return self.execution.status.is_final or self._waits_for_a_person()

    def _waits_for_a_person(self) -> bool:
        return any(s.status == "WAITING" and s.wake is None for s in self.execution.stages)

    def _say(self, what: str, line: str, error: str | None) -> None:
        line = f"{line}: {error}" if error else line
        if self._said.get(what) != line:
            self._said[what] = line
            output.complain(line)

    def _read(self) -> Execution:
        found = self._store.execution(self._identifier)
        assert found is not None  # executions are never removed while they are young
        return found

"""Waits for one execution and tells of its stages: carried out by the daemon that runs, or here."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from watcher.cli.base import Invocation
from watcher.cli.progress import LOOK_SECONDS, Teller, watched
from watcher.cli.session import open_log, open_store
from watcher.errors import StateLocked

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.pipeline import Execution

PATIENCE_SECONDS = 5.0
"""How long the state file may be free before we go on here: a daemon that starts anew takes it."""


def follow(
    invocation: Invocation,
    config: Config,
    identifier: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Execution:
    """The execution at its end, or where it waits for a person."""
    with open_store(config) as store:
        teller = Teller(store, identifier)
        is_carried_out = False
        while not is_carried_out:
            try:
                asyncio.run(_carry_out(invocation, config, teller))
                is_carried_out = True
            except StateLocked:
                _look_on(config, teller, sleep, clock)
                is_carried_out = teller.is_done
        teller.look()
        return teller.execution


def _look_on(
    config: Config, teller: Teller, sleep: Callable[[float], None], clock: Callable[[], float]
) -> None:
    """Tell of the run while another process holds the state file; until the run is done, or that
    process has gone and none has come in its place."""
    from watcher.store.lock import holder

    held = clock()
    while not teller.is_done and clock() - held < PATIENCE_SECONDS:
        sleep(LOOK_SECONDS)
        teller.look()
        if holder(config.state) is not None:
            held = clock()


async def _carry_out(invocation: Invocation, config: Config, teller: Teller) -> None:
    from watcher.daemon.app import opened

    async with opened(
        config,
        log=open_log(invocation),
        clock=time.time,
        environment=os.environ,
        command="watcher trigger",
    ) as app:
        await watched(app.run_executions(), teller.look)

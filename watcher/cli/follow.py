"""Waits for one execution and tells of its stages: carried out by the daemon that runs, or here."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from watcher.cli.base import Invocation
from watcher.cli.progress import LOOK_SECONDS, Teller, watched
from watcher.cli.session import open_log, open_store
from watcher.errors import StateLocked

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.pipeline import Execution


def follow(invocation: Invocation, config: Config, identifier: str) -> Execution:
    """The execution at its end, or where it waits for a person."""
    with open_store(config) as store:
        teller = Teller(store, identifier)
        try:
            asyncio.run(_carry_out(invocation, config, teller))
        except StateLocked:
            while not teller.is_done:
                time.sleep(LOOK_SECONDS)
                teller.look()
        teller.look()
        return teller.execution


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

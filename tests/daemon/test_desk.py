"""What requests write to the state file holds, also where the daemon can't look at it at once."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.system.watching import write_config
from tests.web.daemon import document
from tests.web.serving import until
from watcher.config.load import load
from watcher.daemon.app import App, opened
from watcher.daemon.desk import Desk
from watcher.errors import StateUnwritable
from watcher.stages import OPTIONS
from watcher.telemetry.log import Log
from watcher.testing.registry import FakeRegistry


@dataclass
class Scene:
    """A desk, and how often it fell behind."""

    desk: Desk
    app: App
    fell_behind: int = 0

    async def is_enabled(self) -> bool:
        switches = await self.app.store.run(lambda store: store.enabled_overrides())
        return switches.get("t", True)


@asynccontextmanager
async def at_desk(directory: Path, take_over: Callable[[], Any]) -> AsyncIterator[Scene]:
    async with FakeRegistry() as registry:
        path = write_config(directory / "config.yaml", document(registry, directory))
        config = load(path, stages=OPTIONS, environment={})
        log = Log("info", "json", StringIO())
        way_in = opened(config, log=log, clock=time.time, environment={}, command="test")
        async with way_in as app:

            def fall_behind() -> None:
                scene.fell_behind += 1

            scene = Scene(Desk(app, {}, take_over, fall_behind), app)
            yield scene


async def test_what_was_written_is_done_though_it_can_not_be_looked_at(tmp_path: Path) -> None:
    async def fail() -> None:
        raise StateUnwritable("the disk is full", hint="make room")

    async with at_desk(tmp_path, fail) as scene:
        assert await scene.desk.switch("t", enabled=False) == {"trigger": "t", "enabled": False}
        assert scene.fell_behind == 1
        assert not await scene.is_enabled()


async def test_a_request_that_is_given_up_is_looked_at_when_its_transaction_ends(
    tmp_path: Path,
) -> None:
    async def take_over() -> None:
        raise AssertionError("nobody waits for it")

    async with at_desk(tmp_path, take_over) as scene:
        assert await scene.is_enabled()
        with closing(sqlite3.connect(scene.app.config.state, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asking = asyncio.create_task(scene.desk.switch("t", enabled=False))
            await until(lambda: scene.app.store.busy_seconds > 0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            other.execute("ROLLBACK")
        assert not await scene.is_enabled()
        assert scene.fell_behind == 1

"""The daemon when the state file is busy or full, or a reload comes at a bad moment."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from watcher.config.load import Config, load
from watcher.core.health import HealthReport
from watcher.daemon.app import App, opened
from watcher.daemon.desk import Desk
from watcher.daemon.requests import RequestDesk
from watcher.daemon.service import Service
from watcher.engine.board import StatusBoard
from watcher.engine.rules import Rules
from watcher.errors import StateUnwritable
from watcher.registry.budgets.limits import HostLimits
from watcher.stages import OPTIONS
from watcher.store.connection import Fault, no_fault
from watcher.store.lock import StateLock
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log
from watcher.testing.registry import FakeRegistry

REPOSITORY = "acme/web"
PATIENCE = 20.0


def config_at(directory: Path, address: str, **account: Any) -> Config:
    """A config that polls one repository every second and runs a command for new tags."""
    document = {
        "state": str(directory / "watcher.db"),
        "accounts": [
            {
                "name": "main",
                "address": address,
                "plain_http": True,
                "repositories": [REPOSITORY],
                "poll": "1s",
                **account,
            }
        ],
        "triggers": [
            {"name": "t", "account": "main", "repository": REPOSITORY, "pipeline": "deploy"}
        ],
        "pipelines": [{"name": "deploy", "stages": [{"command": ["true"]}]}],
    }
    path = directory / "config.yaml"
    path.write_text(json.dumps(document))
    return load(path, stages=OPTIONS, environment={})


async def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


@asynccontextmanager
async def app_at(
    config: Config,
    fault: Fault = no_fault,
    log: Log | None = None,
    lock: StateLock | None = None,
) -> AsyncIterator[App]:
    """An App around a state file on which a test may make writing fail."""
    store = ThreadedStore(lambda: Store.open(config.state, fault=fault))
    app = App(
        config,
        store,
        StatusBoard(),
        HostLimits(),
        Rules.of(config.triggers, config.pipelines, {}),
        catalogs={},
        log=log or Log("error", stream=StringIO()),
        clock=time.time,
        environment={},
        lock=lock,
    )
    try:
        yield app
    finally:
        await app.close()
        await store.close()


async def test_what_a_poll_queued_too_late_for_its_time_out_runs_all_the_same(
    tmp_path: Path,
) -> None:
    async with FakeRegistry() as registry:
        registry.push(REPOSITORY, "v1")
        config = config_at(tmp_path, registry.address, timeouts={"total": "1s"})
        log = Log("error", stream=StringIO())
        way_in = opened(config, log=log, clock=time.time, environment={}, command="test")
        async with way_in as app:
            service = Service(app, lambda: config)
            serving = asyncio.create_task(service.run())
            status = app.board.get("main", REPOSITORY)
            await until(lambda: status.known, "the baseline")
            other = sqlite3.connect(config.state, isolation_level=None)
            with closing(other), Store.open(config.state) as reading:
                other.execute("BEGIN IMMEDIATE")
                registry.push(REPOSITORY, "v2")
                await until(lambda: status.failures > 0, "a poll that ran out of time")
                other.execute("ROLLBACK")
                await until(
                    lambda: [run.status for run in reading.executions()] == ["SUCCEEDED"],
                    "the run of the tag that was recorded late",
                )
            service.stop()
            await serving


class ReadOnly(StateLock):
    """On a file system that became read-only, as some do after a fault of the disk."""

    def beat(self) -> None:
        raise StateUnwritable("Read-only file system")


async def test_a_lock_that_can_not_be_touched_is_said_and_ends_nothing(tmp_path: Path) -> None:
    """A daemon with nothing to write does not learn it in another way."""
    async with FakeRegistry() as registry:
        registry.push(REPOSITORY, "v1")
        config, written = config_at(tmp_path, registry.address), StringIO()
        lock = ReadOnly(config.state, command="test")
        async with app_at(config, log=Log("error", stream=written), lock=lock) as app:
            service = Service(app, lambda: config)
            serving = asyncio.create_task(service.run())
            await until(lambda: "state_failed" in written.getvalue() or serving.done(), "a beat")
            registry.push(REPOSITORY, "v2")
            status = app.board.get("main", REPOSITORY)
            await until(lambda: status.tags == 2 or serving.done(), "a poll after that")
            service.stop()
            await serving


def requests_of(app: App) -> RequestDesk:
    """Where requests are served while no account is watched."""

    async def nothing() -> None:
        """Nothing was written."""

    desk = Desk(app, {}, nothing, lambda: None)
    return RequestDesk(app, {}, desk, lambda: HealthReport(ready=True))


@pytest.mark.parametrize("kind", ["poll", "baseline"])
async def test_a_request_whose_answer_can_not_be_written_is_answered_later(
    tmp_path: Path, kind: str
) -> None:
    config = config_at(tmp_path, "registry.example")
    full = [True]

    def fault(point: str) -> None:
        if point == "request.before_commit" and full[0]:
            raise StateUnwritable("the disk is full")

    async with app_at(config, fault) as app:
        desk = requests_of(app)
        await desk.look()
        with Store.open(config.state) as asking:
            number = asking.request(kind, {"account": "none", "repository": None})
            with pytest.raises(StateUnwritable):
                await desk.look()
            full[0] = False
            await desk.look()
            request = asking.request_result(number)
            assert request is not None
            assert request.finished


@pytest.mark.parametrize("kind", ["poll", "baseline"])
async def test_a_request_in_the_middle_of_a_reload_waits_for_its_end(
    tmp_path: Path, kind: str
) -> None:
    config = config_at(tmp_path, "registry.example")
    async with app_at(config) as app:
        desk = requests_of(app)
        with Store.open(config.state) as asking:
            number = asking.request(kind, {"account": "main", "repository": None})
            assert await desk.look()
            assert await desk.look(), "it is looked at again without another writer"
            request = asking.request_result(number)
            assert request is not None
            assert not request.finished

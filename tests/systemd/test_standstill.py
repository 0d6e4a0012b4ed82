"""A daemon in which something stands still is not fed, and says what it is before it is killed."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path

from tests.daemon.test_races import REPOSITORY, app_at, config_at, until
from tests.systemd.listening import listening
from watcher.daemon.service import Service
from watcher.daemon.vitals import Patience
from watcher.telemetry.log import Log
from watcher.telemetry.systemd import ServiceManager
from watcher.testing.registry import FakeRegistry

WATCHDOG = timedelta(milliseconds=400)


async def test_a_state_file_that_hangs_is_not_fed_until_it_answers(tmp_path: Path) -> None:
    hangs, go, written = threading.Event(), threading.Event(), StringIO()

    def hang(point: str) -> None:
        if point == "poll.before_commit" and hangs.is_set():
            go.wait(30)

    async with FakeRegistry() as registry:
        registry.push(REPOSITORY, "v1")
        config = config_at(tmp_path, registry.address)
        with listening(tmp_path) as manager:
            supervisor = ServiceManager(address=manager.address, watchdog=WATCHDOG)
            async with app_at(config, hang, Log("info", "json", written)) as app:
                patience = Patience(long_call=timedelta(seconds=1))
                service = Service(app, lambda: config, supervisor, patience=patience)
                serving = asyncio.create_task(service.run())
                await until(lambda: bool(manager.messages("READY")), "it is ready")
                hangs.set()
                registry.push(REPOSITORY, "v2")
                try:
                    await until(lambda: "standstill" in written.getvalue(), "it is logged")
                    assert not service.vitals.health().alive
                    said = time.monotonic()
                    await until(lambda: time.monotonic() > said + 1.5, "the watchdog bites")
                    assert [m for m in manager.messages("WATCHDOG") if m.at > said + 0.1] == []
                    await until(lambda: "stands still: state" in manager.statuses()[-1], "shown")
                finally:
                    go.set()
                fed = len(manager.messages("WATCHDOG"))
                await until(lambda: len(manager.messages("WATCHDOG")) > fed + 2, "it is fed again")
                service.stop()
                await serving

"""The one line that `systemctl status` shows, and how often it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path

from tests.daemon.test_vitals import WEB, Patient, patient, until
from tests.systemd.listening import ServiceManagerSocket, listening
from watcher.daemon.supervision import STATUS_EVERY, Supervision
from watcher.telemetry.log import Log
from watcher.telemetry.systemd import ServiceManager
from watcher.testing.faults import Fault, Respond

OFTEN = timedelta(milliseconds=40)  # a quarter of it is how often the daemon is looked at


@asynccontextmanager
async def supervised(
    directory: Path, running: int = 0, log: Log | None = None
) -> AsyncIterator[tuple[Patient, ServiceManagerSocket]]:
    """A daemon that has polled once and is ready."""
    async with patient(directory) as daemon:
        with listening(directory) as heard:
            supervision = Supervision(
                ServiceManager(address=heard.address, watchdog=OFTEN),
                daemon.vitals,
                {"main": daemon.watch},
                lambda: running,
                log=log or Log("error", stream=StringIO()),
                clock=lambda: daemon.clocks.wall,
                monotonic=lambda: daemon.clocks.steady,
            )
            await daemon.poll()
            daemon.vitals.begin()
            task = asyncio.create_task(supervision.run())
            await until(lambda: bool(heard.messages("READY")), "ready")
            try:
                yield daemon, heard
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def looked(daemon: Patient, heard: ServiceManagerSocket) -> None:
    """Until it was looked at a few times more; each look that may feed does."""
    for _ in range(3):
        fed = len(heard.messages("WATCHDOG"))
        daemon.clocks.steady += OFTEN.total_seconds()
        await until(lambda: len(heard.messages("WATCHDOG")) > fed, "it is fed")  # noqa: B023


async def test_a_line_is_sent_when_it_changed_and_not_before_some_seconds(tmp_path: Path) -> None:
    async with supervised(tmp_path) as (daemon, heard):
        await looked(daemon, heard)
        assert len(heard.statuses()) == 1
        daemon.clocks.steady += STATUS_EVERY.total_seconds()
        await looked(daemon, heard)
        assert len(heard.statuses()) == 1  # it says the same
        daemon.registry.fault(Fault(action=Respond(status=404)))
        await daemon.poll()
        await looked(daemon, heard)
        assert len(heard.statuses()) == 1  # too soon
        daemon.clocks.steady += STATUS_EVERY.total_seconds()
        await until(lambda: len(heard.statuses()) == 2, "the line that changed")
        assert heard.statuses()[-1].startswith("1 account, 1 repository: 1 failing; next poll in ")


async def test_executions_that_run_are_counted(tmp_path: Path) -> None:
    async with supervised(tmp_path, running=2) as (_, heard):
        (line,) = heard.statuses()
        assert line.startswith("1 account, 1 repository: 1 ok; next poll in ")
        assert line.endswith(" s; 2 executions running")
    assert WEB not in line  # names are for those who ask


async def test_log_lines_that_are_lost_are_counted_while_the_log_can_t_say_so(
    tmp_path: Path,
) -> None:
    stream = StringIO()
    stream.close()
    async with supervised(tmp_path, log=Log("info", "json", stream)) as (_, heard):
        (line,) = heard.statuses()
        assert line.endswith("; 1 log line lost")  # `ready`

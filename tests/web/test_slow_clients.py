"""A thousand clients who drip their requests: the daemon polls on in time, takes no more memory and
files than before, closes them, and serves a probe beside them (SPEC 9: polling comes first).
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.system.watching import Daemon, Watcher
from tests.web.daemon import REPOSITORY, document
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry
from watcher.web.limits import Limits

CLIENTS = 1000
SECONDS = 6.0
LONGEST_GAP = 4.0
"""Seconds between two polls of one repository whose interval is 1 s."""
MORE_MEMORY = 48 * 1024
"""KiB; 128 connections with full heads would be 8 MiB."""
PROBE_SECONDS = 4.0


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may have a socket for each client."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CLIENTS + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} files may be open here; {wanted} are needed")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Dripping(asyncio.Protocol):
    """A client that begins a request and never ends it."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"POST /hooks/generic HTTP/1.1\r\nhost: localhost\r\nx: ")
        self._crowd.here.add(self)
        self._crowd.connected += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.here.discard(self)
        self._crowd.closed += 1


class Crowd:
    """As many of them as there shall be; who is closed comes again."""

    def __init__(self, host: str, port: int) -> None:
        self.here: set[Dripping] = set()
        self.connected = 0
        self.closed = 0
        self._place = (host, port)

    async def besiege(self) -> None:
        while True:
            for client in list(self.here):
                if client.transport is not None:
                    client.transport.write(b"a")
            for _ in range(min(100, CLIENTS - len(self.here))):
                await self._come()
            await asyncio.sleep(0.05)

    async def _come(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            async with asyncio.timeout(1):
                await loop.create_connection(lambda: Dripping(self), *self._place)

    def go(self) -> None:
        for client in list(self.here):
            if client.transport is not None:
                client.transport.abort()


@asynccontextmanager
async def besieged(host: str, port: int) -> AsyncIterator[Crowd]:
    crowd = Crowd(host, port)
    task = asyncio.create_task(crowd.besiege())
    try:
        yield crowd
    finally:
        task.cancel()
        await asyncio.wait([task])
        crowd.go()
        await asyncio.sleep(0)


def memory(pid: int) -> int:
    """Resident memory in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


async def probe(host: str, port: int) -> float:
    """How long a whole request takes; it has to be answered 200."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
    finally:
        writer.close()
    return time.monotonic() - began


async def test_a_thousand_slow_clients_do_not_stop_the_polls(
    tmp_path: Path, registry: FakeRegistry, many_files: None
) -> None:
    registry.push(REPOSITORY, "v1")
    watcher = Watcher(tmp_path, document(registry, tmp_path))
    with watcher.running() as daemon:
        daemon.wait_for("baseline_recorded")
        host, _, port = daemon.wait_for("listening")[0]["address"].rpartition(":")
        await besiege(daemon, host, int(port), registry)
    assert daemon.events("connections_shed")


async def besiege(daemon: Daemon, host: str, port: int, registry: FakeRegistry) -> None:
    pid, most = daemon.pid, Limits()
    memory_before, files_before = memory(pid), files(pid)
    slowest = longest_gap = 0.0
    most_files = 0
    async with besieged(host, port) as crowd:
        began = polled = time.monotonic()
        count = registry.count(Kind.TAGS, REPOSITORY)
        while time.monotonic() - began < SECONDS or crowd.connected < CLIENTS:
            slowest = max(slowest, await probe(host, port))
            most_files = max(most_files, files(pid))
            if registry.count(Kind.TAGS, REPOSITORY) > count:
                count, polled = registry.count(Kind.TAGS, REPOSITORY), time.monotonic()
            longest_gap = max(longest_gap, time.monotonic() - polled)
            await asyncio.sleep(0.05)
        more_memory = memory(pid) - memory_before
    seen = f"{crowd.connected=} {crowd.closed=} {longest_gap=:.2f} {slowest=:.2f}"
    seen += f" {more_memory=} {most_files=} {files_before=}"
    print(seen)
    assert crowd.closed > CLIENTS - most.connections, seen
    assert longest_gap < LONGEST_GAP, seen
    assert slowest < PROBE_SECONDS, seen
    assert more_memory < MORE_MEMORY, seen
    assert most_files <= files_before + most.connections + 5 * most.at_once, seen

"""A real server on loopback around an application, and clients as bare sockets: they can be slow,
oversized and wrong. Used by the tests of this directory only.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from watcher.core.health import Complaint, HealthReport
from watcher.core.serving import HttpSettings
from watcher.telemetry.log import Log
from watcher.web.app import Parts, make_app
from watcher.web.limits import Limits
from watcher.web.server import HttpServer

PATIENCE = 10.0
TOKEN = "a-token-of-nobody"


class Answer(NamedTuple):
    """What a client got: the status, headers in lower case, the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeHealth:
    """A daemon that fares as a test wants."""

    report: HealthReport = field(default_factory=lambda: HealthReport(ready=True))
    asked: int = 0

    def health(self) -> HealthReport:
        self.asked += 1
        return self.report

    def complain(self, *complaints: Complaint) -> None:
        self.report = HealthReport(ready=True, complaints=complaints)


@dataclass
class Served:
    """A server that listens, and what it logs."""

    host: str
    port: int
    server: HttpServer
    log: StringIO

    def lines(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def send(self, request: bytes) -> bytes:
        """Everything that is answered to these bytes until the server closes."""
        reader, writer = await self.connect()
        try:
            writer.write(request)
            return await asyncio.wait_for(reader.read(), PATIENCE)
        finally:
            writer.close()

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """One whole request; `headers` with `_` for `-`, Host by default that of the server."""
        names = {"host": f"{self.host}:{self.port}", "connection": "close"}
        names |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in names.items() if v)]
        return parse(await self.send("\r\n".join([*lines, "", ""]).encode("latin-1")))


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition, which has to come."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


def parse(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(int(first.split()[1]), headers, body)


@asynccontextmanager
async def serving(
    parts: Parts | None = None,
    *,
    token_file: Path | None = None,
    host: str = "127.0.0.1",
    limits: Limits | None = None,
) -> AsyncIterator[Served]:
    """A server on a free port for as long as the block lasts; it has to end by itself then."""
    stream = StringIO()
    log = Log("info", "json", stream)
    settings = HttpSettings(host=host, port=0, token_file=token_file)
    chosen = limits or Limits()
    application = make_app(parts or Parts(health=FakeHealth()), settings, log=log, limits=chosen)
    server = HttpServer(application, settings, log=log, limits=chosen)
    place, _, port = server.bind().rpartition(":")
    task = asyncio.create_task(server.serve())
    try:
        yield Served(place.strip("[]"), int(port), server, stream)
    finally:
        server.stop()
        await asyncio.wait_for(task, PATIENCE)

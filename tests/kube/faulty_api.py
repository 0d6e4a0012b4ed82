"""A small HTTP server that plays an API server with faults that a real one can't be made to show.

Its table says, for `METHOD /path`, what it does at each request in turn, the last for ever; a path
that is not in the table is unknown to it, as to a real one. It runs in the loop of its test.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. A body that is not bytes is sent as JSON; `length` promises another length."""

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Hang:
    """Takes the request and never answers."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Takes the request and resets the connection."""


@dataclass(frozen=True, slots=True)
class Drip:
    """Sends byte after byte of an answer that does not end, every `seconds`."""

    seconds: float
    head: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"


Behaviour = Reply | Hang | Reset | Drip
Table = Mapping[str, Behaviour | Sequence[Behaviour]]

NOT_FOUND = Reply(
    status=404, body=b"404 page not found\n", headers={"content-type": "text/plain; charset=utf-8"}
)


def refused(status: int, reason: str, message: str = "", **details: Any) -> Reply:
    """A `Status` as an API server refuses with."""
    return Reply(
        status=status,
        body={
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": reason,
            "message": message,
            "details": details,
            "code": status,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request that came in. `subject` is the common name of its client certificate."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    subject: str | None = None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class FaultyApi:
    """The running server: where it is, and what came in."""

    def __init__(self, table: Table) -> None:
        self.url = ""
        self.requests: list[Seen] = []
        self._turns: dict[str, list[Behaviour]] = {}
        for route, behaviours in table.items():
            self.set(route, behaviours)

    def set(self, route: str, behaviours: Behaviour | Sequence[Behaviour]) -> None:
        """From now on; `METHOD /path` without a query."""
        turns = [*behaviours] if isinstance(behaviours, Sequence) else [behaviours]
        self._turns[route] = turns

    @property
    def paths(self) -> list[str]:
        return [seen.path for seen in self.requests]

    def kubeconfig(
        self, directory: Path, user: Mapping[str, Any] | None = None, **cluster: Any
    ) -> Path:
        """A kubeconfig with one context that leads here, by token unless a user is given."""
        file = directory / "kubeconfig"
        file.touch(mode=0o600)
        given = {"token": "a-token"} if user is None else dict(user)
        file.write_text(
            json.dumps(
                {
                    "clusters": [{"name": "c", "cluster": {"server": self.url, **cluster}}],
                    "users": [{"name": "u", "user": given}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        return file

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        seen = await _request(reader, _subject(writer))
        self.requests.append(seen)
        match self._behaviour(f"{seen.method} {seen.path}"):
            case Reply() as reply:
                writer.write(_written(reply))
                await writer.drain()
                return reply.length is None
            case Hang():
                await reader.read()
            case Reset():
                _reset(writer)
            case Drip(seconds=seconds, head=head):
                await _drip(writer, head, seconds)
        return False

    def _behaviour(self, route: str) -> Behaviour:
        turns = self._turns.get(route, [NOT_FOUND])
        return turns.pop(0) if len(turns) > 1 else turns[0]


@asynccontextmanager
async def serving(
    table: Table, *, context: ssl.SSLContext | None = None
) -> AsyncIterator[FaultyApi]:
    """Serve on a free loopback port, with TLS where a context is given, until the block ends."""
    api = FaultyApi(table)
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with suppress(asyncio.CancelledError):
            await api.serve(reader, writer)

    server = await asyncio.start_server(connected, LOOPBACK, 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    api.url = f"{'https' if context else 'http'}://{LOOPBACK}:{port}"
    try:
        yield api
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections)


@contextmanager
def closed_port() -> Iterator[int]:
    """A loopback port that refuses connections for as long as the block lasts."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield held.getsockname()[1]


async def _request(reader: asyncio.StreamReader, subject: str | None) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method=method, target=target, headers=headers, body=body, subject=subject)


def _written(reply: Reply) -> bytes:
    content = reply.content()
    headers = {
        "content-type": "application/json",
        **reply.headers,
        "content-length": str(reply.length or len(content)),
    }
    lines = [f"HTTP/1.1 {reply.status} Status", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


async def _drip(writer: asyncio.StreamWriter, head: bytes, seconds: float) -> None:
    writer.write(head)
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(seconds)


def _subject(writer: asyncio.StreamWriter) -> str | None:
    certificate = writer.get_extra_info("peercert") or {}
    names = dict(pair for part in certificate.get("subject", ()) for pair in part)
    return names.get("commonName")

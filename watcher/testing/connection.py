"""One connection to the fake registry: keep-alive, one request after another, faults played.

A Protocol rather than streams, so that thousands of plain answers cost little. Imported by the
fake registry only.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from watcher.testing.faults import Action
from watcher.testing.records import Recorded, Route
from watcher.testing.wire import Request, Response, error_response, parse_request

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as the registry took it: its log entry, and a fault's action if one meets it."""

    where: Route
    entry: Recorded
    action: Action | None
    answer: Callable[[], Response]
    is_admin: bool = False


class Host(Protocol):
    """What a connection needs of the registry."""

    def opened(self, connection: Connection) -> int: ...
    def closed(self, connection: Connection) -> None: ...
    def playing(self, task: asyncio.Task[None]) -> None: ...
    def visit(self, request: Request, connection: int) -> Visit: ...
    def answered(self, visit: Visit, status: int) -> None: ...


class Connection(asyncio.Protocol):
    """Reads requests and writes answers, in order."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._buffer = b""
        self._number = 0
        self._transport: asyncio.Transport | None = None
        self._playing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._number = self._host.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._playing is not None:
            self._playing.cancel()
        self._host.closed(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._playing is None:
            self._advance()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Close after what was written."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Close with RST."""
        if self._transport is not None:
            end = self._transport.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()

    def _advance(self) -> None:
        while self._playing is None and self._transport is not None:
            try:
                parsed = parse_request(self._buffer)
            except ValueError:
                self.write(error_response(400, "UNSUPPORTED", "not HTTP/1.1").encode())
                self.close()
                return
            if parsed is None:
                return
            request, size = parsed
            self._buffer = self._buffer[size:]
            self._handle(request)

    def _handle(self, request: Request) -> None:
        visit = self._host.visit(request, self._number)
        exchange = LiveExchange(self, self._host, request, visit)
        if visit.action is None:
            response = visit.answer()
            exchange.respond(response)
            self._after(request, closes=response.header("Connection") == "close")
            return
        self._playing = asyncio.get_running_loop().create_task(visit.action.play(exchange))
        self._host.playing(self._playing)
        self._playing.add_done_callback(lambda task: self._played(task, request))

    def _played(self, task: asyncio.Task[None], request: Request) -> None:
        self._playing = None
        if not task.cancelled():
            task.result()
            self._after(request)
            self._advance()

    def _after(self, request: Request, *, closes: bool = False) -> None:
        if closes or request.headers.get("connection", "").lower() == "close":
            self.close()


class LiveExchange:
    """An Exchange on a connection; see `faults.Exchange`."""

    def __init__(self, connection: Connection, host: Host, request: Request, visit: Visit) -> None:
        self.request = request
        self.where = visit.where
        self._connection = connection
        self._host = host
        self._visit = visit

    def answer(self) -> Response:
        return self._visit.answer()

    def respond(self, response: Response) -> None:
        self._host.answered(self._visit, response.status)
        has_body = self.request.method != "HEAD" and response.status != 304
        self._connection.write(response.encode(with_body=has_body))

    def begin(self, response: Response) -> None:
        self._host.answered(self._visit, response.status)
        self._connection.write(response.head())

    def send(self, data: bytes) -> None:
        self._connection.write(data)

    def close(self) -> None:
        self._connection.close()

    def reset(self) -> None:
        self._connection.reset()

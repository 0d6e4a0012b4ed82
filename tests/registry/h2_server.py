"""A small HTTP/2 server for tests, on the `h2` package: answers in order, faults, and counts.

It speaks as real ones do: streams are answered at once, bodies heed the client's flow control, and
a GOAWAY names the last stream that will be answered. TLS with ALPN, on a free loopback port.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings


@dataclass(frozen=True)
class Say:
    """An answer; `pause` in seconds before each piece, `until` before all of it. Without `ends`
    it is never finished."""

    status: int = 200
    pieces: tuple[bytes, ...] = (b"",)
    headers: tuple[tuple[str, str], ...] = ()
    pause: float = 0.0
    until: asyncio.Event | None = None
    ends: bool = True


@dataclass(frozen=True)
class Reset:
    """RST_STREAM instead of an answer."""

    code: h2.errors.ErrorCodes = h2.errors.ErrorCodes.REFUSED_STREAM


@dataclass(frozen=True)
class GoAway:
    """GOAWAY instead of an answer, then the end of the connection."""

    code: h2.errors.ErrorCodes = h2.errors.ErrorCodes.NO_ERROR


@dataclass(frozen=True)
class Cut:
    """The connection ends without a word."""


Action = Say | Reset | GoAway | Cut


@dataclass(frozen=True)
class Asked:
    """One request: on which connection (counted from 1), and its headers with `:path`."""

    connection: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class H2Server:
    """`actions` are used up one per request; then `otherwise` is the answer to all."""

    url: str = ""
    otherwise: Action = Say()
    actions: deque[Action] = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    most_at_once: int = 0
    reset_by_client: int = 0
    maximum_streams: int | None = 100
    _serving: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = writer
        self.connections += 1
        self.open_connections += 1
        try:
            await _Connection(self, self.connections, reader, writer).run()
        except (ConnectionError, ssl.SSLError, h2.exceptions.ProtocolError):
            pass
        finally:
            self.open_connections -= 1
            writer.close()
            del self._serving[task]

    async def aclose(self) -> None:
        """Ends the connections that clients left open."""
        serving = dict(self._serving)
        for writer in serving.values():
            writer.transport.abort()
        await asyncio.gather(*serving, return_exceptions=True)

    def _next(self) -> Action:
        return self.actions.popleft() if self.actions else self.otherwise


class _Connection:
    """One client's connection and the streams on it."""

    def __init__(
        self,
        server: H2Server,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._server = server
        self._number = number
        self._reader = reader
        self._writer = writer
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        self._requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._window = asyncio.Event()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        most = self._server.maximum_streams
        setting = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
        self._h2.local_settings = h2.settings.Settings(
            client=False, initial_values={} if most is None else {setting: most}
        )
        self._h2.initiate_connection()
        self._flush()
        try:
            while data := await self._reader.read(65536):
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._flush()
                await self._writer.drain()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=stream, headers=lines):
                told = {str(name): str(value) for name, value in lines}
                self._requests[stream] = (told, bytearray())
            case h2.events.DataReceived(stream_id=stream, data=data):
                self._requests[stream][1].extend(data)
                self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
            case h2.events.StreamEnded(stream_id=stream):
                headers, body = self._requests.pop(stream)
                self._server.asked.append(Asked(self._number, headers, bytes(body)))
                self._tasks[stream] = asyncio.create_task(self._answer(stream))
                at_once = len(self._tasks)
                self._server.most_at_once = max(self._server.most_at_once, at_once)
            case h2.events.StreamReset(stream_id=stream):
                self._server.reset_by_client += 1
                if stream in self._tasks:
                    self._tasks.pop(stream).cancel()
            case h2.events.WindowUpdated():
                self._window.set()

    async def _answer(self, stream: int) -> None:
        try:
            match self._server._next():
                case Say() as answer:
                    await self._say(stream, answer)
                case Reset(code):
                    self._h2.reset_stream(stream, code)
                case GoAway(code):
                    self._h2.close_connection(code, last_stream_id=stream - 2 if stream > 1 else 0)
                    self._flush()
                    self._writer.close()
                case Cut():
                    self._writer.transport.abort()
            self._flush()
        except h2.exceptions.ProtocolError:
            pass  # the client gave this stream up, or the connection
        finally:
            self._tasks.pop(stream, None)

    async def _say(self, stream: int, answer: Say) -> None:
        if answer.until is not None:
            await answer.until.wait()
        self._h2.send_headers(stream, [(":status", str(answer.status)), *answer.headers])
        for piece in answer.pieces:
            if answer.pause:
                self._flush()
                await asyncio.sleep(answer.pause)
            await self._send(stream, piece)
        if answer.ends:
            self._h2.end_stream(stream)
        else:
            self._flush()
            await asyncio.Event().wait()

    async def _send(self, stream: int, data: bytes) -> None:
        while data:
            room = self._h2.local_flow_control_window(stream)
            most = min(room, self._h2.max_outbound_frame_size)
            if most <= 0:
                self._window.clear()
                await self._window.wait()
                continue
            self._h2.send_data(stream, data[:most])
            data = data[most:]
            self._flush()
            await self._writer.drain()

    def _flush(self) -> None:
        if not self._writer.is_closing():
            self._writer.write(self._h2.data_to_send())


@asynccontextmanager
async def running_h2(
    context: ssl.SSLContext, *, maximum_streams: int | None = 100
) -> AsyncIterator[H2Server]:
    """A server with this TLS context, which offers HTTP/2 alone; all is closed at the end."""
    context.set_alpn_protocols(["h2"])
    running = H2Server(maximum_streams=maximum_streams)
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0, ssl=context)
    running.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield running
    await running.aclose()

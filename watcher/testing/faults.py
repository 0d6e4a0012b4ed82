"""What goes wrong on purpose: which requests a fault meets, how often, and what it does.

A fault's action is a value with `async def play(exchange)`. Those here cover the faults that
registries were seen to have; a test may bring its own. Imported by the fake registry; tests
and plug-in authors build Fault values for `FakeRegistry.fault`.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from watcher.testing.records import Kind, Route
from watcher.testing.wire import Headers, Request, Response


class Exchange(Protocol):
    """One request that is being answered, as an action sees it."""

    request: Request
    where: Route

    def answer(self) -> Response:
        """What the registry would answer without the fault."""
        ...

    def respond(self, response: Response) -> None:
        """Send a whole response (without its body when the request was HEAD)."""
        ...

    def begin(self, response: Response) -> None:
        """Send only the status line and headers of a response."""
        ...

    def send(self, data: bytes) -> None:
        """Send these bytes as they are."""
        ...

    def close(self) -> None:
        """Close the connection after what was sent."""
        ...

    def reset(self) -> None:
        """Break the connection off (RST), dropping what was not sent yet."""
        ...


class Action(Protocol):
    """What a fault does to a request."""

    async def play(self, exchange: Exchange) -> None: ...


class Source(Protocol):
    """Where the response comes from that an action then mistreats."""

    def response(self, exchange: Exchange) -> Response: ...


@dataclass(frozen=True, slots=True)
class Respond:
    """This response instead of the true one. A Content-Length among the headers may lie."""

    status: int = 200
    headers: Headers = ()
    body: bytes = b""

    def response(self, exchange: Exchange) -> Response:
        return Response(self.status, self.headers, self.body)

    async def play(self, exchange: Exchange) -> None:
        exchange.respond(self.response(exchange))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The true response with another status or body, and headers added or taken away.

    An added header replaces the true one of that name; `{url}` in values of `headers` is not
    filled in.
    """

    status: int | None = None
    headers: Headers = ()
    without: tuple[str, ...] = ()
    body: bytes | None = None

    def response(self, exchange: Exchange) -> Response:
        true = exchange.answer()
        gone = {name.lower() for name in self.without}
        gone |= {name.lower() for name, _ in self.headers}
        kept = tuple(pair for pair in true.headers if pair[0].lower() not in gone)
        status = true.status if self.status is None else self.status
        return Response(status, kept + self.headers, true.body if self.body is None else self.body)

    async def play(self, exchange: Exchange) -> None:
        exchange.respond(self.response(exchange))


TRUE_ANSWER = Change()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """The true response passed through a function of yours."""

    function: Callable[[Request, Response], Response]

    def response(self, exchange: Exchange) -> Response:
        return self.function(exchange.request, exchange.answer())

    async def play(self, exchange: Exchange) -> None:
        exchange.respond(self.response(exchange))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The connection is cut: before any answer, or after `body_bytes` of the body."""

    body_bytes: int | None = None
    reset: bool = False
    source: Source = TRUE_ANSWER

    async def play(self, exchange: Exchange) -> None:
        if self.body_bytes is not None:
            response = self.source.response(exchange)
            exchange.begin(response)
            exchange.send(response.body[: self.body_bytes])
        if self.reset:
            exchange.reset()
        else:
            exchange.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunked:
    """The body in chunks of `size` bytes; an incomplete one ends without the last chunk."""

    size: int = 1024
    complete: bool = True
    source: Source = TRUE_ANSWER

    async def play(self, exchange: Exchange) -> None:
        response = self.source.response(exchange)
        kept = tuple(pair for pair in response.headers if pair[0].lower() != "content-length")
        headers = (*kept, ("Transfer-Encoding", "chunked"))
        exchange.begin(Response(response.status, headers))
        for start in range(0, len(response.body), self.size):
            chunk = response.body[start : start + self.size]
            exchange.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if self.complete:
            exchange.send(b"0\r\n\r\n")
        else:
            exchange.close()


class Gate:
    """Holds answers back until the test opens it; may be opened from another thread."""

    def __init__(self) -> None:
        self._opened = False
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._reached = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many answers it holds back now."""
        return len(self._waiters)

    async def reached(self) -> None:
        """Wait until an answer stands before the gate (for tests in the registry's own loop)."""
        await self._reached.wait()

    async def passage(self) -> None:
        """Wait for the gate; at once when it is open."""
        if self._opened:
            return
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiters.append((loop, future))
        self._reached.set()
        await future

    def step(self, count: int = 1) -> None:
        """Let those pass that have waited longest."""
        released, self._waiters = self._waiters[:count], self._waiters[count:]
        for loop, future in released:
            loop.call_soon_threadsafe(_release, future)

    def open(self) -> None:
        """Let everything pass from now on."""
        self._opened = True
        self.step(len(self._waiters))


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """The response in drops of `size` bytes, with a pause before each drop.

    pause: seconds, or a function to await (a Gate's `passage`). From the status line on, or,
    with `head_at_once`, from the body on.
    """

    pause: float | Callable[[], Awaitable[None]] = 0.02
    size: int = 1
    head_at_once: bool = False
    source: Source = TRUE_ANSWER

    async def play(self, exchange: Exchange) -> None:
        response = self.source.response(exchange)
        data = response.encode()
        if self.head_at_once:
            exchange.begin(response)
            data = response.body
        for start in range(0, len(data), self.size):
            await _pause(self.pause)
            exchange.send(data[start : start + self.size])


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The response, whole but late: after seconds, or after a function such as Gate.passage."""

    until: float | Callable[[], Awaitable[None]]
    source: Source = TRUE_ANSWER

    async def play(self, exchange: Exchange) -> None:
        await _pause(self.until)
        exchange.respond(self.source.response(exchange))


@dataclass(frozen=True, slots=True)
class Raw:
    """These bytes on the socket, be they HTTP or not; then the connection is closed."""

    data: bytes

    async def play(self, exchange: Exchange) -> None:
        exchange.send(self.data)
        exchange.close()


async def _pause(pause: float | Callable[[], Awaitable[None]]) -> None:
    await (asyncio.sleep(pause) if isinstance(pause, (int, float)) else pause())


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which requests a fault meets: all that is given must hold.

    authorized: whether the request carries an Authorization header. query: a part of the
    query as it came.
    """

    kind: Kind | None = None
    repository: str | None = None
    reference: str | None = None
    method: str | None = None
    path: str | None = None
    query: str | None = None
    authorized: bool | None = None

    def meets(self, request: Request, where: Route) -> bool:
        wanted_and_found = (
            (self.kind, where.kind),
            (self.repository, where.repository),
            (self.reference, where.reference),
            (self.method, request.method),
            (self.path, request.path),
            (self.authorized, "authorization" in request.headers),
        )
        if any(wanted is not None and wanted != found for wanted, found in wanted_and_found):
            return False
        return self.query is None or self.query in request.query


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An action for requests that match.

    skip: so many matching requests pass unharmed first. times: so many are met after them;
    None: all until `clear_faults`.
    """

    action: Action
    match: Match = field(default_factory=Match)
    times: int | None = None
    skip: int = 0


class FaultTable:
    """The faults that are set, in order: the first that meets a request is played."""

    def __init__(self) -> None:
        self._faults: list[tuple[Fault, list[int]]] = []

    def add(self, fault: Fault) -> None:
        self._faults.append((fault, [0]))

    def clear(self) -> None:
        self._faults.clear()

    def take(self, request: Request, where: Route) -> Action | None:
        """The action for this request; it is counted against the fault's `skip` and `times`."""
        for fault, seen in self._faults:
            if not fault.match.meets(request, where) or _is_spent(fault, seen[0]):
                continue
            seen[0] += 1
            if seen[0] > fault.skip:
                return fault.action
        return None


def _is_spent(fault: Fault, seen: int) -> bool:
    return fault.times is not None and seen >= fault.skip + fault.times


def gzip_bomb(size: int, *, around: tuple[bytes, bytes] = (b'{"tags":["', b'"]}')) -> bytes:
    """A gzip body that inflates to `size` bytes (and what stands around) of valid JSON."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    step = b"a" * 65536
    parts = [compressor.compress(around[0])]
    parts += [compressor.compress(step) for _ in range(size // len(step))]
    parts.append(compressor.compress(b"a" * (size % len(step)) + around[1]))
    return b"".join(parts) + compressor.flush()


def gzipped(request: Request, response: Response) -> Response:
    """For Transform: the true response compressed, as a server does for `Accept-Encoding`."""
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return response
    headers = (*response.headers, ("Content-Encoding", "gzip"))
    return Response(response.status, headers, gzip.compress(response.body))

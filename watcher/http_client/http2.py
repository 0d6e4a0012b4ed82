"""HTTP/2 on httpcore: one connection per origin, on which all requests travel at once.

httpx is not between, for it has no way to say which addresses a name may have. Where a server
does not offer HTTP/2 in its TLS handshake, the origin is remembered and left to HTTP/1.1. How many
requests may be under way on a connection, the server says; the others wait.
"""

from __future__ import annotations

import logging
import ssl
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import h2.exceptions

from watcher.core.account import Timeouts
from watcher.errors import ProtocolError
from watcher.http_client.addresses import CheckedAddresses
from watcher.http_client.errors import BrokenConnection, words
from watcher.http_client.messages import Headers, Outgoing, Reply
from watcher.http_client.reading import read_body
from watcher.http_client.settings import KEEP_ALIVE_SECONDS, USER_AGENT
from watcher.http_client.urls import target_of

# httpcore looks for sniffio on every request; None is Python's way to say "not installed".
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

import httpcore  # noqa: E402

from watcher.http_client.goaway import OrderlyStream  # noqa: E402

# At DEBUG it writes down each header that it packs, with passwords and tokens.
logging.getLogger("hpack").setLevel(logging.WARNING)

_BREAKS = (
    httpcore.ReadError,
    httpcore.WriteError,
    httpcore.RemoteProtocolError,
    httpcore.LocalProtocolError,
    h2.exceptions.H2Error,
)
_ONE_REFUSED = "it gave up this one request"
_REPEATABLE = frozenset({"GET", "HEAD"})
_FINAL, _LAST = 200, 599  # of the status of an answer; httpcore takes any number
_Key = tuple[str, ssl.SSLContext | None]
MOST_ENDS = 8
"""How many connections in a row may end in order without an answer to a request."""
MOST_SENT = 1024 * 1024
"""About how many bytes of requests a connection carries. A server says how much of them is to be
remembered in order to compress later ones: without end, if it wants, and searched for each."""
_MOST_WITHOUT = 64


class _Shared:
    """The connection to one origin, how many requests are under way on it, and about how many
    bytes of requests it carried."""

    __slots__ = ("ends", "is_left", "pool", "sent", "under_way")

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self.pool = pool
        self.sent = 0
        self.under_way = 0
        self.is_left = False
        self.ends = False


class Http2:
    """Requests over one connection per origin."""

    errors = (
        httpcore.NetworkError,
        httpcore.TimeoutException,
        httpcore.ProxyError,
        OSError,
        ValueError,
        BrokenConnection,
    )

    def __init__(self, timeouts: Timeouts, checked: CheckedAddresses) -> None:
        self._read = timeouts.read.total_seconds()
        connect = timeouts.connect.total_seconds()
        self._timeout = {"connect": connect, "read": self._read, "write": self._read}
        self._checked = checked
        self._shared: dict[_Key, _Shared] = {}
        self._without: set[str] = set()

    def is_offered_by(self, origin: str) -> bool:
        """False once a server was met that does not speak HTTP/2."""
        return origin not in self._without

    async def exchange(self, ask: Outgoing) -> Reply:
        """One request, one answer. Raises `errors`, and ProtocolError for what can't be read."""
        for _ in range(MOST_ENDS):
            shared = self._shared.get(_key(ask)) or self._new_connection(ask)
            try:
                return await self._exchange_on(shared, ask)
            except BrokenConnection:
                # What the server had not begun when it announced the end is asked again.
                if not shared.ends or ask.method not in _REPEATABLE:
                    raise
        raise BrokenConnection("it takes no more requests, connection after connection")

    async def _exchange_on(self, shared: _Shared, ask: Outgoing) -> Reply:
        shared.under_way += 1
        shared.sent += len(ask.url) + sum(len(name) + len(value) for name, value in ask.headers)
        if shared.sent >= MOST_SENT:
            self._leave(ask, shared)
        try:
            reply = await self._exchange(shared, ask)
            is_over = not ask.stays_open or len(reply.body) >= ask.cap
            if is_over or ask.origin in self._without:
                self._leave(ask, shared)
            return reply
        except BaseException as error:
            if not _is_about_one_stream(error):
                self._leave(ask, shared)
            raise
        finally:
            shared.under_way -= 1
            if shared.is_left and not shared.under_way:
                await shared.pool.aclose()

    async def aclose(self) -> None:
        shared, self._shared = self._shared, {}
        for each in shared.values():
            await each.pool.aclose()

    async def _exchange(self, shared: _Shared, ask: Outgoing) -> Reply:
        began = time.monotonic()
        try:
            response = await shared.pool.handle_async_request(self._request(ask))
            try:
                if response.extensions.get("http_version") != b"HTTP/2":
                    self._remember_without(ask.origin)
                if not _FINAL <= response.status <= _LAST:
                    raise ProtocolError(f"{ask.host} sent a status that is none", host=ask.host)
                headers = Headers(response.headers)
                body = await read_body(
                    response.aiter_stream(),
                    status=response.status,
                    headers=headers,
                    cap=ask.cap,
                    host=ask.host,
                )
            finally:
                await response.aclose()
        except httpcore.ReadTimeout as error:
            if time.monotonic() - began < self._read:
                raise BrokenConnection("another answer on it took too long") from error
            raise
        except _BREAKS as error:
            raise BrokenConnection(_said(error)) from error
        return Reply(response.status, headers, body)

    def _remember_without(self, origin: str) -> None:
        """A registry may redirect to ever new ones."""
        if len(self._without) >= _MOST_WITHOUT:
            self._without.clear()
        self._without.add(origin)

    def _leave(self, ask: Outgoing, shared: _Shared) -> None:
        """Later requests get another connection: on this one something unread may be waiting."""
        shared.is_left = True
        if self._shared.get(_key(ask)) is shared:
            del self._shared[_key(ask)]

    def _request(self, ask: Outgoing) -> httpcore.Request:
        origin = urlsplit(ask.origin)
        headers = [(b"Host", origin.netloc.encode("ascii")), *ask.headers]
        if ask.content:
            headers.append((b"Content-Length", b"%d" % len(ask.content)))
        host = (origin.hostname or "").encode("ascii")
        url = httpcore.URL(
            scheme=origin.scheme, host=host, port=origin.port, target=target_of(ask.url)
        )
        extensions = {"timeout": self._timeout}
        return httpcore.Request(
            ask.method, url, headers=headers, content=ask.content, extensions=extensions
        )

    def _new_connection(self, ask: Outgoing) -> _Shared:
        def end() -> None:
            shared.ends = True
            self._leave(ask, shared)

        pool = httpcore.AsyncConnectionPool(
            ssl_context=ask.context,
            proxy=_proxy(ask),
            max_connections=1,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            http2=True,
            network_backend=_Backend(self._checked, end),
        )
        shared = self._shared[_key(ask)] = _Shared(pool)
        return shared


class _Backend(httpcore.AnyIOBackend):
    """Connects to the addresses that were checked, where a name has such; `on_end` is called when
    the server announces the orderly end of a connection."""

    def __init__(self, checked: CheckedAddresses, on_end: Callable[[], None]) -> None:
        self._checked = checked
        self._on_end = on_end

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        *others, last = self._checked.of(host) or (host,)
        for address in others:
            try:
                stream = await super().connect_tcp(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
            return OrderlyStream(stream, self._on_end)
        return OrderlyStream(await super().connect_tcp(last, port, timeout), self._on_end)


def _key(ask: Outgoing) -> _Key:
    """Where a client certificate was shown, nothing else is asked over the same connection."""
    return ask.origin, ask.context


def _proxy(ask: Outgoing) -> httpcore.Proxy | None:
    if ask.proxy is None:
        return None
    headers = [("User-Agent", USER_AGENT)]
    if ask.proxy.authorization is not None:
        headers.append(("Proxy-Authorization", ask.proxy.authorization))
    context = ask.context if ask.proxy.scheme == "https" else None
    return httpcore.Proxy(ask.proxy.url, headers=headers, ssl_context=context)


def _is_about_one_stream(error: BaseException) -> bool:
    return isinstance(error, BrokenConnection) and error.args == (_ONE_REFUSED,)


def _said(error: Exception) -> str:
    """httpcore's message is an event of h2 as text."""
    text = str(error)
    if "StreamReset" in text:
        return _ONE_REFUSED
    if "ConnectionTerminated" in text:
        return "it takes no more requests on it"
    return words(error)

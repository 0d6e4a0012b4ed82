"""HTTP/1.1 on aiohttp: kept-alive connections, one request on each at a time.

A request costs a quarter to a twentieth of what it costs on httpx (docs/performance.md). aiohttp
itself would try a request again on a broken connection; here the caller decides that. Imported
when the first connection is made.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from watcher.core.account import Timeouts
from watcher.http_client.addresses import CheckedAddresses
from watcher.http_client.errors import BrokenConnection
from watcher.http_client.messages import Headers, Outgoing, Reply
from watcher.http_client.proxies import Proxy
from watcher.http_client.reading import read_body
from watcher.http_client.settings import KEEP_ALIVE_SECONDS, USER_AGENT
from watcher.http_client.trust import sparing_the_roots

with sparing_the_roots():
    import aiohttp

from aiohttp.abc import ResolveResult
from yarl import URL

LONGEST_HEADER = 64 * 1024
"""In bytes, of one line: links with cursors and challenges with many scopes are long."""
_OWN_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_BREAKS = (
    aiohttp.ClientOSError,
    aiohttp.ClientConnectionResetError,
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
)


class Http1:
    """Requests over connections of its own."""

    errors = (aiohttp.ClientError, OSError, ValueError, BrokenConnection)

    def __init__(self, timeouts: Timeouts, checked: CheckedAddresses) -> None:
        self._timeout = aiohttp.ClientTimeout(
            connect=timeouts.connect.total_seconds(), sock_read=timeouts.read.total_seconds()
        )
        self._checked = checked
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def exchange(self, ask: Outgoing) -> Reply:
        """One request, one answer. Raises `errors`, and ProtocolError for what can't be read."""
        response = await self._answer(ask)
        try:
            answer_headers = Headers(response.raw_headers)
            body = await read_body(
                response.content.iter_any(),
                status=response.status,
                headers=answer_headers,
                cap=ask.cap,
                host=ask.host,
            )
        except _BREAKS as error:
            raise BrokenConnection from error
        finally:
            response.close()
        return Reply(response.status, answer_headers, body)

    async def _answer(self, ask: Outgoing) -> aiohttp.ClientResponse:
        headers = [(name.decode("ascii"), value.decode("ascii")) for name, value in ask.headers]
        proxy_headers = None
        if ask.proxy is not None:
            login = _login(ask.proxy)
            if ask.origin.startswith("https://"):
                proxy_headers = [("User-Agent", USER_AGENT), *login]
            else:
                headers += login
        return await self._session(ask.stays_open).request(
            ask.method,
            URL(ask.url, encoded=True),
            headers=headers,
            data=ask.content or None,
            allow_redirects=False,
            ssl=ask.context or True,
            proxy=ask.proxy.url if ask.proxy else None,
            proxy_headers=proxy_headers,
        )

    async def aclose(self) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    def _session(self, stays_open: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(stays_open)
        if session is None:
            session = self._sessions[stays_open] = self._new_session(stays_open)
        return session

    def _new_session(self, stays_open: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=_Connector(
                limit=0,
                use_dns_cache=False,
                resolver=_Resolver(self._checked),
                force_close=not stays_open,
                keepalive_timeout=KEEP_ALIVE_SECONDS if stays_open else None,
            ),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_OWN_HEADERS,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
            middlewares=(_only_once,),
        )


class _Connector(aiohttp.TCPConnector):
    """Drops a connection at once that is not kept: over TLS its other end would be waited for up
    to half a minute, which nobody needs once the whole answer is there."""

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        transport = protocol.transport
        super()._release(key, protocol, should_close=should_close)
        if transport is not None and transport.is_closing():
            transport.abort()


class _Resolver(aiohttp.ThreadedResolver):
    """The system's resolver, but for names whose addresses were checked."""

    def __init__(self, checked: CheckedAddresses) -> None:
        super().__init__()
        self._checked = checked

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = self._checked.of(host)
        if not addresses:
            return await super().resolve(host, port, family)
        return _resolved(host, port, addresses)


def _resolved(host: str, port: int, addresses: Sequence[str]) -> list[ResolveResult]:
    return [
        ResolveResult(
            hostname=host,
            host=address,
            port=port,
            family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            proto=0,
            flags=socket.AI_NUMERICHOST,
        )
        for address in addresses
    ]


def _login(proxy: Proxy) -> list[tuple[str, str]]:
    return [("Proxy-Authorization", proxy.authorization)] if proxy.authorization else []


async def _only_once(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keeps aiohttp from another try, which would come on top of the caller's."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except _BREAKS as error:
        raise BrokenConnection from error

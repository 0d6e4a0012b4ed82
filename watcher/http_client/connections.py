"""Connections to any number of origins under the same settings.

`Connections` keeps single connections per origin and reuses the last one put back, for one shared
httpx pool costs more per request the more connections it has.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

from watcher.errors import ProxyError
from watcher.http_client.errors import is_untrusted
from watcher.http_client.proxies import proxy_from_environment
from watcher.http_client.settings import KEEP_ALIVE_SECONDS, USER_AGENT, HttpSettings
from watcher.http_client.trust import Trust

# httpx imports its command line with click, pygments and rich where those are installed, and
# httpcore looks for sniffio anew on every request when it is missing. Both are optional to them,
# and a None here is Python's way to say "not installed" without a search.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

import httpx  # noqa: E402

_ONE_CONNECTION = httpx.Limits(
    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE_SECONDS
)
_TRANSPORT: Mapping[str, Any] = {"trust_env": False, "limits": _ONE_CONNECTION}
MAXIMUM_ORIGINS = 8
"""To how many origins connections stay open: a registry that redirects to ever new ones must not
use up the open files of the process."""
_PASSING: Mapping[str, Any] = {
    "trust_env": False,
    "limits": httpx.Limits(max_connections=1, max_keepalive_connections=0),
}


class Connections:
    """Connections to any number of origins under the same settings.

    Each borrower has a connection of its own, made when none is idle; how many are borrowed at
    once is the caller's business (registry/limits.py).
    """

    def __init__(
        self, settings: HttpSettings, *, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._trust: Trust | None = None
        self._idle: dict[str, list[httpx.AsyncHTTPTransport]] = {}
        timeouts = settings.timeouts
        read = timeouts.read.total_seconds()
        self.timeout: dict[str, float] = {
            "connect": timeouts.connect.total_seconds(),
            "read": read,
            "write": read,
            "pool": read,
        }

    def borrow(self, origin: str) -> httpx.AsyncHTTPTransport:
        """The connection that was put back last, for it is the most likely to be alive."""
        if origin not in self._idle and len(self._idle) < MAXIMUM_ORIGINS:
            self._idle[origin] = []
        idle = self._idle.get(origin)
        return idle.pop() if idle else self._connection(origin)

    def put_back(self, origin: str, connection: httpx.AsyncHTTPTransport) -> None:
        """Keep it open, unless there are too many origins: then it closed with its answer."""
        if origin in self._idle:
            self._idle[origin].append(connection)

    def proxy_for(self, origin: str) -> str | None:
        """The proxy's URL for an origin (`https://host:port`), or None to go there directly."""
        if self._settings.proxy is not None:
            return self._settings.proxy
        return proxy_from_environment(origin, self._environment)

    async def aclose(self) -> None:
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                await connection.aclose()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client with httpx's own interface, for a stage that calls one URL."""
        async with httpx.AsyncClient(
            verify=self._trusted().widened(),
            proxy=self._settings.proxy,
            trust_env=self._settings.proxy is None,
            timeout=httpx.Timeout(self.timeout["read"], connect=self.timeout["connect"]),
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"User-Agent": USER_AGENT},
        ) as client:
            yield client

    def _trusted(self) -> Trust:
        """The one TLS context of these settings: each costs as much as importing httpx."""
        if self._trust is None:
            self._trust = Trust(self._settings.tls, self._environment)
        return self._trust

    def _connection(self, origin: str) -> httpx.AsyncHTTPTransport:
        try:
            return self._new_connection(origin, self.proxy_for(origin))
        except (ImportError, ValueError, httpx.InvalidURL):
            # The cause is left out, for it repeats parts of a URL that may hold a password.
            raise ProxyError(
                f"the proxy for {origin} can't be used: its URL is wrong, or of an unknown kind",
                temporary=False,
            ) from None

    def _new_connection(self, origin: str, proxy: str | None) -> httpx.AsyncHTTPTransport:
        settings = _TRANSPORT if origin in self._idle else _PASSING
        if origin.startswith("http://") and not (proxy or "").startswith("https://"):
            return httpx.AsyncHTTPTransport(verify=_no_tls(), proxy=proxy, **settings)
        trust = self._trusted()
        over = (
            httpx.Proxy(proxy, ssl_context=_tls_to_proxy(proxy, trust.context)) if proxy else None
        )
        return _TlsTransport(trust, proxy=over, **settings)


class _TlsTransport(httpx.AsyncHTTPTransport):
    """Connects once more, with the system's roots, where `ca_file` does not vouch for a server."""

    def __init__(self, trust: Trust, **settings: Any) -> None:
        super().__init__(verify=trust.context, **settings)
        self._trust = trust

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        was_wide = self._trust.is_wide
        try:
            return await super().handle_async_request(request)
        except httpx.TransportError as error:
            if was_wide or not is_untrusted(error):
                raise
        self._trust.widened()
        return await super().handle_async_request(request)


def _no_tls() -> ssl.SSLContext:
    """What httpx wants for plain http, where nothing will be verified with it."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _tls_to_proxy(proxy: str, context: ssl.SSLContext) -> ssl.SSLContext | None:
    return context if proxy.startswith("https://") else None

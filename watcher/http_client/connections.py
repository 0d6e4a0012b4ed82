"""The one door to registries: an exchange over HTTP/1.1 or HTTP/2, by proxy or directly.

Which engine sends is decided per origin; trust, proxies, time limits and the words for errors are
the same for both. How many requests are under way at once is the caller's business
(registry/budgets/limits.py). The engines' libraries are imported when the first request needs them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, NamedTuple

from watcher.errors import ProtocolError, ProxyError
from watcher.http_client.addresses import CheckedAddresses
from watcher.http_client.errors import is_untrusted, refusal_of_proxy, translate
from watcher.http_client.messages import Outgoing, Reply
from watcher.http_client.proxies import Proxy, is_of_proxy, proxy_from_environment
from watcher.http_client.settings import MAXIMUM_ORIGINS, USER_AGENT, HttpSettings
from watcher.http_client.trust import Trust
from watcher.http_client.urls import origin_of

if TYPE_CHECKING:
    import httpx

    from watcher.http_client.http1 import Http1
    from watcher.http_client.http2 import Http2

_MOST_ROUTES = 64


class _Route(NamedTuple):
    """How requests get to an origin."""

    proxy: Proxy | None
    stays_open: bool

    def is_encrypted(self, origin: str) -> bool:
        by_proxy = self.proxy is not None and self.proxy.scheme == "https"
        return by_proxy or origin.startswith("https://")


class Connections:
    """Connections to any number of origins under the same settings.

    `http2` says whether to offer HTTP/2 where the settings leave that open; it is asked each time,
    for what kind of registry it is may turn out late.
    """

    def __init__(
        self,
        settings: HttpSettings,
        *,
        environment: Mapping[str, str] = os.environ,
        http2: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._may_offer_http2 = http2
        self._longest = settings.longest
        self._checked = CheckedAddresses()
        self._routes: dict[str, _Route] = {}
        self._open_origins: set[str] = set()
        self._trust: dict[str, Trust] = {}
        self._http1: Http1 | None = None
        self._http2: Http2 | None = None

    async def exchange(
        self,
        method: str,
        url: str,
        headers: list[tuple[bytes, bytes]],
        *,
        cap: int,
        host: str,
        content: bytes = b"",
        is_elsewhere: bool = False,
    ) -> Reply:
        """One request, one answer, within the time limits; redirects are answers as well.

        `host` names the registry in errors about what it sent, `cap` bounds the body in bytes.
        `is_elsewhere`: the registry led there, so the client certificate is not shown.
        Raises TransportError without an answer, ProtocolError for one that can't be read.
        """
        origin = origin_of(url)
        route = self._routes.get(origin) or self._new_route(origin, host)
        engine, trust = self._engine(origin), None
        if route.is_encrypted(origin):
            purpose = "http2" if engine is self._http2 else "http1"
            trust = self._trusted(purpose, is_elsewhere=is_elsewhere)
        ask = Outgoing(
            method,
            origin,
            url,
            headers,
            content,
            cap,
            host,
            route.proxy,
            trust.context if trust else None,
            route.stays_open,
        )
        try:
            async with asyncio.timeout(self._longest):
                reply = await _exchange(engine, ask, trust)
        except engine.errors as error:
            if isinstance(error, ValueError) and not isinstance(error, OSError):
                raise ProtocolError(f"{host} names an invalid URL", host=host) from error
            raise translate(
                error,
                origin.partition("://")[2],
                route.proxy,
                shows_certificate=self._settings.tls.client_cert is not None,
            ) from error
        if route.proxy is not None and origin.startswith("http://") and is_of_proxy(reply):
            raise refusal_of_proxy(str(reply.status), origin.partition("://")[2], route.proxy)
        return reply

    def pin(self, host: str, addresses: Sequence[str]) -> None:
        """Connect to these addresses of `host` and to no others, for only they were checked."""
        self._checked.pin(host, addresses)

    def proxy_for(self, origin: str) -> str | None:
        """The proxy's URL for an origin (`https://host:port`), or None to go there directly."""
        if self._settings.proxy is not None:
            return self._settings.proxy
        return proxy_from_environment(origin, self._environment)

    async def aclose(self) -> None:
        """Close all connections; a later exchange makes new ones."""
        engines = [engine for engine in (self._http1, self._http2) if engine is not None]
        self._http1 = self._http2 = None
        for engine in engines:
            await engine.aclose()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client with httpx's own interface, for a stage that calls one URL."""
        # httpx imports its command line with click, pygments and rich where those are installed,
        # and httpcore looks for sniffio on every request. Both are optional to them, and a None
        # here is Python's way to say "not installed" without a search.
        sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
        sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
        import httpx

        timeouts = self._settings.timeouts
        async with httpx.AsyncClient(
            verify=self._trusted("client").widened(),
            proxy=self._settings.proxy,
            trust_env=self._settings.proxy is None,
            timeout=httpx.Timeout(
                timeouts.read.total_seconds(), connect=timeouts.connect.total_seconds()
            ),
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"User-Agent": USER_AGENT},
        ) as client:
            yield client

    def _new_route(self, origin: str, host: str) -> _Route:
        if len(self._open_origins) < MAXIMUM_ORIGINS:
            self._open_origins.add(origin)
        try:
            text = self.proxy_for(origin)
        except ValueError as error:
            raise ProtocolError(f"{host} names an invalid URL", host=host) from error
        try:
            proxy = Proxy.parse(text) if text is not None else None
        except ValueError:
            # The cause is left out, for it repeats parts of a URL that may hold a password.
            raise ProxyError(
                f"the proxy for {origin} can't be used: its URL is wrong, or of an unknown kind",
                temporary=False,
            ) from None
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        route = self._routes[origin] = _Route(proxy, origin in self._open_origins)
        return route

    def _engine(self, origin: str) -> Http1 | Http2:
        wanted = self._settings.http2
        if origin.startswith("https://") and (
            wanted or (wanted is None and self._may_offer_http2())
        ):
            if self._http2 is None:
                from watcher.http_client.http2 import Http2

                self._http2 = Http2(self._settings.timeouts, self._checked)
            if self._http2.is_offered_by(origin):
                return self._http2
        if self._http1 is None:
            from watcher.http_client.http1 import Http1

            self._http1 = Http1(self._settings.timeouts, self._checked)
        return self._http1

    def _trusted(self, purpose: str, *, is_elsewhere: bool = False) -> Trust:
        """One TLS context per engine, for each tells servers its own protocols (ALPN) in it."""
        tls = self._settings.tls
        if is_elsewhere and tls.client_cert is not None:
            purpose += " elsewhere"
            tls = replace(tls, client_cert=None, client_key=None)
        trust = self._trust.get(purpose)
        if trust is None:
            trust = self._trust[purpose] = Trust(tls, self._environment)
        return trust


async def _exchange(engine: Http1 | Http2, ask: Outgoing, trust: Trust | None) -> Reply:
    """Once more with the system's roots, where `ca_file` does not vouch for a server."""
    was_wide = trust is None or trust.is_wide
    try:
        return await engine.exchange(ask)
    except engine.errors as error:
        if was_wide or trust is None or not is_untrusted(error):
            raise
    trust.widened()
    return await engine.exchange(ask)

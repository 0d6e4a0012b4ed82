"""The one factory of HTTP connections: TLS, proxy, time-outs, and httpx's errors in our words.

`Connections` keeps single connections per origin and reuses the last one put back, for one shared
httpx pool costs more per request the more connections it has. Requests leave as they are built:
no cookies, no redirects, no credentials of netrc. Imported by `registry` and `stages`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from watcher import __version__
from watcher.core.account import Account, Timeouts, Tls
from watcher.errors import ProxyError, TlsError, TransportError

# httpx imports its command line with click, pygments and rich where those are installed, and
# httpcore looks for sniffio anew on every request when it is missing. Both are optional to them,
# and a None here is Python's way to say "not installed" without a search.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

import httpx  # noqa: E402

USER_AGENT = f"registry-watcher/{__version__}"
KEEP_ALIVE_SECONDS = 75.0
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_WRONG_NAME = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
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


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How to reach a host. `proxy` None means what the environment says (with NO_PROXY)."""

    tls: Tls = field(default_factory=Tls)
    proxy: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)

    @staticmethod
    def of(account: Account) -> HttpSettings:
        return HttpSettings(tls=account.tls, proxy=account.proxy, timeouts=account.timeouts)


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
        self._trust: _Trust | None = None
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

    def _trusted(self) -> _Trust:
        """The one TLS context of these settings: each costs as much as importing httpx."""
        if self._trust is None:
            self._trust = _Trust(self._settings.tls, self._environment)
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


class _Trust:
    """A TLS context that trusts `ca_file` alone until that is not enough. A registry of the house
    never pays for the system's roots, which may take longer to read than ten listings.
    """

    def __init__(self, tls: Tls, environment: Mapping[str, str]) -> None:
        """Raises TlsError when a file can't be used."""
        self.context = _context(tls)
        self.is_wide = tls.insecure_skip_verify
        self._environment = environment
        if tls.ca_file is None:
            self.widened()

    def widened(self) -> ssl.SSLContext:
        """The context with the system's roots (SSL_CERT_FILE and SSL_CERT_DIR in their place).

        Raises TlsError when SSL_CERT_FILE or SSL_CERT_DIR can't be used.
        """
        if not self.is_wide:
            _load_roots(self.context, self._environment)
            self.is_wide = True
        return self.context


class _TlsTransport(httpx.AsyncHTTPTransport):
    """Connects once more, with the system's roots, where `ca_file` does not vouch for a server."""

    def __init__(self, trust: _Trust, **settings: Any) -> None:
        super().__init__(verify=trust.context, **settings)
        self._trust = trust

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        was_wide = self._trust.is_wide
        try:
            return await super().handle_async_request(request)
        except httpx.TransportError as error:
            if was_wide or not _is_untrusted(error):
                raise
        self._trust.widened()
        return await super().handle_async_request(request)


def proxy_from_environment(origin: str, environment: Mapping[str, str]) -> str | None:
    """What HTTP(S)_PROXY, ALL_PROXY and NO_PROXY (either case) say about an origin."""
    url = urlsplit(origin)
    proxies = {
        name: environment.get(f"{name}_proxy") or environment.get(f"{name.upper()}_PROXY") or ""
        for name in (url.scheme, "all", "no")
    }
    chosen = proxies[url.scheme] or proxies["all"]
    exceptions = (entry.strip().lower() for entry in proxies["no"].split(","))
    if not chosen or any(
        _is_exception(entry, url.hostname or "", url.netloc) for entry in exceptions
    ):
        return None
    return chosen if "://" in chosen else f"http://{chosen}"


def _is_exception(entry: str, host: str, authority: str) -> bool:
    """Whether one entry of NO_PROXY names the host: `*`, name, `.suffix`, name:port or network."""
    if entry in ("*", host, authority):
        return True
    if entry and host.endswith("." + entry.removeprefix("*").removeprefix(".")):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _context(tls: Tls) -> ssl.SSLContext:
    """What an account says about TLS; without the system's roots."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.ca_file is not None:
        with _readable("ca_file", tls.ca_file):
            context.load_verify_locations(cafile=tls.ca_file)
    if tls.client_cert is not None:
        with _readable("client_cert", tls.client_cert):
            context.load_cert_chain(tls.client_cert, tls.client_key)
    return context


def translate(error: Exception, host: str) -> TransportError:
    """What an error of httpx means, in a sentence; `host` is the one that was asked."""
    causes = tuple(_causes(error))
    if isinstance(error, httpx.ProxyError):
        return ProxyError(f"the proxy for {host} refused: {error}", host=host)
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        step = "connecting to" if isinstance(error, httpx.ConnectTimeout) else "an answer of"
        return TransportError(f"{step} {host} took too long", host=host)
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return _tls_error(cause, host)
        if isinstance(cause, socket.gaierror):
            return TransportError(f"the name {host} could not be resolved", host=host)
        if isinstance(cause, ConnectionRefusedError):
            return TransportError(f"{host} refused the connection", host=host)
    if isinstance(error, httpx.ConnectError):
        return TransportError(f"{host} can't be reached: {error}", host=host)
    return TransportError(f"{host} broke the connection: {_words(error)}", host=host)


def is_broken_connection(error: BaseException | None) -> bool:
    """Whether a request died on a connection that had stood, so that one more try is sensible."""
    return isinstance(
        error, httpx.ReadError | httpx.WriteError | httpx.CloseError | httpx.RemoteProtocolError
    )


def _tls_error(error: ssl.SSLError, host: str) -> TlsError:
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = error.reason or str(error)
        hint = "is it a plain http registry? (`plain_http: true`)" if "WRONG_V" in reason else None
        return TlsError(f"no TLS connection to {host}: {reason}", host=host, hint=hint)
    if error.verify_code == _EXPIRED:
        return TlsError(f"the certificate of {host} has expired", host=host)
    if error.verify_code in _WRONG_NAME:
        return TlsError(f"the certificate of {host} is for another name", host=host)
    return TlsError(
        f"the certificate of {host} is not trusted: {error.verify_message}",
        host=host,
        hint="name the issuer's certificate with `tls: {ca_file: PATH}`",
    )


def _load_roots(context: ssl.SSLContext, environment: Mapping[str, str]) -> None:
    file, directory = environment.get("SSL_CERT_FILE"), environment.get("SSL_CERT_DIR")
    if file or directory:
        with _readable("SSL_CERT_FILE or SSL_CERT_DIR", Path(file or directory or "")):
            context.load_verify_locations(file or None, directory or None)
        return
    paths = ssl.get_default_verify_paths()
    # A hashed directory is read certificate by certificate, on demand; loading the whole bundle
    # costs as much as importing httpx.
    if paths.capath and any(map(_HASHED.fullmatch, os.listdir(paths.capath))):
        context.load_verify_locations(capath=paths.capath)
    elif paths.cafile:
        context.load_verify_locations(cafile=paths.cafile)
    else:
        import certifi

        context.load_verify_locations(cafile=certifi.where())


@contextmanager
def _readable(key: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TlsError(f"`{key}` can't be used: {path}: {_words(error)}") from error


def _no_tls() -> ssl.SSLContext:
    """What httpx wants for plain http, where nothing will be verified with it."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _tls_to_proxy(proxy: str, context: ssl.SSLContext) -> ssl.SSLContext | None:
    return context if proxy.startswith("https://") else None


def _is_untrusted(error: Exception) -> bool:
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

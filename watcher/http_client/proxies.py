"""Which proxy leads to a host: HTTP_PROXY and its relatives, as curl and Go read them."""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from watcher.http_client.messages import Reply

_PORTS = {"http": 80, "https": 443}


class Proxy(NamedTuple):
    """A proxy without its password in the URL, and the header that holds that."""

    scheme: str
    authority: str
    authorization: str | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @staticmethod
    def parse(text: str) -> Proxy:
        """Of `http(s)://[user:password@]host[:port]`; raises ValueError for anything else."""
        url = urlsplit(text)
        host, port = url.hostname, url.port or _PORTS.get(url.scheme)
        if url.scheme not in _PORTS or not host or "@" in url.path + url.query:
            raise ValueError("that is no URL of an http or https proxy")
        name = f"[{host}]" if ":" in host else host
        if url.username is None and url.password is None:
            return Proxy(url.scheme, f"{name}:{port}")
        pair = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
        login = b64encode(pair.encode()).decode("ascii")
        return Proxy(url.scheme, f"{name}:{port}", f"Basic {login}")


def is_of_proxy(reply: Reply) -> bool:
    """Whether a proxy answered plain http itself: with 407, or as a server that calls itself a
    proxy and did not pass on the answer of another (RFC 9110, 7.6.3)."""
    if reply.status < 400:
        return False
    names_itself = "proxy" in reply.headers.get("server", "").lower()
    return reply.status == 407 or (names_itself and "via" not in reply.headers)


def proxy_from_environment(origin: str, environment: Mapping[str, str]) -> str | None:
    """What HTTP(S)_PROXY, ALL_PROXY and NO_PROXY (either case) say about an origin."""
    url = urlsplit(origin)
    proxies = {
        name: environment.get(f"{name}_proxy") or environment.get(f"{name.upper()}_PROXY") or ""
        for name in (url.scheme, "all", "no")
    }
    chosen = proxies[url.scheme] or proxies["all"]
    exceptions = (entry.strip().lower() for entry in proxies["no"].split(","))
    host = url.hostname or ""
    name = f"[{host}]" if ":" in host else host
    authority = f"{name}:{url.port or _PORTS.get(url.scheme)}"
    if not chosen or any(_is_exception(entry, host, authority) for entry in exceptions):
        return None
    return chosen if "://" in chosen else f"http://{chosen}"


def _is_exception(entry: str, host: str, authority: str) -> bool:
    """Whether one entry of NO_PROXY names the host: `*`, name, `.suffix`, name:port or network."""
    if entry in ("*", host, authority, authority.rpartition(":")[0]):
        return True
    if entry and host.endswith("." + entry.removeprefix("*").removeprefix(".")):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False

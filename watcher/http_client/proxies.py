"""Which proxy leads to a host: HTTP_PROXY and its relatives, as curl and Go read them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


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

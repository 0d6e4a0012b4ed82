"""Where a password may go: checks of token servers and redirect targets before any request.

A registry names the token server itself, so a hostile one could name any host: never plain http
for an https registry, never a link-local or metadata address, a private one only for a registry
that is private too (server-side request forgery). Literal and resolved addresses are looked at,
except behind a proxy, which resolves by itself; a connection then goes to the addresses that were
looked at.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import SplitResult, urlsplit

from watcher.core.reference import Registry
from watcher.errors import ProtocolError, TransportError
from watcher.registry.quirks import by_host

Resolve = Callable[[str], Awaitable[Sequence[str]]]
Pin = Callable[[str, Sequence[str]], None]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MOST_LOOKUPS = 2
"""At once, of names that one registry named: lookups share a few threads with all other accounts,
and such a name may be made to take as long as the system's resolver has patience."""
_METADATA = frozenset(
    {ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")}
)
_TRANSLATED = tuple(
    ipaddress.IPv6Network(network) for network in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")
)
"""NAT64 (RFC 6052), IPv4-compatible, and SIIT: an IPv4 address in the last 32 bits."""


async def resolve_by_system(host: str) -> Sequence[str]:
    """All addresses of a name, by the system's resolver; raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def expected_token_host(registry: Registry) -> str | None:
    """The token server's host of a registry of the world; None where any is plausible."""
    dialect = by_host(registry.name)
    if dialect is None or dialect.token_host is None:
        return None
    return dialect.token_host or registry.name


class Guard:
    """Checks the URLs that a registry names, on behalf of one registry. `pin` is told the
    addresses of a name that passed."""

    def __init__(
        self,
        registry: Registry,
        *,
        resolve: Resolve,
        pin: Pin,
        is_proxied: Callable[[str], bool],
    ) -> None:
        self._registry = registry
        self._resolve = resolve
        self._pin = pin
        self._is_proxied = is_proxied
        self._home = urlsplit(registry.base_url)
        self._lookups = asyncio.Semaphore(MOST_LOOKUPS)

    async def check(self, url: str, purpose: str) -> None:
        """Raise ProtocolError when no request may go there; `purpose` names it ("token server")."""
        target = self._parts(url, purpose)
        host = target.hostname or ""
        if target.scheme == "http" and self._home.scheme == "https":
            raise self._refusal(purpose, f"{host} by plain http, while the registry is https")
        if host == self._home.hostname:
            return
        literal = _literal(host)
        if literal is not None:
            self._check_never(literal, host, purpose)
        if self._is_proxied(f"{target.scheme}://{target.netloc}"):
            return
        addresses = await self._addresses(host)
        for address in addresses:
            await self._check_address(address, host, purpose)
        self._pin(host, [str(address) for address in addresses])

    def _parts(self, url: str, purpose: str) -> SplitResult:
        try:
            target = urlsplit(url)
            usable = target.scheme in ("http", "https") and target.hostname and target.port != 0
        except ValueError:
            usable = False
        if not usable or "@" in target.netloc:
            raise self._refusal(purpose, "what is no http(s) URL of a host")
        return target

    async def _check_address(self, address: Address, host: str, purpose: str) -> None:
        self._check_never(address, host, purpose)
        address = _inner(address)
        if address.is_global:
            return
        own = await self._addresses(self._home.hostname or "")
        if any(_inner(home).is_global for home in own):
            raise self._refusal(purpose, f"{host}, a private address ({address})")
        if address.is_loopback and not all(_inner(home).is_loopback for home in own):
            raise self._refusal(purpose, f"{host}, this machine itself ({address})")

    def _check_never(self, address: Address, host: str, purpose: str) -> None:
        inner = _inner(address)
        never = inner.is_link_local or inner.is_unspecified or inner.is_multicast
        if never or inner in _METADATA:
            raise self._refusal(purpose, f"{host}, a link-local or metadata address ({inner})")

    async def _addresses(self, host: str) -> list[Address]:
        literal = _literal(host)
        if literal is not None:
            return [literal]
        try:
            async with self._lookups:
                found = await self._resolve(host)
            return [_plain(ipaddress.ip_address(text.split("%")[0])) for text in found]
        except (OSError, ValueError) as error:
            raise TransportError(
                f"the name {host} could not be resolved", host=self._registry.name
            ) from error

    def _refusal(self, purpose: str, reason: str) -> ProtocolError:
        name = self._registry.name
        return ProtocolError(f"{name} names as {purpose} {reason}: refused", host=name)


def _literal(host: str) -> Address | None:
    """The address that a host is, also as `127.1` or as a number; None for a name."""
    try:
        return _plain(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return ipaddress.ip_address(socket.inet_aton(host)) if host.isascii() else None
    except OSError:
        return None


def _inner(address: Address) -> Address:
    """The IPv4 address where a translator or a tunnel leads by an IPv6 one; else the address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _TRANSLATED) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _plain(address: Address) -> Address:
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address

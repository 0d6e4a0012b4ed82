"""RegistryClients for tests: with a fixed credential, no proxy, and a sleep that does not wait."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from watcher.core.account import Account, Catalog, Credential, Limits, Timeouts, Tls
from watcher.core.reference import Registry
from watcher.registry.client import RegistryClient
from watcher.registry.limits import HostLimits
from watcher.testing.registry import FakeRegistry

SHORT = Timeouts(
    connect=timedelta(seconds=0.2), read=timedelta(seconds=0.2), total=timedelta(seconds=5)
)
"""One answer may take 0.6 s in all (connecting, and two reads)."""


@dataclass
class FixedCredentials:
    """A provider that gives one credential after the other, a next one each time it is renewed."""

    credentials: Sequence[Credential] = (Credential(),)
    renewed: int = 0

    async def get(self) -> Credential:
        return self.credentials[min(self.renewed, len(self.credentials) - 1)]

    async def renew(self, refused: Credential) -> Credential:
        self.renewed += 1
        return await self.get()


@dataclass
class Naps:
    """A sleep that returns at once and remembers how long it was asked for."""

    slept: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


async def resolve_to_loopback(host: str) -> Sequence[str]:
    """Every name is this machine, without asking a resolver."""
    return ("127.0.0.1",)


@asynccontextmanager
async def connect(
    target: FakeRegistry | str,
    *,
    user: str | None = None,
    password: str | None = None,
    credentials: FixedCredentials | None = None,
    ca_file: Path | None = None,
    tls: Tls | None = None,
    proxy: str | None = None,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    catalog: Catalog | None = None,
    hosts: HostLimits | None = None,
    environment: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] | None = None,
    resolve: Callable[[str], Awaitable[Sequence[str]]] = resolve_to_loopback,
) -> AsyncIterator[RegistryClient]:
    """A client of that registry (or URL); nothing comes from the real environment."""
    url = target if isinstance(target, str) else target.url
    plain = url.startswith("http://")
    account = Account(
        name="test",
        registry=Registry.parse(url, plain_http=plain),
        tls=tls or Tls(ca_file=ca_file),
        proxy=proxy,
        timeouts=timeouts or Timeouts(),
        limits=limits or Limits(),
        catalog=catalog or Catalog(),
    )
    client = RegistryClient(
        account,
        credentials or FixedCredentials((Credential(user, password),)),
        hosts=hosts or HostLimits(clock=clock),
        clock=clock,
        sleep=sleep or Naps(),
        resolve=resolve,
        environment=environment or {},
    )
    try:
        yield client
    finally:
        await client.aclose()

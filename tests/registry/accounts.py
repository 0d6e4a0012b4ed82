"""Clients for tests: an account for an address, passwords in order, a clock that is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from watcher.core.account import Account, Credential
from watcher.core.reference import Registry
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import RegistryClient

ANONYMOUS = Credential()
ACME = Credential(username="acme", password="s3cret-of-acme")


class Passwords:
    """A CredentialProvider: gives the first credential; each renewal moves on to the next."""

    def __init__(self, *credentials: Credential) -> None:
        self._credentials = list(credentials) or [ANONYMOUS]
        self.renewals = 0

    async def get(self) -> Credential:
        return self._credentials[0]

    async def renew(self, refused: Credential) -> Credential:
        self.renewals += 1
        if len(self._credentials) > 1 and self._credentials[0] == refused:
            self._credentials.pop(0)
        return self._credentials[0]

    def queue(self, credential: Credential) -> None:
        """What a renewal will give: `get` does not know of it."""
        self._credentials.append(credential)

    def rotate(self, credential: Credential) -> None:
        """What a person does who writes a new password into the file."""
        self._credentials = [credential]


class Clock:
    """Epoch seconds that move only when told, and a sleep that tells them."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def account_for(address: str, *, plain_http: bool = True, **settings: Any) -> Account:
    """An account called `test`; settings are the other fields of Account."""
    registry = Registry.parse(address, plain_http=plain_http)
    return Account(name=settings.pop("name", "test"), registry=registry, **settings)


def public_names(addresses: Sequence[str] = ("93.184.216.34",)) -> Any:
    """A resolver that answers every name with these addresses."""

    async def resolve(host: str) -> Sequence[str]:
        return addresses

    return resolve


@asynccontextmanager
async def client_of(
    account: Account,
    passwords: Passwords | None = None,
    *,
    clock: Clock | None = None,
    hosts: HostLimits | None = None,
    **settings: Any,
) -> AsyncIterator[RegistryClient]:
    """A client that is closed at the end; it reads no proxy from the environment."""
    clock = clock or Clock()
    client = RegistryClient(
        account,
        passwords or Passwords(),
        hosts=hosts or HostLimits(clock=clock, sleep=clock.sleep),
        clock=clock,
        sleep=clock.sleep,
        environment=settings.pop("environment", {}),
        **settings,
    )
    try:
        yield client
    finally:
        await client.aclose()

"""Registry clients for commands that ask a registry themselves: `try`, `validate`, `render`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from watcher.errors import TransportError

if TYPE_CHECKING:
    from watcher.core.account import Account
    from watcher.registry.client import RegistryClient


@asynccontextmanager
async def client_for(account: Account) -> AsyncIterator[RegistryClient]:
    """A client with the account's own credential, limits and time-outs."""
    from watcher.daemon.app import client_of
    from watcher.registry.budgets.limits import HostLimits

    client = client_of(account, HostLimits(clock=time.time), os.environ)
    try:
        yield client
    finally:
        await client.aclose()


async def all_tags(client: RegistryClient, account: Account, repository: str) -> tuple[str, ...]:
    """The complete listing within the account's total time. Raises RegistryError."""
    from watcher.registry.listing.tags import Listing

    total = account.timeouts.total
    try:
        async with asyncio.timeout(total.total_seconds()):
            listing = await client.list_tags(repository)
    except TimeoutError as error:
        raise TransportError(
            f"{account.registry.name}/{repository}: no complete answer "
            f"within {total.total_seconds():g} s"
        ) from error
    assert isinstance(listing, Listing)  # no fingerprint was given to compare with
    return listing.tags

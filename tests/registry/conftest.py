"""A running fake registry, and a client of it, for the tests of the registry client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.registry.clients import connect
from watcher.core.account import Catalog
from watcher.registry.client import RegistryClient
from watcher.testing.registry import FakeRegistry


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as registry:
        yield registry


@pytest.fixture
async def client(registry: FakeRegistry) -> AsyncIterator[RegistryClient]:
    """An anonymous client of `registry`; its account has a catalog, else the defaults."""
    async with connect(registry, catalog=Catalog()) as client:
        yield client

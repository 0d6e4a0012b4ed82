"""A running fake registry, and a client of it, for the tests of the registry client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.registry.clients import connect
from watcher.registry.client import RegistryClient
from watcher.testing.registry import FakeRegistry


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as registry:
        yield registry


@pytest.fixture
async def client(registry: FakeRegistry) -> AsyncIterator[RegistryClient]:
    """An anonymous client of `registry` with the defaults of an account."""
    async with connect(registry) as client:
        yield client

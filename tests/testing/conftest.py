"""A running fake registry and a plain HTTP client for its tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from watcher.testing.registry import FakeRegistry


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as registry:
        yield registry


@pytest.fixture
async def client(registry: FakeRegistry) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=registry.url, trust_env=False) as client:
        yield client

"""A fake registry in a thread of this process, for daemons in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from watcher.testing.registry import FakeRegistry


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry.in_thread() as running:
        yield running

"""The store on its thread: how long a call takes, and whether the file can be written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.builders import baseline
from watcher.errors import StateChanged, StateUnwritable
from watcher.store.connection import Fault, no_fault
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore


@asynccontextmanager
async def threaded(path: Path, fault: Fault = no_fault) -> AsyncIterator[ThreadedStore]:
    store = ThreadedStore(lambda: Store.open(path, fault=fault))
    try:
        yield store
    finally:
        await store.close()


async def test_a_call_that_hangs_is_seen_from_outside(tmp_path: Path) -> None:
    go = threading.Event()

    async with threaded(tmp_path / "state.db") as store:
        assert store.busy_seconds == 0.0
        calling = asyncio.create_task(store.run(lambda _: go.wait(20)))
        while store.busy_seconds < 0.05:
            await asyncio.sleep(0.005)
        go.set()
        await calling
        assert store.busy_seconds == 0.0


async def test_a_file_that_can_not_be_written_is_told_of_until_it_was_written(
    tmp_path: Path,
) -> None:
    full = [True]

    def disk(point: str) -> None:
        if full[0]:
            raise StateUnwritable("the disk is full")

    async with threaded(tmp_path / "state.db", disk) as store:
        with pytest.raises(StateUnwritable):
            await store.run(lambda s: s.record_poll(baseline("1.0")))
        await store.run(lambda s: s.repository_statuses())  # reading says nothing of writing
        assert str(store.failure) == "the disk is full"
        full[0] = False
        await store.run(lambda s: s.record_poll(baseline("1.0")))
        assert store.failure is None


async def test_a_poll_that_came_too_late_is_no_fault_of_the_file(tmp_path: Path) -> None:
    async with threaded(tmp_path / "state.db") as store:
        await store.run(lambda s: s.record_poll(baseline("1.0")))
        with pytest.raises(StateChanged):
            await store.run(lambda s: s.record_poll(replace(baseline("1.0"), generation=7)))
        assert store.failure is None

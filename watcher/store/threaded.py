"""The store on one thread of its own, for async code: SQLite waits for the disk, the loop does not.

Used by the engine and the daemon. Calls run in the order in which they were made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from watcher.store.sqlite import Store

Result = TypeVar("Result")


class ThreadedStore:
    """Opens the store with `opener` on its thread, at the first call."""

    def __init__(self, opener: Callable[[], Store]) -> None:
        self._opener = opener
        self._store: Store | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def run(self, function: Callable[[Store], Result]) -> Result:
        """The function's result; raises what it raises, and StateError. A caller that is cancelled
        leaves the transaction to end as it will."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._call, function)

    async def close(self) -> None:
        """Wait for what was asked, then close the file. May be called twice."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._close)
        except RuntimeError:
            return  # the thread was stopped before
        self._executor.shutdown(wait=True)

    def _call(self, function: Callable[[Store], Result]) -> Result:
        if self._store is None:
            self._store = self._opener()
        return function(self._store)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

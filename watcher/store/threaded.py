"""The store on one thread of its own, for async code: SQLite waits for the disk, the loop does not.

Used by the engine and the daemon. Calls run in the order in which they were made. How the thread
fares can be asked at any time, for the daemon's vitals.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from watcher.errors import StateChanged, StateError
from watcher.store.sqlite import Store

Result = TypeVar("Result")


class ThreadedStore:
    """Opens the store with `opener` on its thread, at the first call."""

    def __init__(
        self, opener: Callable[[], Store], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._opener = opener
        self._monotonic = monotonic
        self._began: float | None = None
        self._failure: StateError | None = None
        self._store: Store | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def run(self, function: Callable[[Store], Result]) -> Result:
        """The function's result; raises what it raises, and StateError. A caller that is cancelled
        leaves the transaction to end as it will."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._call, function)

    @property
    def busy_seconds(self) -> float:
        """How long the call takes that is under way; 0 when none is."""
        began = self._began
        return 0.0 if began is None else self._monotonic() - began

    @property
    def failure(self) -> StateError | None:
        """Why the file could not be used the last time; None once it was written again."""
        return self._failure

    async def close(self) -> None:
        """Wait for what was asked, then close the file. May be called twice."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._close)
        except RuntimeError:
            return  # the thread was stopped before
        self._executor.shutdown(wait=True)

    def _call(self, function: Callable[[Store], Result]) -> Result:
        self._began = self._monotonic()
        try:
            if self._store is None:
                self._store = self._opener()
            return self._noting(self._store, function)
        finally:
            self._began = None

    def _noting(self, store: Store, function: Callable[[Store], Result]) -> Result:
        commits = store.commits
        try:
            result = function(store)
        except StateChanged:
            raise  # the file is well, the caller was too late
        except StateError as error:
            self._failure = error
            raise
        if store.commits != commits:
            self._failure = None
        return result

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

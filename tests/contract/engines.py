"""The engines under contract. A new one is one more line in ENGINES."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from tests.contract.stages import context_of, stages_in
from watcher.engine.port import Runner
from watcher.engine.runner import EmbeddedRunner
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log

GRACE = timedelta(seconds=1)


@asynccontextmanager
async def embedded(directory: Path) -> AsyncIterator[Runner]:
    store = ThreadedStore(lambda: Store.open(directory / "watcher.db"))
    try:
        yield EmbeddedRunner(store, stages_in(directory), context_of, log=Log("error"), grace=GRACE)
    finally:
        await store.close()


Engine = Callable[[Path], AbstractAsyncContextManager[Runner]]
ENGINES: dict[str, Engine] = {"embedded": embedded}

"""The engines under contract. A new one is one more line in ENGINES."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.contract.stages import context_of, stages_in
from watcher.core.pipeline import Execution
from watcher.engine.invocation import ContextFactory
from watcher.engine.port import Runner
from watcher.engine.runner import EmbeddedRunner
from watcher.stages.base import StageContext, StageLog, StageMemory
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log

GRACE = timedelta(seconds=1)


@asynccontextmanager
async def embedded(directory: Path) -> AsyncIterator[Runner]:
    store = ThreadedStore(lambda: Store.open(directory / "watcher.db"))
    try:
        context = remembering(store)
        yield EmbeddedRunner(store, stages_in(directory), context, log=Log("error"), grace=GRACE)
    finally:
        await store.close()


def remembering(store: ThreadedStore) -> ContextFactory:
    """Contexts whose memory is kept in the state file, as it is outside of tests."""

    def context(execution: Execution, index: int, log: StageLog) -> StageContext:
        async def save(memory: StageMemory) -> None:
            resumed, undo = memory.resumed, memory.undo
            await store.run(lambda s: s.remember(execution.id, index, resumed, undo))

        made = context_of(execution, index, log)
        return replace(made, memory=replace(made.memory, save=save))

    return context


Engine = Callable[[Path], AbstractAsyncContextManager[Runner]]
ENGINES: dict[str, Engine] = {"embedded": embedded}

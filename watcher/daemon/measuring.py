"""The Meter of a daemon, made where the config has `http`, and the punctuality of its event loop.

prometheus_client is imported here, and nowhere before. Used by the composition root.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from watcher.config.load import Config
from watcher.telemetry.families import Timing
from watcher.telemetry.meter import UNMEASURED, Meter

LOOK_SECONDS = 1.0


@contextmanager
def measured(config: Config) -> Iterator[Meter]:
    """What counts for `/metrics`, as long as the daemon runs; nothing where nobody can ask."""
    if config.http is None:
        yield UNMEASURED
        return
    from watcher.telemetry.metrics import PrometheusMeter

    meter = PrometheusMeter()
    punctuality = LoopLag(meter)
    punctuality.start()
    try:
        yield meter
    finally:
        punctuality.stop()


class LoopLag:
    """Asks the running event loop to come back in a second, and notes by how much it is late."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._due = self._loop.time() + LOOK_SECONDS
        self._next = self._loop.call_at(self._due, self._look)

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _look(self) -> None:
        self._meter.time(Timing.LOOP_LAG, max(self._loop.time() - self._due, 0.0))
        self.start()

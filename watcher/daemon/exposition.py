"""What `/metrics` answers: what was counted so far, and what is read of the daemon and its state.

Neither a state file that is locked nor ten thousand repositories keep the answer, or the polls,
waiting: the state is given up after a while, the event loop is let go in between. Made by the
composition root where the config has `http`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from watcher.core.health import HealthReport
from watcher.core.message import MessageStatus
from watcher.core.pipeline import FINAL_STATUSES, ExecutionStatus
from watcher.core.verdict import Verdict
from watcher.daemon import readings
from watcher.daemon.app import App
from watcher.engine.poll_outcome import PollResult
from watcher.errors import StateError
from watcher.store.sqlite import Backlog, Store
from watcher.telemetry.families import Count, Reading, ReloadResult, RollbackResult, StateUse
from watcher.telemetry.metrics import PrometheusMeter, Sample

STATE_SECONDS = 2.0
"""How long the state file may keep an answer waiting; Prometheus gives up after ten."""

_UNFINISHED = [status for status in ExecutionStatus if not status.is_final]
_UNSENT = [status.value for status in MessageStatus if status is not MessageStatus.SENT]


class Exposition:
    """Answers with all metrics; for any number of requests at once."""

    def __init__(
        self, app: App, meter: PrometheusMeter, health: Callable[[], HealthReport]
    ) -> None:
        self._app = app
        self._meter = meter
        self._health = health

    async def __call__(self, *, openmetrics: bool = False) -> tuple[bytes, str]:
        """The body and its content type, in Prometheus' text format or in OpenMetrics."""
        app = self._app
        samples = await readings.of_repositories(app)
        samples += await self._of_state()
        samples += readings.of_hosts(app)
        samples += readings.of_credentials(app)
        samples += readings.of_health(app, self._health())
        samples += readings.of_config(app)
        samples += readings.of_log(app)
        self._expect()
        return await asyncio.to_thread(self._meter.exposition, samples, openmetrics=openmetrics)

    def _expect(self) -> None:
        """Let what may happen begin at 0: of a series that begins at 1, Prometheus sees no rise."""
        config, expect = self._app.config, self._meter.count
        for account in config.accounts:
            for result in PollResult:
                expect(Count.POLLS, account.name, result, by=0)
            for verdict in Verdict:
                expect(Count.EVENTS, account.name, verdict, by=0)
        for pipeline in config.pipelines:
            for status in FINAL_STATUSES:
                expect(Count.EXECUTIONS, pipeline.name, status, by=0)
            for ended in RollbackResult:
                expect(Count.ROLLBACKS, pipeline.name, ended, by=0)
        for reload in ReloadResult:
            expect(Count.CONFIG_RELOADS, reload, by=0)
        for use in StateUse:
            expect(Count.STATE_FAILURES, use, by=0)

    async def _of_state(self) -> list[Sample]:
        """What stands in the state file; nothing of it when that can't be read in time."""
        try:
            async with asyncio.timeout(STATE_SECONDS):
                samples, backlog = await self._app.store.run(_read)
        except (StateError, TimeoutError):
            self._meter.count(Count.STATE_FAILURES, StateUse.METRICS)
            return []
        return [*samples, *self._of_backlog(backlog)]

    def _of_backlog(self, backlog: Backlog) -> Iterator[Sample]:
        """What waits, of triggers and pipelines of the config and of others that still have it."""
        config = self._app.config
        held = {**{trigger.name: 0 for trigger in config.triggers}, **backlog.held}
        for trigger, number in held.items():
            yield Sample(Reading.EVENTS_HELD, number, (trigger,))
        names = [pipeline.name for pipeline in config.pipelines]
        none = {(name, status): 0 for name in names for status in _UNFINISHED}
        for (name, status), number in {**none, **backlog.unfinished}.items():
            yield Sample(Reading.UNFINISHED, number, (name, status))
        notifiers = [notifier.name for notifier in config.notifiers]
        sent = {(name, status): 0 for name in notifiers for status in _UNSENT}
        for (name, word), number in {**sent, **backlog.messages}.items():
            yield Sample(Reading.MESSAGES, number, (name, word))


def _read(store: Store) -> tuple[list[Sample], Backlog]:
    samples = [
        Sample(Reading.TRANSACTIONS, store.commits),
        Sample(Reading.STATE_BYTES, _bytes(store.path)),
    ]
    return samples, store.backlog()


def _bytes(state: Path) -> int:
    """How large the state file is, with what is not folded into it yet."""
    files = (state, state.with_name(f"{state.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())

"""One round of retention: some rows at a time, so that polls and stages never wait long.

Used by `service` once an hour and by `once` once a day.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from watcher.errors import StateError
from watcher.telemetry.events import Event
from watcher.telemetry.families import Count, StateUse

if TYPE_CHECKING:
    from watcher.daemon.app import App

HOURLY = timedelta(hours=1)
DAILY = timedelta(days=1)
_BREATH = 0.01
"""Seconds between two transactions: whoever waits for the state file goes first."""


async def let_go_if_due(app: App, pause: timedelta) -> None:
    """Let go of what is over, if the last round was so long ago. What fails is said, and the next
    round goes on."""
    now = app.clock()
    try:
        if await app.store.run(lambda store: store.is_retention_due(now, pause)):
            await _round(app, now)
    except StateError as error:
        app.log.error(Event.STATE_FAILED, error=str(error), hint=error.hint)
        app.meter.count(Count.STATE_FAILURES, StateUse.RETENTION)


async def _round(app: App, now: float) -> None:
    moment = await app.store.run(lambda store: store.begin_retention(now))
    retention = app.config.retention
    gone: Counter[str] = Counter()
    while batch := await app.store.run(lambda store: store.prune(retention, moment)):
        gone.update(batch)
        await asyncio.sleep(_BREATH)
    freed = 0
    while given := await app.store.run(lambda store: store.give_back()):
        freed += given
        await asyncio.sleep(_BREATH)
    if gone or freed:
        app.log.info(Event.STATE_PRUNED, **gone, freed_bytes=freed)

"""Deliveries on their way to the state file: in batches, at most once a second.

A state file that can't be written keeps them waiting, so many at most; what is lost is counted and
said, never silently dropped.
"""

from __future__ import annotations

from watcher.core.delivery import Delivery
from watcher.errors import StateError
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.events import Event
from watcher.telemetry.families import Count, StateUse
from watcher.telemetry.log import Log
from watcher.telemetry.meter import UNMEASURED, Meter

MOST_WAITING = 5000


class DeliveryLog:
    """What activity will show."""

    def __init__(self, store: ThreadedStore, *, log: Log, meter: Meter = UNMEASURED) -> None:
        self._store = store
        self._log = log
        self._meter = meter
        self._waiting: list[Delivery] = []
        self._lost = 0
        meter.count(Count.DELIVERIES_LOST, by=0)

    def add(self, delivery: Delivery) -> None:
        """Keep it; `write` takes it to the state file."""
        self._log.info(
            Event.WEBHOOK_RECEIVED,
            sender=delivery.sender,
            outcome=delivery.outcome.value,
            account=delivery.account,
            repository=delivery.repository,
            tag=delivery.tag,
            reason=delivery.reason,
        )
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(delivery)
        else:
            self._lose(1)

    async def write(self) -> None:
        """One transaction with all that wait. What can't be written waits on."""
        self._say_lost()
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        try:
            await self._store.run(lambda store: store.deliveries.record(batch))
        except StateError as error:
            room = MOST_WAITING - len(self._waiting)
            self._lose(max(0, len(batch) - room))
            self._waiting = [*batch[:room], *self._waiting]
            self._meter.count(Count.STATE_FAILURES, StateUse.BOOKKEEPING)
            self._log.error(Event.STATE_FAILED, error=str(error), hint=error.hint)

    def _lose(self, number: int) -> None:
        self._lost += number
        self._meter.count(Count.DELIVERIES_LOST, by=number)

    def _say_lost(self) -> None:
        """At most once a second, as often as batches are written."""
        if self._lost:
            self._log.error(Event.DELIVERIES_LOST, count=self._lost)
            self._lost = 0

"""Deliveries on their way to the state file: in batches, at most once a second.

A state file that can't be written keeps them waiting, so many at most; what is lost is counted and
said, never silently dropped.
"""

from __future__ import annotations

from watcher.core.delivery import Delivery
from watcher.errors import StateError
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log

MOST_WAITING = 5000


class DeliveryLog:
    """What activity will show. `lost` counts deliveries that it never will."""

    def __init__(self, store: ThreadedStore, *, log: Log) -> None:
        self.lost = 0
        self._store = store
        self._log = log
        self._waiting: list[Delivery] = []
        self._said = 0

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
            self.lost += 1

    async def write(self) -> None:
        """One transaction with all that wait. What can't be written waits on."""
        self._say_lost()
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        try:
            await self._store.run(lambda store: store.record_deliveries(batch))
        except StateError as error:
            room = MOST_WAITING - len(self._waiting)
            self.lost += max(0, len(batch) - room)
            self._waiting = [*batch[:room], *self._waiting]
            self._log.error(Event.STATE_FAILED, error=str(error), hint=error.hint)

    def _say_lost(self) -> None:
        if self.lost > self._said:
            self._log.error(Event.DELIVERIES_LOST, count=self.lost - self._said)
            self._said = self.lost

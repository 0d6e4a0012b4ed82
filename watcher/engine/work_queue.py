"""A queue of repositories to poll that never holds one twice and never polls one twice at once.

A key that is put while it is being polled is polled once more afterwards, so that a nudge is
never lost (ARCHITECTURE section 4: what APScheduler loses, this keeps). Urgent keys, from an
operator or a webhook, overtake scheduled ones, but not for ever: who is told of pushes all the
time must still look at the rest. One event loop uses it; nothing here is thread-safe.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)

MOST_OVERTAKING = 3
"""Urgent keys in a row while scheduled ones wait; then it is the turn of one of these."""


class Next(NamedTuple, Generic[Key]):
    """What is to be looked at now, and whether an operator waits for it."""

    key: Key
    is_urgent: bool


class WorkQueue(Generic[Key]):
    """Keys wait, are in progress, or are in progress and dirty; each in at most one place."""

    def __init__(self) -> None:
        self._urgent: deque[Key] = deque()
        self._scheduled: deque[Key] = deque()
        self._overtaking = 0
        self._waiting: dict[Key, bool] = {}  # whether it is urgent, as is what comes after a look
        self._in_progress: set[Key] = set()
        self._dirty: dict[Key, bool] = {}
        self._getters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing is in progress."""
        return not self._waiting and not self._in_progress

    def put(self, key: Key, *, urgent: bool = False) -> None:
        """Ask for one more look at the key; a second ask before the look changes nothing."""
        if key in self._in_progress:
            self._dirty[key] = urgent or self._dirty.get(key, False)
            return
        if key in self._waiting:
            if urgent and not self._waiting[key]:
                self._waiting[key] = True
                self._urgent.append(key)  # its scheduled place becomes stale, `get` passes over it
            return
        self._waiting[key] = urgent
        (self._urgent if urgent else self._scheduled).append(key)
        self._wake_one()

    async def get(self) -> Next[Key]:
        """The next key; it counts as in progress until `done` is called with it."""
        while not self._waiting:
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                self._pass_on(getter)
                raise
        key = self._line().popleft()
        while key not in self._waiting:
            key = self._line().popleft()
        is_urgent = self._waiting.pop(key)
        self._overtaking = self._overtaking + 1 if is_urgent and self._scheduled else 0
        self._in_progress.add(key)
        return Next(key, is_urgent)

    def done(self, key: Key) -> None:
        """The look is over; if somebody asked meanwhile, the key waits again."""
        self._in_progress.discard(key)
        urgent = self._dirty.pop(key, None)
        if urgent is not None:
            self.put(key, urgent=urgent)

    def _line(self) -> deque[Key]:
        """Whose turn it is; of the two not both are empty."""
        is_owed = self._overtaking >= MOST_OVERTAKING and self._scheduled
        return self._scheduled if is_owed else self._urgent or self._scheduled

    def _pass_on(self, getter: asyncio.Future[None]) -> None:
        """A getter that was cancelled after it was woken leaves its turn to the next."""
        if getter.done() and not getter.cancelled():
            self._wake_one()
        elif getter in self._getters:
            self._getters.remove(getter)

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

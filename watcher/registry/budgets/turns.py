"""The places of one host, and who gets the next one: by priority, then fairly among accounts.

At most so many requests are under way at a host at once, and so many of each account. Where
several accounts share a host, none may take the last place: one whose requests hang keeps no other
from going on. Imported by limits.py, which knows pace and patience; here is only the order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from enum import IntEnum
from math import inf
from typing import Protocol
from weakref import WeakValueDictionary

from watcher.core.host import Counts

_Waiting = deque[tuple[int, "asyncio.Future[None]"]]


class Priority(IntEnum):
    """Who goes first when turns are few: an operator or a webhook, the schedule, a copy."""

    URGENT = 0
    SCHEDULED = 1
    COPY = 2


class Share:
    """One account's part in a host. `is_probing`: the host had asked for patience; until an
    answer shows that it is over, the account sends one request at a time."""

    __slots__ = ("__weakref__", "busy", "is_probing", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.busy = 0
        self.is_probing = False


class Applicant(Protocol):
    """Who asks for turns: an account's lane."""

    share: Share

    def refusal(self, counts: Counts) -> Exception | None:
        """Why it may not wait at all."""
        ...

    def pause(self, counts: Counts) -> float:
        """Seconds until its pace and its quotas let it send; 0 when now."""
        ...

    def begin(self, counts: Counts) -> None:
        """It sends a request now."""
        ...


class Turns:
    """Gives out a host's places. For one event loop; nothing here is thread-safe.

    `capacity` is the largest bound of the accounts that were added last.
    """

    def __init__(
        self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.capacity = 0
        self.busy = 0
        self.shares: WeakValueDictionary[str, Share] = WeakValueDictionary()
        self._lines: dict[tuple[Priority, Counts, Applicant], _Waiting] = {}
        self._sequence = 0
        self._clock = clock
        self._sleep = sleep
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = inf
        self._is_serving = self._serve_again = False

    def share(self, name: str, most: int) -> Share:
        """The share of an account by its name, with room for `most` requests at once."""
        share = self.shares.get(name)
        if share is None:
            share = self.shares[name] = Share(most)
        share.most = most
        self.capacity = max(each.most for each in self.shares.values())
        return share

    def enter_at_once(self, lane: Applicant, counts: Counts) -> bool:
        """Take a place if one is there and nobody waits: what nearly every request does. Raises
        what the lane says when it may not."""
        if self._lines or not self._has_place(lane.share):
            return False
        refusal = lane.refusal(counts)
        if refusal is not None:
            raise refusal
        if lane.pause(counts):
            return False
        self._begin(lane, counts)
        return True

    async def enter(self, lane: Applicant, priority: Priority, counts: Counts) -> None:
        """Wait for a place. Raises what the lane says as soon as it may not wait any more."""
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sequence += 1
        line = self._lines.setdefault((priority, counts, lane), deque())
        line.append((self._sequence, ticket))
        self.serve()
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled() and ticket.exception() is None:
                self.leave(lane.share)
            raise
        refusal = lane.refusal(counts)
        if refusal is not None:  # the answer that had just freed this place
            self.leave(lane.share)
            raise refusal

    def leave(self, share: Share) -> None:
        """A request is over; its place goes to the next."""
        share.busy -= 1
        self.busy -= 1
        if self._lines:
            self.serve()

    def serve(self) -> None:
        """Give out what there is; to be called when anything changed for those who wait."""
        if self._is_serving:
            self._serve_again = True
            return
        self._is_serving = True
        try:
            while self._serve_one() or self._serve_again:
                self._serve_again = False
        finally:
            self._is_serving = False

    def _serve_one(self) -> bool:
        """Give the next place away; where only time is wanting, see that it is told."""
        best: tuple[tuple[int, int, int], Applicant, Counts, _Waiting] | None = None
        shortest = inf
        for (priority, counts, lane), line in list(self._lines.items()):
            if not self._is_standing(priority, counts, lane, line):
                continue
            if not self._has_place(lane.share):
                continue
            pause = lane.pause(counts)
            shortest = min(shortest, pause or inf)
            rank = (priority, lane.share.busy, line[0][0])
            if not pause and (best is None or rank < best[0]):
                best = rank, lane, counts, line
        if best is None:
            self._wake_in(shortest)
            return False
        _, lane, counts, line = best
        self._begin(lane, counts)
        line.popleft()[1].set_result(None)
        return True

    def _is_standing(
        self, priority: Priority, counts: Counts, lane: Applicant, line: _Waiting
    ) -> bool:
        """Whether anybody still waits in a line: some gave up, or may not wait any more."""
        while line and line[0][1].done():
            line.popleft()
        while line and (refusal := lane.refusal(counts)) is not None:
            ticket = line.popleft()[1]
            if not ticket.done():
                ticket.set_exception(refusal)
        if not line:
            del self._lines[priority, counts, lane]
        return bool(line)

    def _has_place(self, share: Share) -> bool:
        most = 1 if share.is_probing else share.most
        if most >= self.capacity > 1 and len(self.shares) > 1:
            most = self.capacity - 1
        return share.busy < most and self.busy < self.capacity

    def _begin(self, lane: Applicant, counts: Counts) -> None:
        lane.share.busy += 1
        self.busy += 1
        lane.begin(counts)

    def _wake_in(self, seconds: float) -> None:
        """Serve again when the first of those who wait for their pace may go."""
        if seconds == inf:
            return
        due = self._clock() + seconds
        if self._alarm is not None:
            if self._alarm_at <= due:
                return
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = asyncio.get_running_loop().create_task(self._ring_in(seconds))

    async def _ring_in(self, seconds: float) -> None:
        await self._sleep(seconds)
        self._alarm = None
        self.serve()

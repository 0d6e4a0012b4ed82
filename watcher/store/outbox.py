"""The outbox as an object: what is to be told, what lasts, and the messages of each notifier.

A part of the Store: one method, one transaction, StateError when nothing was written. The SQL is in
`notices` and `messages`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from watcher.core.message import Message, MessageStatus
from watcher.core.notice import Notice, NoticeEvent, Trouble
from watcher.core.notifier import Audience
from watcher.store import messages, notices

Reading = Callable[[], AbstractContextManager[sqlite3.Connection]]
Writing = Callable[[str], AbstractContextManager[sqlite3.Connection]]


class Outbox:
    """Made by the Store, with its transactions and its clock."""

    def __init__(self, reading: Reading, writing: Writing, clock: Callable[[], datetime]) -> None:
        self._reading = reading
        self._writing = writing
        self._clock = clock

    def tell(self, notice: Notice) -> None:
        """Write what stands in no other transaction."""
        with self._writing("notice") as db:
            notices.tell(db, notice)

    def settle(self, begun: Iterable[Trouble], over: Iterable[tuple[Trouble, str]]) -> int:
        """Tell of troubles that last from now on, and of those that are over, with a line for
        each; how many of these were news."""
        with self._writing("trouble") as db:
            ended = [notices.end(db, t.event, t.subject, line, self._now()) for t, line in over]
            return sum([notices.begin(db, trouble) for trouble in begun]) + sum(map(bool, ended))

    def troubles(self, event: NoticeEvent | None = None) -> list[Trouble]:
        """What lasts, the oldest first."""
        with self._reading() as db:
            return notices.troubles(db, event)

    def fill(self, audience: Audience, *, gather: bool = True) -> None:
        """Make messages of what is to be told; writes nothing where there is nothing. Without
        `gather` they are due at once."""
        now = self._now()
        with self._reading() as db:
            if not messages.is_to_fill(db, audience, now):
                return
        with self._writing("fill") as db:
            messages.fill(db, audience, now)
            if not gather:
                messages.hasten(db, now)

    def due(self) -> dict[str, bool]:
        """The notifiers that have a message to send, and whether a person asked to send one now."""
        with self._reading() as db:
            return messages.due(db, self._now())

    def take(self, notifier: str) -> Message | None:
        """The next message of a notifier, with one attempt more."""
        with self._writing("take") as db:
            return messages.take(db, notifier, self._now())

    def sent(self, number: int) -> None:
        """The notifier has the message."""
        with self._writing("sent") as db:
            messages.sent(db, number, self._now())

    def failed(self, number: int, error: str, wait: timedelta | None) -> None:
        """An attempt was in vain; without a `wait` it was the last one."""
        with self._writing("failed") as db:
            if wait is None:
                messages.bury(db, number, error, self._now())
            else:
                messages.failed(db, number, error, self._now() + wait.total_seconds())

    def bury_older(self, notifier: str, age: timedelta, error: str) -> int:
        """Give up what waits for a notifier for so long, but what a person asked to send; how many
        there were."""
        with self._writing("older") as db:
            now = self._now()
            return messages.bury_older(db, notifier, now - age.total_seconds(), error, now)

    def bury_orphans(self, notifiers: Sequence[str]) -> None:
        """Give up what waits for a notifier that is none of these."""
        with self._writing("orphans") as db:
            messages.bury_orphans(db, notifiers, self._now())

    def messages(
        self, status: MessageStatus | None = None, limit: int | None = None
    ) -> list[Message]:
        """Newest first."""
        with self._reading() as db:
            return messages.listed(db, status, limit)

    def retry(self, numbers: Sequence[int]) -> int:
        """Send messages again that were given up, or that wait; how many there were."""
        with self._writing("retry") as db:
            return messages.retry(db, numbers, self._now())

    def drop(self, numbers: Sequence[int]) -> int:
        """Forget messages that were not sent; how many there were."""
        with self._writing("drop") as db:
            return messages.drop(db, numbers)

    def forget_sent(self, before: datetime) -> int:
        """Delete messages that were sent before that time; how many there were."""
        with self._writing("forget") as db:
            return messages.forget_sent(db, before.timestamp())

    def _now(self) -> float:
        return self._clock().timestamp()

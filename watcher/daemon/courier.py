"""Takes the messages of one notifier from the outbox to it; each notifier has its own.

Sent is at least once: the attempt is written before, the success after. What the notifier can't
take now holds up its other messages, in their order; what it refuses waits alone. After three days
a message is given up, and that is said loudly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from watcher.core.message import Message
from watcher.core.notifier import Notifier
from watcher.errors import StateError, WatcherError
from watcher.notifiers import Sender
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log

FIRST_REST = timedelta(seconds=5)
LONGEST_REST = timedelta(hours=1)
LONGEST_LIFE = timedelta(days=3)
FEWEST_ATTEMPTS = 5
"""A machine that slept for days still tries a few times."""


def backoff(attempts: int) -> timedelta:
    """The wait after so many attempts in vain: from seconds to an hour."""
    doublings = min(attempts - 1, 20)
    return min(FIRST_REST * (1 << doublings), LONGEST_REST)


class Courier:
    """Sends to one notifier, one message at a time."""

    def __init__(
        self,
        notifier: Notifier,
        sender: Sender,
        store: ThreadedStore,
        *,
        log: Log,
        clock: Callable[[], float],
    ) -> None:
        self.notifier = notifier
        self._sender = sender
        self._store = store
        self._log = log
        self._clock = clock
        self._due = asyncio.Event()
        self._asked = asyncio.Event()
        self._failures = 0
        self._direct: Message | None = None

    def wake(self, *, asked: bool) -> None:
        """There is something to send; `asked`: by a person, so at once."""
        self._due.set()
        if asked:
            self._asked.set()

    def send_directly(self, message: Message) -> None:
        """Send what can't be written down. It is lost with the process."""
        self._direct = message
        self.wake(asked=True)

    async def work(self) -> None:
        """Send whenever there is something, for ever."""
        while True:
            await self._due.wait()
            self._due.clear()
            self._asked.clear()
            try:
                rest = await self.deliver()
            except StateError:
                rest = FIRST_REST  # the state file is said to be in trouble where it is written
            if rest is not None:
                await self._rest(rest)

    async def deliver(self) -> timedelta | None:
        """Send what is due; how long the notifier has to be left alone, if it has to be. Raises
        StateError."""
        if self._direct is not None:
            direct = self._direct
            error = await self._try(direct)
            if error is not None and error.temporary:
                return self._rest_after(error)
            if error is not None:
                self._say_dead(direct, error)
            self._direct = None if self._direct is direct else self._direct
        name = self.notifier.name
        while (message := await self._store.run(lambda s: s.outbox.take(name))) is not None:
            error = await self._try(message)
            if error is None:
                number = message.id
                await self._store.run(lambda s: s.outbox.sent(number))  # noqa: B023
            elif not await self._keep(message, error):
                return self._rest_after(error)
        return None

    async def _try(self, message: Message) -> WatcherError | None:
        keys = {
            "notifier": self.notifier.name,
            "about": message.event,
            "kind": message.kind,
            "items": message.count,
            "key": message.key,
        }
        try:
            await self._sender.send(message)
        except WatcherError as error:
            self._tell_failure(error, keys)
            return error
        except Exception as error:  # its text may hold what is secret
            fault = WatcherError(f"fault in watcher: {type(error).__name__}", temporary=True)
            self._tell_failure(fault, keys)
            return fault
        self._failures = 0
        self._log.info(Event.NOTIFICATION_SENT, **keys)
        return None

    def _tell_failure(self, error: WatcherError, keys: dict[str, object]) -> None:
        """Once for each outage; then for those who look closely."""
        tell = self._log.debug if self._failures else self._log.warning
        tell(Event.NOTIFICATION_FAILED, **keys, error=str(error), hint=error.hint)
        self._failures += 1

    async def _keep(self, message: Message, error: WatcherError) -> bool:
        """Write the attempt down; whether the next message may be sent all the same."""
        age = timedelta(seconds=self._clock() - message.waits_since)
        wait: timedelta | None = timedelta() if error.temporary else backoff(message.attempts)
        if message.attempts >= FEWEST_ATTEMPTS and age > LONGEST_LIFE:
            wait = None
            self._say_dead(message, error, f"`watcher notify retry {message.id}` sends it again")
        await self._store.run(lambda s: s.outbox.failed(message.id, str(error), wait))
        if wait is None and error.temporary:
            await self._give_up_older(error)
        return not error.temporary

    async def _give_up_older(self, error: WatcherError) -> None:
        """Who could not be told of one for so long could not be told of any. One by one, an hour
        apart, they would never end."""
        name, reason = self.notifier.name, str(error)
        others = await self._store.run(lambda s: s.outbox.bury_older(name, LONGEST_LIFE, reason))
        if others:
            self._log.error(
                Event.NOTIFICATION_DEAD,
                notifier=name,
                messages=others,
                error=reason,
                hint="`watcher notify retry --dead` sends them again",
            )

    def _say_dead(self, message: Message, error: WatcherError, hint: str | None = None) -> None:
        self._log.error(
            Event.NOTIFICATION_DEAD,
            notifier=self.notifier.name,
            message=message.title,
            error=str(error),
            hint=hint,
        )

    def _rest_after(self, error: WatcherError) -> timedelta:
        return max(error.retry_after or timedelta(), backoff(self._failures))

    async def _rest(self, rest: timedelta) -> None:
        """Leave the notifier alone, unless a person asks; then go on where it stopped."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), rest.total_seconds())
        self._due.set()

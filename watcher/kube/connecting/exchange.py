"""Requests to one cluster: in threads, at most four at once, repeated where that is safe.

The loop is ours because the official client never repeats a PATCH, which every apply is, and
silently multiplies the time-outs of reads. Only `client` and `discovery` import this.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Thread
from typing import Any, TypeVar

from watcher.errors import ClusterError, ClusterFault
from watcher.kube.connecting.answers import Answer
from watcher.kube.connecting.connection import WORKERS, Connection
from watcher.kube.connecting.credentials import Held
from watcher.kube.connecting.refusals import refusal
from watcher.kube.connecting.requests import Request
from watcher.kube.connecting.transport import Timeouts, Unsent

T = TypeVar("T")

RETRY_AFTER_LIMIT = 30.0
"""Seconds of a server's Retry-After that one call waits for."""


class Repeat(StrEnum):
    """When a request may be sent again."""

    NEVER = "never"
    UNSENT = "unsent"
    """What must not happen twice: after a refusal to take it, or where no connection came about."""
    SAFE = "safe"
    """What changes nothing when it happens twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Tries of one call, the seconds before the second, and how long each may take."""

    tries: int = 5
    first_wait: float = 0.25
    read: Timeouts = field(default_factory=lambda: Timeouts(read=10.0))
    write: Timeouts = field(default_factory=Timeouts)


class Exchange:
    """Sends requests and sorts the answers. `sent` counts what went out."""

    def __init__(
        self,
        connection: Connection,
        *,
        sleep: Callable[[float], Awaitable[None]],
        patience: Patience,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.sent = 0
        self._connection = connection
        self._sleep = sleep
        self._patience = patience
        self._chance = chance
        self._slots = asyncio.Semaphore(WORKERS)

    async def send(self, request: Request, repeat: Repeat = Repeat.SAFE) -> Answer:
        """The good answer. Raises ClusterError for every other, after the tries that `repeat`
        allows."""
        tries = 1
        while True:
            try:
                return await self._try(request)
            except ClusterError as error:
                if tries >= self._patience.tries or not _may_repeat(error, request, repeat):
                    raise
                wait = self._wait(tries, error)
            tries += 1
            await self._sleep(wait)

    async def _try(self, request: Request) -> Answer:
        """One try; a second one with another credential where the first was refused."""
        timeouts = self._patience.read if request.method == "GET" else self._patience.write
        answer, held = await self._call(request, timeouts)
        if answer.status == 401 and await in_thread(lambda: self._connection.renew(held)):
            answer, _ = await self._call(request, timeouts)
        if answer.refused:
            raise refusal(answer, method=request.method, about=request.about)
        return answer

    async def _call(self, request: Request, timeouts: Timeouts) -> tuple[Answer, Held]:
        """Send it, and wait no longer than that may take: a server can also say its headers, a
        name server its answer, too slowly for any time-out of the socket."""
        seconds = timeouts.connect + timeouts.whole + self._connection.credential_seconds
        async with self._slots:
            self.sent += 1
            try:
                async with asyncio.timeout(seconds):
                    return await in_thread(lambda: self._connection.send(request, timeouts))
            except TimeoutError as error:
                raise ClusterError(
                    "the server did not answer in time",
                    fault=ClusterFault.UNAVAILABLE,
                    about=request.about,
                    temporary=True,
                ) from error

    def _wait(self, tries: int, error: ClusterError) -> float:
        backoff = self._patience.first_wait * 2.0 ** (tries - 1) * (0.5 + self._chance())
        asked = error.retry_after.total_seconds() if error.retry_after else 0.0
        return max(backoff, min(asked, RETRY_AFTER_LIMIT))


def _may_repeat(error: ClusterError, request: Request, repeat: Repeat) -> bool:
    if repeat is Repeat.NEVER:
        return False
    if error.fault is ClusterFault.THROTTLED or isinstance(error, Unsent):
        return True
    if repeat is Repeat.UNSENT:
        return False
    raced = error.fault is ClusterFault.EXISTS and request.method == "PATCH"
    return raced or error.fault is ClusterFault.UNAVAILABLE


async def in_thread(call: Callable[[], T]) -> T:
    """What `call` gives, from a thread that never keeps the process from ending: a server that
    hangs must not block an exit, as a thread of an executor would."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            setter(value)

    def work() -> None:
        setter: Callable[[Any], None]
        try:
            value: Any = call()
            setter = future.set_result
        except BaseException as error:
            value, setter = error, future.set_exception
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(settle, setter, value)

    Thread(target=work, name="cluster request", daemon=True).start()
    return await future

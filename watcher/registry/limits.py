"""How hard registries may be pressed: concurrency, pace, and who asked to be left alone.

One HostLimits serves all accounts, so that accounts of one host share its bounds. A host (429, or
503 with Retry-After) or an account (its token server) is parked until a moment that `blocked()`
gives for keeping across restarts. SPEC sections 3.1 `limits` and 5.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import IntEnum

from watcher.core.account import Account
from watcher.core.host import Counted, Quota, Recognition
from watcher.errors import RateLimited, TransportError
from watcher.http_client import is_broken_connection
from watcher.registry.answer import Answer
from watcher.registry.quirks import Dialect, dialect_of

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

FIRST_PARK = 30.0
LONGEST_UNTOLD_PARK = 3600.0
TRIES = 2
TRANSIENT = frozenset({502, 503, 504})


class Priority(IntEnum):
    """Who goes first when turns are few."""

    URGENT = 0
    SCHEDULED = 1
    COPY = 2


class HostFacts:
    """What was learned about a host, for all accounts: kept as long as the process lives, and
    what was recognised longer. `page_size` 0 means that it takes no `n` at all."""

    def __init__(self, recognition: Recognition | None = None) -> None:
        self.page_size: int | None = None
        self.refuses_head = False
        self.recognition = recognition


class _Host:
    """The shared side of one host: how many requests at once, and its facts."""

    def __init__(self, recognition: Recognition | None) -> None:
        self.capacity = 0
        self.free = asyncio.Semaphore(0)
        self.facts = HostFacts(recognition)

    def grow(self, capacity: int) -> None:
        for _ in range(capacity - self.capacity):
            self.free.release()
        self.capacity = max(self.capacity, capacity)


class HostLimits:
    """The bounds of all hosts. `blocked` is what an earlier process had parked (epoch seconds),
    `recognised` what it had found the hosts to be, `quotas` what these had said."""

    def __init__(
        self,
        *,
        clock: Clock = time.time,
        sleep: Sleep = asyncio.sleep,
        blocked: Mapping[str, float] | None = None,
        recognised: Mapping[str, Recognition] | None = None,
        quotas: Mapping[Counted, Quota] | None = None,
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self._parked: dict[str, float] = dict(blocked or {})
        self._untold: dict[str, int] = {}
        self._recognised = dict(recognised or {})
        self._quotas = dict(quotas or {})
        self._hosts: dict[str, _Host] = {}

    def lane(self, account: Account) -> Lane:
        """The account's way to its host, which from now on bears this account's concurrency."""
        name = account.registry.name
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(self._recognised.get(name))
        host.grow(account.limits.concurrency)
        return Lane(self, host, account)

    def blocked(self) -> dict[str, float]:
        """What is parked now: host (`quay.io`) or account (`quay.io/NAME`) -> epoch seconds."""
        now = self.clock()
        return {key: until for key, until in self._parked.items() if until > now}

    def recognised(self) -> dict[str, Recognition]:
        """What hosts were found to be, in this process or an earlier one."""
        found = {name: host.facts.recognition for name, host in self._hosts.items()}
        return {**self._recognised, **{name: what for name, what in found.items() if what}}

    def quotas(self) -> dict[Counted, Quota]:
        """What the hosts said that they still allow, where that is not over."""
        now = self.clock()
        return {counted: quota for counted, quota in self._quotas.items() if quota.resets > now}

    def blocked_until(self, account: Account) -> float | None:
        """Until when (epoch seconds) this account may send nothing; None when it may."""
        until = max(self._parked.get(key, 0.0) for key in keys_of(account))
        return until if until > self.clock() else None

    def park(self, key: str, seconds: float | None) -> float:
        """Leave a host or account alone; without a wish of its own, ever longer. Gives seconds."""
        if seconds is None:
            count = self._untold[key] = self._untold.get(key, 0) + 1
            seconds = min(FIRST_PARK * 2 ** min(count - 1, 20), LONGEST_UNTOLD_PARK)
        self._parked[key] = max(self._parked.get(key, 0.0), self.clock() + seconds)
        return seconds

    def succeeded(self, key: str) -> None:
        self._untold.pop(key, None)


def keys_of(account: Account) -> tuple[str, str]:
    """The keys under which an account can be parked: its host's and its own."""
    host = account.registry.name
    return host, f"{host}/{account.name}"


class Lane:
    """`async with lane.turn():` around one request: waits for it, refuses while parked."""

    def __init__(self, limits: HostLimits, host: _Host, account: Account) -> None:
        self._limits = limits
        self._host = host
        self._account = account
        self._free = asyncio.Semaphore(account.limits.concurrency)
        rate = account.limits.requests_per_second
        self._gap = 1.0 / rate if rate else 0.0
        self._next = 0.0
        self.host_key, self.account_key = keys_of(account)
        self.facts = host.facts

    @property
    def dialect(self) -> Dialect:
        """What kind of registry it is, as far as is known now."""
        found = self.facts.recognition
        said, registry = self._account.dialect, self._account.registry.name
        return dialect_of(registry, said, found.dialect if found else None)

    @asynccontextmanager
    async def turn(self, priority: Priority = Priority.SCHEDULED) -> AsyncIterator[None]:
        """One request's turn. Raises RateLimited while the host or the account is parked."""
        async with self._free, self._host.free:
            if self._gap:
                await self._pace()
            self._refuse_while_parked()
            yield

    def note(self, answer: Answer, *, is_pull: bool = False) -> None:
        """Learn from an answer how much the host still allows."""

    def park(self, key: str, seconds: float | None) -> float:
        return self._limits.park(key, seconds)

    def succeeded(self, key: str) -> None:
        self._limits.succeeded(key)

    def now(self) -> float:
        return self._limits.clock()

    async def _pace(self) -> None:
        now = self._limits.clock()
        start = max(now, min(self._next, now + 3600.0))
        self._next = start + self._gap
        if start > now:
            await self._limits.sleep(start - now)

    def _refuse_while_parked(self) -> None:
        until = self._limits.blocked_until(self._account)
        if until is None:
            return
        name = self._account.registry.name
        raise RateLimited(
            f"{name} asked for patience; nothing is sent to it before its time",
            host=name,
            retry_after=timedelta(seconds=until - self._limits.clock()),
        )


async def with_one_retry(attempt: Callable[[], Awaitable[Answer]], sleep: Sleep) -> Answer:
    """One try, and after a failure of a moment a second one. For GET and HEAD only."""
    try:
        answer = await attempt()
    except TransportError as error:
        if not passes(error):
            raise
        failed: Answer | TransportError = error
    else:
        if not passes(answer):
            return answer
        failed = answer
    return await _try_again(failed, attempt, sleep)


async def _try_again(
    failed: Answer | TransportError, attempt: Callable[[], Awaitable[Answer]], sleep: Sleep
) -> Answer:
    """tenacity counts the failure that already happened as its first attempt; it is loaded here,
    for most processes never need it."""
    from tenacity import (
        AsyncRetrying,
        retry_if_exception,
        retry_if_result,
        stop_after_attempt,
        wait_random,
    )

    past = [failed]

    async def next_try() -> Answer:
        if not past:
            return await attempt()
        outcome = past.pop()
        if isinstance(outcome, TransportError):
            raise outcome
        return outcome

    policy = AsyncRetrying(
        sleep=sleep,
        stop=stop_after_attempt(TRIES),
        wait=wait_random(0.1, 0.5),
        retry=retry_if_exception(passes) | retry_if_result(passes),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    return await policy(next_try)


def passes(outcome: object) -> bool:
    """Whether a failure looks like one of a moment: 502, 503, 504, or a connection that broke."""
    if isinstance(outcome, Answer):
        return outcome.status in TRANSIENT and "retry-after" not in outcome.headers
    return isinstance(outcome, TransportError) and is_broken_connection(outcome.__cause__)

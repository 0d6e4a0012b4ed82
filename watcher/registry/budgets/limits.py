"""How hard registries may be pressed: places, pace, quotas, and who asked to be left alone.

One HostLimits serves all accounts, so that accounts of one host share its bounds. A host (429, or
503 with Retry-After), its native API, or an account (its token server) is parked until a moment
that `parking` keeps; a quota that is nearly used up slows requests of its kind down before that.
SPEC sections 3.1 `limits` and 5; field facts: registries.md 1.6.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType

from watcher.core.account import Account, CredentialSource
from watcher.core.host import Counted, Counts, Quota, Recognition, parking_key, place_of
from watcher.errors import RateLimited
from watcher.registry.answer import Answer
from watcher.registry.budgets import quota
from watcher.registry.budgets.pace import Allowance, Pace
from watcher.registry.budgets.parking import Parking
from watcher.registry.budgets.retries import Sleep
from watcher.registry.budgets.turns import Priority, Turns
from watcher.registry.quirks import Dialect, dialect_of

__all__ = ["HostLimits", "Lane", "Priority"]

Clock = Callable[[], float]

LONGEST_PAUSE = 30.0
"""Seconds that a request waits for its share of a quota; from there on its place is parked."""


class HostFacts:
    """What was learned about a host, for all accounts: kept as long as the process lives, and
    what was recognised longer. `page_size` 0 means that it takes no `n` at all."""

    def __init__(self, recognition: Recognition | None = None) -> None:
        self.page_size: int | None = None
        self.refuses_head = False
        self.recognition = recognition


class _Host:
    """The shared side of one host: its places, its paces, and its facts."""

    def __init__(self, turns: Turns, recognition: Recognition | None) -> None:
        self.turns = turns
        self.facts = HostFacts(recognition)
        self._paces: dict[tuple[bool, float], Pace] = {}

    def pace(self, per_second: float, *, native: bool) -> Pace:
        """The pace that all accounts with this rate share, of v2 or of the native API."""
        pace = self._paces.get((native, per_second))
        if pace is None:
            pace = self._paces[native, per_second] = Pace(per_second)
        return pace

    def probe(self, name: str, key: str) -> None:
        """What was parked under a key begins again with one request at a time."""
        for account, share in self.turns.shares.items():
            share.is_probing |= key in (name, place_of(name, account))


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
        self.allowances = {key: Allowance(said) for key, said in (quotas or {}).items()}
        self.parking = Parking(clock, blocked or {}, self._probe)
        self._recognised = dict(recognised or {})
        self._hosts: dict[str, _Host] = {}

    def lane(self, account: Account) -> Lane:
        """The account's way to its host, which from now on bears this account's concurrency."""
        name = account.registry.name
        host = self._hosts.get(name)
        if host is None:
            turns = Turns(self.clock, self.sleep)
            host = self._hosts[name] = _Host(turns, self._recognised.get(name))
        return Lane(self, host, account)

    def recognised(self) -> dict[str, Recognition]:
        """What hosts were found to be, in this process or an earlier one."""
        found = {name: host.facts.recognition for name, host in self._hosts.items()}
        return {**self._recognised, **{name: what for name, what in found.items() if what}}

    def quotas(self) -> dict[Counted, Quota]:
        """What the hosts said that they still allow, where that is not over."""
        now = self.clock()
        said = {key: allowance.quota for key, allowance in self.allowances.items()}
        return {key: quota for key, quota in said.items() if quota.resets > now}

    def blocked_until(self, account: Account) -> float | None:
        """Until when (epoch seconds) this account may send nothing; None when it may."""
        return self.parking.until(keys_of(account))

    def take(self, counted: Counted, said: Quota) -> None:
        """A host said what it still allows. Nothing at all for a while: it is parked."""
        key = parking_key(counted.host, Counts(counted.what))
        allowance = self.allowances.setdefault(counted, Allowance(said))
        before, allowance.quota = allowance.quota, said
        if said.allowed is None and before.resets > said.seen:
            most = max(before.allowed or 0.0, before.remaining)
            allowance.quota = said._replace(allowed=most)
        if said.remaining < 1:
            if said.resets - said.seen > LONGEST_PAUSE:
                self.parking.park_until(key, said.resets)
        elif before.remaining < 1:  # it allows more before the time that it had said
            self.parking.release(key, before.resets)

    def _probe(self, key: str) -> None:
        for name, host in self._hosts.items():
            host.probe(name, key)
            host.turns.serve()  # who waits is told at once, not when its turn comes


def keys_of(account: Account) -> tuple[str, str]:
    """The keys under which an account can be parked: its host's and its own."""
    host = account.registry.name
    return place_of(host), place_of(host, account.name)


class Lane:
    """One account's way to its host: `async with lane.turn():` around each request."""

    def __init__(self, limits: HostLimits, host: _Host, account: Account) -> None:
        self.host_key, self.account_key = places = keys_of(account)
        self.native_key = parking_key(self.host_key, Counts.NATIVE)
        self.own_native_key = parking_key(self.account_key, Counts.NATIVE)
        self.facts = host.facts
        self.turns = host.turns
        self.share = host.turns.share(account.name, account.limits.concurrency)
        self._limits = limits
        self._host = host
        self._account = account
        rate = account.limits.requests_per_second
        self._own_pace = Pace(rate) if rate else None
        self._keys = {kind: _parking_keys(places, kind) for kind in Counts}
        self._counted = {kind: _counted(places, kind) for kind in Counts}
        self._is_told_to = places[account.credential != CredentialSource()]
        if limits.parking.knows(places):
            self.share.is_probing = True
        self._learn()

    @property
    def dialect(self) -> Dialect:
        """What kind of registry it is, as far as is known now."""
        if self.facts.recognition is not self._recognition:
            self._learn()
        return self._dialect

    @property
    def parked_until(self) -> float | None:
        """Until when (epoch seconds) the host or the account is left alone; None when it is not."""
        limits = self._limits
        return limits.blocked_until(self._account) if limits.parking else None

    def turn(
        self, priority: Priority = Priority.SCHEDULED, counts: Counts = Counts.REQUESTS
    ) -> Turn:
        """One request's turn: entering it waits. Raises RateLimited while the host, the account
        or this kind of requests is parked, also when that happens to who waits already."""
        return Turn(self, priority, counts)

    def note(self, answer: Answer, counts: Counts = Counts.REQUESTS) -> None:
        """Learn from an answer of the host, or of its native API, how much it still allows."""
        limits, is_native = self._limits, counts is Counts.NATIVE
        if answer.status < 400 or answer.status == 404:
            limits.parking.succeeded(self.native_key if is_native else self.host_key)
            if self.share.is_probing and not is_native:
                self.share.is_probing = False
                self.turns.serve()
        said = quota.told(answer.headers, limits.clock())
        if said is not None:
            kind = Counts.PULLS if self.dialect.get_is_pull else Counts.REQUESTS
            what = Counts.NATIVE if is_native else kind
            limits.take(Counted(self._is_told_to, what), said)

    def key_of(self, counts: Counts) -> str:
        """What a host's refusal (429, 503) of such a request parks."""
        if counts is Counts.NATIVE:
            return self.native_key
        if counts is Counts.PULLS and self.dialect.get_is_pull:
            return parking_key(self._is_told_to, Counts.PULLS)
        return self.host_key

    def park(self, key: str, seconds: float | None) -> float:
        return self._limits.parking.park(key, seconds)

    def succeeded(self, key: str) -> None:
        self._limits.parking.succeeded(key)

    def now(self) -> float:
        return self._limits.clock()

    def refusal(self, counts: Counts) -> RateLimited | None:
        """Why such a request may not be sent now, nor soon."""
        limits = self._limits
        if limits.allowances:
            self._park_what_has_long_to_wait(counts)
        if not limits.parking:
            return None
        until = limits.parking.until(self._keys[counts])
        if until is None:
            return None
        name = self._account.registry.name
        return RateLimited(
            f"{name} asked for patience; nothing is sent to it before its time",
            host=name,
            retry_after=timedelta(seconds=until - limits.clock()),
        )

    def pause(self, counts: Counts) -> float:
        """Seconds until pace and quotas let such a request go; 0 when now."""
        if self.facts.recognition is not self._recognition:
            self._learn()
        holding = self._holding(counts)
        if not holding:
            return 0.0
        now = self._limits.clock()
        return max(each.pause(now) for each in holding)

    def begin(self, counts: Counts) -> None:
        """Such a request is sent now."""
        holding = self._holding(counts)
        if holding:
            now = self._limits.clock()
            for each in holding:
                each.begin(now)

    def _learn(self) -> None:
        """Take the dialect over, and the paces that go with it."""
        found = self._recognition = self.facts.recognition
        account, name = self._account, self._account.registry.name
        dialect = dialect_of(name, account.dialect, found.dialect if found else None)
        is_http2 = dialect.http2 if account.http2 is None else account.http2
        is_http2 &= account.registry.base_url.startswith("https:")
        rate = (is_http2 and dialect.http2_requests_per_second) or dialect.requests_per_second
        native = dialect.native_requests_per_second
        usual = (self._own_pace, self._host.pace(rate, native=False) if rate else None)
        special = (self._own_pace, self._host.pace(native, native=True)) if native else usual
        self._paces = dict.fromkeys(Counts, tuple(pace for pace in usual if pace))
        self._paces[Counts.NATIVE] = tuple(pace for pace in special if pace)
        self._dialect = dialect

    def _holding(self, counts: Counts) -> Sequence[Pace | Allowance]:
        """Whatever may make such a request wait."""
        known = self._limits.allowances
        if not known:
            return self._paces[counts]
        told = (known[key] for key in self._counted[counts] if key in known)
        return (*self._paces[counts], *told)

    def _park_what_has_long_to_wait(self, counts: Counts) -> None:
        limits = self._limits
        for counted in self._counted[counts]:
            allowance = limits.allowances.get(counted)
            if allowance is not None:
                now = limits.clock()
                pause = allowance.pause(now)
                if pause > LONGEST_PAUSE:
                    key = parking_key(counted.host, Counts(counted.what))
                    limits.parking.park_until(key, now + pause)


class Turn:
    """A request's turn; a class of its own, since the usual ways cost as much as the turn."""

    __slots__ = ("_counts", "_lane", "_priority")

    def __init__(self, lane: Lane, priority: Priority, counts: Counts) -> None:
        self._lane = lane
        self._priority = priority
        self._counts = counts

    async def __aenter__(self) -> None:
        lane = self._lane
        if not lane.turns.enter_at_once(lane, self._counts):
            await lane.turns.enter(lane, self._priority, self._counts)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lane.turns.leave(self._lane.share)


def _parking_keys(places: tuple[str, str], kind: Counts) -> tuple[str, ...]:
    """Whatever of these is parked holds back requests of a kind."""
    return tuple(dict.fromkeys((*places, *(parking_key(place, kind) for place in places))))


def _counted(places: tuple[str, str], kind: Counts) -> tuple[Counted, ...]:
    """The quotas that requests of a kind use up: a pull is a request, too."""
    kinds = (Counts.REQUESTS, kind) if kind is Counts.PULLS else (kind,)
    return tuple(Counted(place, each) for place in places for each in kinds)

"""Waiting until what was applied is rolled out, with the reason where it is not.

Polls instead of watching: a watch over a half-open connection waits for ever. All objects are
polled together, under one deadline; the first failure ends the wait, and the state of the others
is reported beside it. Used by the stages that change workloads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from watcher.config import durations
from watcher.core.schedule import phase
from watcher.errors import ClusterError
from watcher.kube.objects import Object, ObjectKey, Resource
from watcher.kube.reading import plain
from watcher.kube.rollouts import causes
from watcher.kube.rollouts.causes import Cause, Reader
from watcher.kube.rollouts.rollout import RolloutState, Status, assess
from watcher.kube.rollouts.status import UNOBSERVED, failed, waiting

GRACE = timedelta(seconds=60)
"""How long pods may show what rarely heals by itself: a registry may lag behind its own news, and
a program may crash until its database is there."""

_LOOK_EVERY = 5.0
_MOST_LOOKS = 10
_LAST_READS = 15.0
_JITTER = 0.2
_UNREAD = Status(state=RolloutState.UNKNOWN, message="its state is unknown", reason="Unreadable")
_SELF_EVIDENT = frozenset({"Deleted", "Paused", "Suspended", "Superseded"})
_WORST_FIRST = (
    RolloutState.FAILED,
    RolloutState.UNKNOWN,
    RolloutState.SUPERSEDED,
    RolloutState.PROGRESSING,
    RolloutState.READY,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """One object to wait for. Of `applied`, what the server returned for our change, only the
    identity, `metadata.uid`, `metadata.generation` and `spec` count."""

    resource: Resource
    applied: Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one object stood at the end of the wait, and why."""

    key: ObjectKey
    status: Status
    cause: Cause = field(default_factory=Cause)

    def __str__(self) -> str:
        why = str(self.cause)
        told = why and why not in self.status.message
        return f"{self.key}: {self.status.message}" + (f"; {why}" if told else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How a wait ended: READY, FAILED, SUPERSEDED or UNKNOWN, that of the worst object.

    `outcomes` holds every object, the worst first. FAILED may stand beside objects that were
    superseded: whoever rolls back leaves those alone. Nothing may be rolled back on UNKNOWN.
    """

    state: RolloutState
    outcomes: tuple[Outcome, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """A line for each object that is not rolled out, the worst first."""
        return tuple(
            str(each) for each in self.outcomes if each.status.state is not RolloutState.READY
        )


async def follow(
    client: Reader,
    targets: Sequence[Followed],
    *,
    timeout: timedelta,
    tell: Callable[[str], None],
    grace: timedelta = GRACE,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Rollout:
    """Wait until all are rolled out, one has failed, or the time is up.

    `tell` is given a line whenever something changed, and at the end the last lines of the log of a
    crashed container. A cause that lasts longer than `grace` is a failure. A cluster that can't be
    reached is asked again until the time is up. Raises ClusterError when it refuses to answer.
    """
    wait = _Wait(client, [_Target(each) for each in targets], tell, grace, clock)
    deadline = clock() + timeout.total_seconds()
    pauses = _pauses()
    while True:
        await wait.poll(until=deadline)
        if wait.is_over:
            return await wait.end()
        left = deadline - clock()
        if left <= 0:
            return await wait.end(after=timeout)
        await sleep(min(left, next(pauses) * wait.jitter()))


@dataclass(slots=True)
class _Target:
    """What is known of one object so far."""

    followed: Followed
    item: Object | None = None
    status: Status = field(default_factory=lambda: waiting("is not read yet"))
    cause: Cause = field(default_factory=Cause)
    fault: str = ""
    fatal_since: dict[str, float] = field(default_factory=dict)
    told: str = ""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey.of(self.followed.applied)

    @property
    def is_pending(self) -> bool:
        return self.status.state is RolloutState.PROGRESSING

    @property
    def is_observed(self) -> bool:
        return self.status.reason != UNOBSERVED.reason

    @property
    def can_be_explained(self) -> bool:
        return not self.fault and self.item is not None

    def outcome(self) -> Outcome:
        return Outcome(key=self.key, status=self.status, cause=self.cause)


@dataclass(slots=True)
class _Wait:
    client: Reader
    targets: list[_Target]
    tell: Callable[[str], None]
    grace: timedelta
    clock: Callable[[], float]
    polls: int = 0
    looked_at: float | None = None
    fault_told: str = ""

    @property
    def is_over(self) -> bool:
        has_failed = any(each.status.state is RolloutState.FAILED for each in self.targets)
        return has_failed or not self.pending()

    def pending(self) -> list[_Target]:
        return [target for target in self.targets if target.is_pending]

    def jitter(self) -> float:
        """Between 0.8 and 1.2: many waits that began together do not ask together for ever."""
        names = " ".join(str(target.key) for target in self.targets[:1])
        return 1 + _JITTER * (2 * phase(f"{names} {self.polls}") - 1)

    async def poll(self, *, until: float) -> None:
        """One look at all that is not settled, cut off when the time is up."""
        self.polls += 1
        pending = self.pending()
        await _all(
            (self._read(target) for target in pending), within=max(until - self.clock(), 1.0)
        )
        await self._look(within=max(until - self.clock(), 1.0))
        self._tell_changes(pending)

    async def end(self, *, after: timedelta | None = None) -> Rollout:
        """The verdict; with `after`, what is not settled by then has failed or is unknown."""
        unsettled = [target for target in self.targets if _wants_explanation(target)]
        await _all(map(self._explain, unsettled[:_MOST_LOOKS]), within=_LAST_READS)
        if after is not None:
            for target in self.pending():
                target.status = _at_deadline(target, after)
        outcomes = sorted(
            (target.outcome() for target in self.targets),
            key=lambda outcome: _WORST_FIRST.index(outcome.status.state),
        )
        state = outcomes[0].status.state if outcomes else RolloutState.READY
        self._tell_end(outcomes)
        return Rollout(state=state, outcomes=tuple(outcomes))

    async def _read(self, target: _Target) -> None:
        applied, key = target.followed.applied, target.key
        target.fault = "no answer in time"
        try:
            item = await self.client.get(target.followed.resource, key.namespace, key.name)
        except ClusterError as error:
            if not error.temporary:
                raise
            target.fault = plain(error.message)
            return
        target.fault = ""
        target.item = item
        target.status = assess(item, applied=applied)
        if target.status.reason == "Vanished":
            lost = await causes.failure_of_vanished(self.client, applied)
            target.status = failed(f"has failed: {lost}", "JobFailed") if lost else target.status
        if not target.is_pending:
            target.cause = Cause()

    async def _look(self, *, within: float) -> None:
        """Now and then, look for causes: they cost two reads per object."""
        now = self.clock()
        every = min(_LOOK_EVERY, self.grace.total_seconds() / 2)
        if self.polls == 1 or (self.looked_at is not None and now - self.looked_at < every):
            return
        explicable = [
            target for target in self.pending() if target.can_be_explained and target.is_observed
        ]
        if explicable:
            self.looked_at = now
            await _all(map(self._glance, explicable[:_MOST_LOOKS]), within=within)

    async def _glance(self, target: _Target) -> None:
        assert target.item is not None
        target.cause = await causes.glance(self.client, target.item)
        if not target.cause.fatal:
            target.fatal_since.clear()
            return
        since = target.fatal_since.setdefault(target.cause.subject, self.clock())
        if self.clock() - since >= self.grace.total_seconds():
            spent = durations.text_of(self.grace)
            target.status = failed(f"{target.status.message}, no better for {spent}", "PodsFailing")

    async def _explain(self, target: _Target) -> None:
        assert target.item is not None
        target.cause = await causes.explain(self.client, target.item, observed=target.is_observed)

    def _tell_changes(self, looked_at: Sequence[_Target]) -> None:
        fault = min((target.fault for target in looked_at if target.fault), default="")
        if fault and fault != self.fault_told:
            self.tell(f"the cluster can't be read, trying again: {fault}")
        self.fault_told = fault
        for target in looked_at:
            line = str(target.outcome())
            if not target.fault and line != target.told:
                self.tell(line)
                target.told = line

    def _tell_end(self, outcomes: Sequence[Outcome]) -> None:
        told = {target.told for target in self.targets}
        for outcome in outcomes:
            line = str(outcome)
            if line not in told:
                self.tell(line)
            for log_line in outcome.cause.log:
                self.tell(f"    | {log_line}")


def _wants_explanation(target: _Target) -> bool:
    state, reason = target.status.state, target.status.reason
    is_open = state in (RolloutState.FAILED, RolloutState.PROGRESSING)
    return is_open and target.can_be_explained and reason not in _SELF_EVIDENT


def _at_deadline(target: _Target, after: timedelta) -> Status:
    spent = durations.text_of(after)
    if target.fault:
        before = f"; last seen: {target.status.message}" if target.item is not None else ""
        message = f"{_UNREAD.message} after {spent}: {target.fault}{before}"
        return Status(state=RolloutState.UNKNOWN, message=message, reason=_UNREAD.reason)
    return failed(f"not rolled out after {spent}: {target.status.message}", "TimedOut")


def _pauses() -> Iterator[float]:
    """Every second for ten seconds, every two for twenty, then every five."""
    for seconds in (1.0, 2.0):
        for _ in range(10):
            yield seconds
    while True:
        yield 5.0


async def _all(reads: Iterable[Awaitable[None]], *, within: float) -> None:
    """All at once; what takes longer than `within` seconds is given up."""
    try:
        async with asyncio.timeout(within):
            results = await asyncio.gather(*reads, return_exceptions=True)
    except TimeoutError:
        return
    for result in results:
        if isinstance(result, BaseException):
            raise result

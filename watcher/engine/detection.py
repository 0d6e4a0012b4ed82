"""What one complete listing means: changes and decisions, with every digest that they need.

Between the pure functions of `core` and the registry: decides, looks up the digests of what would
fire, and decides again, so that an event says what was seen. Only the poller uses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watcher.core import audit, diff
from watcher.core import trigger as deciding
from watcher.core.account import Account, DigestTracking
from watcher.core.audit import AuditClock
from watcher.core.change import Change, ChangeKind, KnownRepository
from watcher.core.deployment import Rejection
from watcher.core.trigger import Trigger
from watcher.core.verdict import Decided, Decision, Verdict
from watcher.engine.sighting import Sighting
from watcher.errors import (
    AuthenticationFailed,
    NotFound,
    RateLimited,
    RegistryError,
)
from watcher.registry.budgets.limits import Priority
from watcher.registry.client import RegistryClient

Rejections = Callable[[], Awaitable[Sequence[Rejection]]]

_FIRING = frozenset({Verdict.FIRED, Verdict.HELD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Changes and decisions that stand. `unreadable` are tags without a readable manifest that
    the next poll has to find again: new ones, which are left out, and followed ones of which it
    would not be told once more that they moved. `tracked` are the tags that are followed;
    only their digests are kept. `error` is the first serious failure."""

    changes: tuple[Change, ...]
    decided: Decided
    digests: Mapping[str, str]
    tracked: frozenset[str]
    unreadable: tuple[str, ...] = ()
    error: RegistryError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a poll is made and how urgently. `last_success`: of the poll before, epoch seconds.
    `is_thorough`: every followed tag is looked at, also one that looks fixed, since somebody asks
    for what is true now. `named`: of these tags a webhook said that they were pushed."""

    time: datetime
    last_success: float | None
    interval: timedelta
    priority: Priority = Priority.SCHEDULED
    is_thorough: bool = False
    named: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Digests:
    """Digests looked up in this poll; a failed look-up is not repeated within it."""

    found: dict[str, str] = field(default_factory=dict)
    failed: dict[str, RegistryError] = field(default_factory=dict)


class _Rejected:
    """The images that rollbacks took out of pipelines, read once it matters."""

    def __init__(self, read: Rejections) -> None:
        self._read: Rejections | None = read
        self.known: Sequence[Rejection] = ()

    async def has_more(self, decisions: Iterable[Decision]) -> bool:
        """Whether more is known than these decisions were made with."""
        if self._read is None or not any(d.verdict in _FIRING for d in decisions):
            return False
        read, self._read = self._read, None
        self.known = await read()
        return bool(self.known)


class Detector:
    """Compares listings of one account's repositories with what is known of them."""

    def __init__(self, account: Account, client: RegistryClient) -> None:
        self._account = account
        self._client = client
        self._kept: dict[str, tuple[object, tuple[str, ...], frozenset[str]]] = {}

    async def find(
        self,
        known: KnownRepository,
        sighting: Sighting,
        triggers: tuple[Trigger, ...],
        enabled: frozenset[str],
        moment: Moment,
        rejections: Rejections,
        *,
        decides: bool = True,
    ) -> Findings:
        """Raises RateLimited, AuthenticationFailed, CredentialError: then nothing was found. A
        look-up that fails for one tag alone keeps that tag as it was; at a first sight it raises
        where a backfill would miss the tag for ever. `rejections` is asked only when something
        would fire. Unless it `decides`, the triggers only say which tags to follow."""
        digests, rejected = _Digests(), _Rejected(rejections)
        deciders, tags = triggers if decides else (), sighting.tags
        tracked = self._tracked(known.repository, triggers, tags)
        unknown = self._take_told(known, sighting, tracked, digests)
        asked = [t for t in unknown if self._is_in_doubt(t, known, sighting, triggers, moment)]
        await self._look_up(known.repository, asked, digests, moment.priority)
        while True:
            left_out = digests.failed.keys() - known.present.keys()
            listed = [tag for tag in tags if tag not in left_out] if left_out else tags
            if not known.baselined:
                _check_backfill(deciders, digests)
            changes, decided = self._decide(
                known, listed, deciders, digests.found, enabled, rejected.known, moment.time
            )
            if await rejected.has_more(decided.decisions):
                continue
            missing = self._missing(decided.decisions, digests)
            if not missing:
                break
            await self._look_up(known.repository, missing, digests, moment.priority)
        serious = [e for e in digests.failed.values() if not isinstance(e, NotFound)]
        return Findings(
            changes=changes,
            decided=decided,
            digests=digests.found,
            tracked=tracked,
            unreadable=tuple(sorted(left_out | _unconfirmed(known, sighting, digests))),
            error=serious[0] if serious else None,
        )

    def tracks(self, triggers: tuple[Trigger, ...]) -> bool:
        """Whether an unchanged listing is not enough, because tags may move under it."""
        tracking = self._account.track_digests
        if tracking is DigestTracking.AUTO:
            return any(ChangeKind.MOVED in trigger.changes for trigger in triggers)
        return tracking is DigestTracking.ALL

    def _tracked(
        self, repository: str, triggers: tuple[Trigger, ...], tags: Sequence[str]
    ) -> frozenset[str]:
        """The tags to follow. Kept between polls, for a pattern over 50 000 tags takes a while."""
        if self._account.track_digests is DigestTracking.ALL:
            return frozenset(tags)
        if not self.tracks(triggers):
            return frozenset()
        kept = self._kept.get(repository)
        if kept is not None and kept[0] is triggers and kept[1] == tuple(tags):
            return kept[2]
        tracked = frozenset(tag for tag in tags if deciding.wants_digest(triggers, tag))
        self._kept[repository] = (triggers, tuple(tags), tracked)
        return tracked

    def _take_told(
        self,
        known: KnownRepository,
        sighting: Sighting,
        tracked: frozenset[str],
        digests: _Digests,
    ) -> list[str]:
        """Take over the digests that may be recorded as they were told; the tags left over."""
        left = []
        for tag in tracked:
            told = sighting.recordable(tag, known.tags.get(tag))
            if told is None:
                left.append(tag)
            else:
                digests.found[tag] = told
        return left

    def _is_in_doubt(
        self,
        tag: str,
        known: KnownRepository,
        sighting: Sighting,
        triggers: tuple[Trigger, ...],
        moment: Moment,
    ) -> bool:
        """Whether the digest of a followed tag has to be asked for in this poll."""
        before = known.tags.get(tag)
        if before is None or not before.present or before.digest is None:
            return True
        if tag in moment.named:
            return True
        if sighting.tells_moves:
            return not sighting.has_stood_still(tag, before)
        if moment.is_thorough:
            return True
        clock = AuditClock(
            moment.time.timestamp(), moment.last_success, moment.interval, self._account.audit
        )
        return audit.is_due(tag, before, clock) or deciding.follows_by_name(triggers, tag)

    def _decide(
        self,
        known: KnownRepository,
        listed: Sequence[str],
        triggers: tuple[Trigger, ...],
        digests: Mapping[str, str],
        enabled: frozenset[str],
        rejections: Sequence[Rejection],
        now: datetime,
    ) -> tuple[tuple[Change, ...], Decided]:
        hold_above = self._account.hold_above
        if not known.baselined:
            decided = deciding.baseline(
                triggers,
                known,
                listed,
                digests,
                now=now,
                hold_above=hold_above,
                enabled=enabled,
                rejections=rejections,
            )
            return (), decided
        changes = diff.diff(known, listed, digests)
        decided = deciding.decide(
            triggers,
            known,
            changes,
            now=now,
            hold_above=hold_above,
            enabled=enabled,
            rejections=rejections,
        )
        return changes, decided

    def _missing(self, decisions: Iterable[Decision], digests: _Digests) -> list[str]:
        """Tags that would fire, or are rejected by their name alone, and whose digest nobody asked
        for yet."""
        if self._account.track_digests is DigestTracking.OFF:
            return []
        asked = digests.found.keys() | digests.failed.keys()
        return [
            decision.change.tag
            for decision in decisions
            if decision.verdict in (Verdict.FIRED, Verdict.REJECTED)
            and decision.change.digest is None
            and decision.change.kind is not ChangeKind.DELETED
            and decision.change.tag not in asked
        ]

    async def _look_up(
        self, repository: str, tags: Iterable[str], digests: _Digests, priority: Priority
    ) -> None:
        """Ask for digests, a few at once. A refusal of the whole account or host ends the poll."""
        wanted = list(dict.fromkeys(tags))
        step = self._account.limits.concurrency
        for start in range(0, len(wanted), step):
            batch = wanted[start : start + step]
            answers = await asyncio.gather(
                *(self._client.head(repository, tag, priority) for tag in batch),
                return_exceptions=True,
            )
            for tag, answer in zip(batch, answers, strict=True):
                if isinstance(answer, str):
                    digests.found[tag] = answer
                elif isinstance(answer, RegistryError) and not _concerns_account(answer):
                    digests.failed[tag] = answer
                else:
                    raise answer


def _check_backfill(triggers: Iterable[Trigger], digests: _Digests) -> None:
    """A baseline is recorded once, so what a backfill fires must not depend on a failure."""
    for tag, error in digests.failed.items():
        if not isinstance(error, NotFound) and deciding.wants_backfill(triggers, tag):
            raise error


def _unconfirmed(known: KnownRepository, sighting: Sighting, digests: _Digests) -> set[str]:
    """Known tags that may have moved, which nobody would ask for again."""
    present = known.present
    return {
        tag
        for tag in digests.failed.keys() & present.keys()
        if sighting.tells_moves or present[tag].digest is None
    }


def _concerns_account(error: RegistryError) -> bool:
    return isinstance(error, RateLimited | AuthenticationFailed)

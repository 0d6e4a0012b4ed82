"""What `/metrics` reads of a running daemon when it is asked: repositories, hosts, credentials,
config. Each function gives samples of what is in memory; nothing is asked of anybody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from watcher import __version__
from watcher.core.account import Account
from watcher.core.health import Ailment, HealthReport, is_overdue, repository_state
from watcher.core.host import Counted, Counts, parking_key, place_of
from watcher.core.poll import RepositoryState, RepositoryStatus
from watcher.core.schedule import interval
from watcher.daemon.app import App, Member
from watcher.telemetry.families import Reading
from watcher.telemetry.metrics import Sample

AT_ONCE = 500
"""After so many repositories the event loop is let go: that is a millisecond."""


@dataclass(slots=True)
class _Tally:
    """What the repositories of an account come to. Times in epoch seconds."""

    states: Counter[RepositoryState] = field(default_factory=Counter)
    overdue: int = 0
    tags: int = 0
    latest: float = 0.0
    oldest: float | None = None

    def samples(self, account: str) -> Iterator[Sample]:
        for state in RepositoryState:
            yield Sample(Reading.REPOSITORIES, self.states[state], (account, state))
        yield Sample(Reading.OVERDUE, self.overdue, (account,))
        yield Sample(Reading.TAGS, self.tags, (account,))
        yield Sample(Reading.LAST_SUCCESS, self.latest, (account,))
        yield Sample(Reading.OLDEST_SUCCESS, self.oldest or 0.0, (account,))


async def of_repositories(app: App, since: float) -> list[Sample]:
    """How the watched repositories fare, by account; `since` is when polling began."""
    samples: list[Sample] = []
    for member in list(app.members.values()):
        tally = await _tally(app, member, since)
        samples += tally.samples(member.account.name)
    return samples


async def _tally(app: App, member: Member, since: float) -> _Tally:
    account, names = member.account, member.repositories.names
    tally, now = _Tally(), app.clock()
    gap, until = interval(account.poll, now), app.hosts.blocked_until(account)
    for start in range(0, len(names), AT_ONCE):
        for name in names[start : start + AT_ONCE]:
            status = app.board.get(account.name, name)
            _add(tally, status, account, now=now, since=since, gap=gap, until=until)
        await asyncio.sleep(0)
    return tally


def _add(
    tally: _Tally,
    status: RepositoryStatus,
    account: Account,
    *,
    now: float,
    since: float,
    gap: timedelta,
    until: float | None,
) -> None:
    stale_after, success = account.stale_after, status.last_success or 0.0
    state = repository_state(
        status, now=now, interval=gap, stale_after=stale_after, blocked_until=until
    )
    tally.states[state] += 1
    tally.tags += status.tags
    tally.latest = max(tally.latest, success)
    tally.oldest = success if tally.oldest is None else min(tally.oldest, success)
    if not _is_yet_to_come(status, now):
        tally.overdue += is_overdue(
            status, now=now, since=since, interval=gap, stale_after=stale_after
        )


def _is_yet_to_come(status: RepositoryStatus, now: float) -> bool:
    """Whether the first poll of a repository that was found just now is still ahead."""
    first = status.next_check
    return status.last_check is None and first is not None and first > now


def of_hosts(app: App) -> Iterator[Sample]:
    """Who is left alone, and what registries still allow: for each host of an account as a whole,
    there `account` is empty, and for each account of it."""
    blocked, quotas = app.hosts.parking.blocked(), app.hosts.quotas()
    for host, account, counts in _places(app):
        place, labels = place_of(host, account or None), (host, account, counts)
        until = blocked.get(parking_key(place, counts), 0.0)
        yield Sample(Reading.PARKED_UNTIL, until, labels)
        quota = quotas.get(Counted(place, counts))
        if quota is not None:
            yield Sample(Reading.QUOTA_REMAINING, quota.remaining, labels)
            yield Sample(Reading.QUOTA_RESETS, quota.resets, labels)
        if quota is not None and quota.allowed is not None:
            yield Sample(Reading.QUOTA_LIMIT, quota.allowed, labels)


def _places(app: App) -> Iterator[tuple[str, str, Counts]]:
    """Each host and account of the config, with each kind of requests; an empty account is all."""
    hosts: dict[str, list[str]] = {}
    for account in app.config.accounts:
        hosts.setdefault(account.registry.name, [""]).append(account.name)
    for host, names in hosts.items():
        for name in names:
            for counts in Counts:
                yield host, name, counts


def of_credentials(app: App) -> Iterator[Sample]:
    now = app.clock()
    for name, member in app.members.items():
        standing = member.client.credential_standing
        if standing.since is not None:
            yield Sample(Reading.CREDENTIAL_AGE, max(now - standing.since, 0.0), (name,))
        yield Sample(Reading.CREDENTIAL_TROUBLE, standing.is_refused, (name, "refused"))
        yield Sample(Reading.CREDENTIAL_TROUBLE, standing.is_unavailable, (name, "unavailable"))


def of_health(report: HealthReport) -> Iterator[Sample]:
    yield Sample(Reading.READY, report.ready)
    numbers = Counter(complaint.ailment for complaint in report.complaints)
    for ailment in Ailment:
        yield Sample(Reading.COMPLAINTS, numbers[ailment], (ailment,))


def of_config(app: App) -> Iterator[Sample]:
    yield Sample(Reading.BUILD, 1, (__version__,))
    yield Sample(Reading.CONFIG_OK, app.config_is_current)
    yield Sample(Reading.CONFIG_LOADED, app.config_loaded)

"""What `/metrics` reads of a running daemon when it is asked: repositories, hosts, credentials,
config, log. Each function gives samples of what is in memory; nothing is asked of anybody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from watcher import __version__
from watcher.core.health import Ailment, HealthReport, repository_state, stale_limit
from watcher.core.host import Counted, Counts, parking_key, place_of
from watcher.core.poll import RepositoryState, RepositoryStatus
from watcher.daemon.app import App, Member
from watcher.telemetry.families import Reading
from watcher.telemetry.metrics import Sample

AT_ONCE = 500
"""After so many repositories the event loop is let go: that is a millisecond."""


@dataclass(slots=True)
class _Tally:
    """What the repositories of an account come to. Times in epoch seconds."""

    states: Counter[RepositoryState] = field(default_factory=Counter)
    tags: int = 0
    latest: float = 0.0
    oldest: float | None = None

    def add(self, status: RepositoryStatus, state: RepositoryState) -> None:
        success = status.last_success or 0.0
        self.states[state] += 1
        self.tags += status.tags
        self.latest = max(self.latest, success)
        self.oldest = success if self.oldest is None else min(self.oldest, success)

    def samples(self, account: str) -> Iterator[Sample]:
        for state in RepositoryState:
            yield Sample(Reading.REPOSITORIES, self.states[state], (account, state))
        yield Sample(Reading.TAGS, self.tags, (account,))
        yield Sample(Reading.LAST_SUCCESS, self.latest, (account,))
        yield Sample(Reading.OLDEST_SUCCESS, self.oldest or 0.0, (account,))


async def of_repositories(app: App) -> list[Sample]:
    """How the watched repositories fare, by account."""
    samples: list[Sample] = []
    for member in list(app.members.values()):
        tally = await _tally(app, member)
        samples += tally.samples(member.account.name)
    return samples


async def _tally(app: App, member: Member) -> _Tally:
    account, names = member.account, member.repositories.names
    tally, now = _Tally(), app.clock()
    limit = stale_limit(account, now)
    until = app.hosts.blocked_until(account)
    for start in range(0, len(names), AT_ONCE):
        for name in names[start : start + AT_ONCE]:
            status = app.board.get(account.name, name)
            state = repository_state(status, now=now, limit=limit, blocked_until=until)
            tally.add(status, state)
        await asyncio.sleep(0)
    return tally


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


def of_health(app: App, report: HealthReport) -> Iterator[Sample]:
    """What the daemon says of itself, as `/healthz` does."""
    yield Sample(Reading.READY, report.ready)
    stale = (each.about for each in report.complaints if each.ailment is Ailment.STALE)
    overdue = Counter(about.partition("/")[0] for about in stale)
    for name in app.members:
        yield Sample(Reading.OVERDUE, overdue[name], (name,))
    numbers = Counter(complaint.ailment for complaint in report.complaints)
    for ailment in Ailment:
        yield Sample(Reading.COMPLAINTS, numbers[ailment], (ailment,))


def of_config(app: App) -> Iterator[Sample]:
    yield Sample(Reading.BUILD, 1, (__version__,))
    yield Sample(Reading.CONFIG_OK, app.config_is_current)
    yield Sample(Reading.CONFIG_LOADED, app.config_loaded)


def of_log(app: App) -> Iterator[Sample]:
    yield Sample(Reading.LOG_LINES_LOST, app.log.lost)

"""Whether repositories are really polled: what troubles that makes, when the ping may go. Pure.

Where most repositories of an account can't be polled, the account is the trouble and not each of
them: a registry that is down is told once. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from watcher.core.health import STALE_INTERVALS, is_overdue
from watcher.core.notice import NoticeEvent, Trouble
from watcher.core.poll import CATALOG, CatalogStatus, RepositoryStatus
from watcher.core.schedule import LONGEST_BACKOFF
from watcher.core.times import rfc3339

Over = tuple[Trouble, str]
LATE = 60.0
"""Seconds by which a poll may be behind its time, before it counts as left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedAccount:
    """An account with the status of each repository that it watches now, and of its `catalog` where
    it has one. `since` is when this process began to poll it, saw its registry come back, or found
    the clock set; None where each pass is a process of its own. `joined` has the repositories that
    it watches only since later. After `limit` without a success a repository is stale."""

    name: str
    registry: str
    statuses: tuple[RepositoryStatus, ...]
    limit: timedelta
    catalog: CatalogStatus | None = None
    is_parked: bool = False
    since: float | None = None
    joined: Mapping[str, float] = field(default_factory=dict)

    def is_late(self, status: RepositoryStatus, now: float) -> bool:
        """Whether it had no successful poll for too long, and is not merely put off: after an
        outage its turn may come as late as the longest backoff. At the end of a long pass what was
        polled well at its beginning is not late."""
        if self.since is None:
            never = status.last_success is None
            fails = status.failures >= (STALE_INTERVALS if never else 1)
            return fails and (never or self.is_overdue(status, now))
        since = self._since(status)
        return self.is_overdue(status, now) and (
            self.is_parked
            or (status.last_check or 0.0) > since
            or now - since > LONGEST_BACKOFF.total_seconds()
        )

    def is_overdue(self, status: RepositoryStatus, now: float) -> bool:
        """See core.health."""
        return is_overdue(status, now=now, since=self._since(status), limit=self.limit)

    def _since(self, status: RepositoryStatus) -> float:
        return max(self.since or 0.0, self.joined.get(status.repository, 0.0))

    @property
    def lacks_catalog(self) -> bool:
        """Whether its catalog can't be read, again and again."""
        return self.catalog is not None and self.catalog.failures >= STALE_INTERVALS

    def late(self, now: float) -> list[RepositoryStatus]:
        return [status for status in self.statuses if self.is_late(status, now)]

    def ailing(self, now: float) -> list[RepositoryStatus]:
        """Those that are late or will be, as things stand."""
        return [s for s in self.statuses if self.is_parked or s.failures or self.is_late(s, now)]


@dataclass(slots=True)
class Settlement:
    """What has begun and what is over, since the troubles were written down."""

    begun: list[Trouble] = field(default_factory=list)
    over: list[Over] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.begun or self.over)


def settle(
    accounts: Iterable[WatchedAccount], lasting: Iterable[Trouble], now: float
) -> Settlement:
    """Compare how repositories fare with the troubles that last. One begins when a repository is
    late, and is over with its next successful poll; that of an account when most are polled."""
    known = {trouble.subject: trouble for trouble in lasting}
    found = Settlement()
    watched = {account.name: account for account in accounts}
    for account in watched.values():
        whole = known.get(account.name)
        if whole is not None:
            if _is_over(account, whole, now):
                found.over.append((whole, f"{account.name}: {account.registry} is polled again"))
        elif _is_about_the_account(account, now):
            found.begun.append(_of_account(account, now))
        else:
            late = [s for s in account.late(now) if _subject(account, s) not in known]
            found.begun += [_of(account, status, now) for status in late]
        if account.lacks_catalog and _subject_of_catalog(account) not in known:
            found.begun.append(_of_catalog(account, now))
    found.over += _repositories_over(watched, known.values(), now)
    return found


def is_polled(account: WatchedAccount, since: float, now: float) -> bool:
    """Whether each repository that was due since then was polled with success, none is late, the
    account has any, and its catalog was read: what the ping vouches for."""
    if account.is_parked or not account.statuses or (account.catalog and account.catalog.error):
        return False
    return all(
        _was_polled(status, since, now) and not account.is_overdue(status, now)
        for status in account.statuses
    )


def _was_polled(status: RepositoryStatus, since: float, now: float) -> bool:
    if status.last_success is None:
        return False
    if status.last_check is not None and status.last_check > since:
        return status.last_success > since
    return status.next_check is None or status.next_check > now - LATE


def _is_about_the_account(account: WatchedAccount, now: float) -> bool:
    """Whether most of several repositories ail, and one is late."""
    count = len(account.statuses)
    return count > 1 and bool(account.late(now)) and 2 * len(account.ailing(now)) > count


def _is_over(account: WatchedAccount, whole: Trouble, now: float) -> bool:
    """Whether most repositories were polled since; the others' turn comes, or they are late."""
    back = sum(_succeeded(status, whole.since, now) for status in account.statuses)
    return 2 * back > len(account.statuses) or not account.statuses


def _succeeded(status: RepositoryStatus, since: float, now: float) -> bool:
    """A success in the future of a clock that was set back says nothing; after a trouble in the
    future a repository is well that does not fail."""
    success = status.last_success
    if success is None or success > now:
        return False
    return success > since or (since > now and not status.failures)


def _repositories_over(
    watched: Mapping[str, WatchedAccount], known: Iterable[Trouble], now: float
) -> Iterator[Over]:
    catalogs = {_subject_of_catalog(a): a.catalog for a in watched.values() if a.catalog}
    statuses = {
        _subject(account, status): status
        for account in watched.values()
        for status in account.statuses
    }
    for trouble in known:
        if trouble.subject in watched:
            continue
        catalog, status = catalogs.get(trouble.subject), statuses.get(trouble.subject)
        if catalog is not None:
            if catalog.was_read and not catalog.failures:
                yield trouble, f"{trouble.subject}: read again"
        elif status is None:
            yield trouble, f"{trouble.subject}: no longer watched"
        elif _succeeded(status, trouble.since, now):
            yield trouble, f"{trouble.subject}: polled again"


def _of_account(account: WatchedAccount, now: float) -> Trouble:
    ailing = account.ailing(now)
    errors = Counter(status.last_error for status in ailing if status.last_error)
    common = errors.most_common(1)
    return Trouble(
        event=NoticeEvent.REPOSITORY_STALE,
        subject=account.name,
        account=account.name,
        text=f"{account.name}: {account.registry} can't be polled "
        f"({len(ailing)} of {len(account.statuses)} repositories)",
        detail=common[0][0] if common else "",
        since=now,
    )


def _of(account: WatchedAccount, status: RepositoryStatus, now: float) -> Trouble:
    success = status.last_success
    span = "at all" if success is None else f"since {rfc3339(success)}"
    return Trouble(
        event=NoticeEvent.REPOSITORY_STALE,
        subject=_subject(account, status),
        account=account.name,
        text=f"{_subject(account, status)}: no successful poll {span}",
        detail=status.last_error or "",
        since=now,
    )


def _subject(account: WatchedAccount, status: RepositoryStatus) -> str:
    return f"{account.name}/{status.repository}"


def _of_catalog(account: WatchedAccount, now: float) -> Trouble:
    assert account.catalog is not None  # it can't be read
    return Trouble(
        event=NoticeEvent.REPOSITORY_STALE,
        subject=_subject_of_catalog(account),
        account=account.name,
        text=f"{account.name}: the catalog of {account.registry} can't be read",
        detail=account.catalog.error or "",
        since=now,
    )


def _subject_of_catalog(account: WatchedAccount) -> str:
    return f"{account.name}/{CATALOG}"

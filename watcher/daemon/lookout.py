"""Sees what is wrong and lasts, and writes down each beginning and each end once.

Stale repositories from the board, credentials from the outcomes of polls, the config from reloads.
Nothing is remembered here that matters: what lasts stands in the state file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watcher.core import freshness
from watcher.core.account import Account
from watcher.core.clocks import Clocks
from watcher.core.freshness import Settlement, WatchedAccount
from watcher.core.health import stale_limit
from watcher.core.notice import NoticeEvent, Trouble
from watcher.daemon.app import App, Member
from watcher.engine.poll_outcome import PollOutcome
from watcher.errors import AuthenticationFailed, CredentialError, WatcherError
from watcher.store.sqlite import Store

_OF_WATCHED = frozenset({NoticeEvent.CREDENTIAL_FAILED, NoticeEvent.LISTING_QUARANTINED})


@dataclass(slots=True)
class _Seen:
    """An account as it was seen the last time: `since` when it is polled so, and, of the
    repositories in `names`, since when those are watched that came later."""

    account: Account
    names: tuple[str, ...]
    since: float
    joined: dict[str, float] = field(default_factory=dict)

    def note_account(self, account: Account, now: float) -> None:
        """One that changed begins anew, as its watch does: what was in time for an hour's interval
        is not late for that of a minute."""
        if self.account != account:
            self.account, self.since = account, now

    def note_names(self, names: tuple[str, ...], now: float) -> None:
        if names is not self.names:
            new = dict.fromkeys(frozenset(names).difference(self.names), now)
            kept = self.joined.keys() & frozenset(names)
            self.joined = {name: self.joined[name] for name in kept} | new
            self.names = names


class Lookout:
    """One App's. `is_daemon`: repositories are late by this process's own time, see
    WatchedAccount.since."""

    def __init__(
        self, app: App, *, is_daemon: bool, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._monotonic = monotonic
        self._clocks = Clocks(app.clock(), monotonic())
        self._is_daemon = is_daemon
        self._seen: dict[str, _Seen] = {}
        self._refusals: dict[str, WatcherError | None] = {}
        self._rejected: tuple[Path, WatcherError | None] | None = None
        self._news = False

    @property
    def has_news(self) -> bool:
        """Whether something was noted that may not be written down yet."""
        return self._news

    def note_poll(self, outcome: PollOutcome) -> None:
        """A credential that fails or is refused is the account's trouble, until a poll is well."""
        error = outcome.error
        refused = error if isinstance(error, CredentialError | AuthenticationFailed) else None
        if error is not None and refused is None:
            return
        before = self._refusals.get(outcome.account, error)
        if outcome.account not in self._refusals or (before is None) != (refused is None):
            self._news = True
        self._refusals[outcome.account] = refused

    def note_config(self, path: Path, error: WatcherError | None) -> None:
        """A config was rejected, or taken."""
        self._rejected = (path, error)
        self._news = True

    async def settle(self) -> None:
        """Write down what has begun or ended. Raises StateError; the next time does it then."""
        accounts, now = self.accounts(), self._app.clock()
        noted = list(self._noted(now))
        subjects = _subjects(accounts)
        self._news = False

        def work(store: Store) -> list[Trouble]:
            lasting = store.outbox.troubles()
            stale = [t for t in lasting if t.event is NoticeEvent.REPOSITORY_STALE]
            found = freshness.settle(accounts, stale, now)
            known = {trouble.key: trouble for trouble in lasting}
            for trouble, is_there, line in noted:
                _compare(found, known.get(trouble.key), trouble, line, is_there=is_there)
            found.over += _no_longer_watched(lasting, subjects)
            if found:
                store.outbox.settle(found.begun, found.over)
            return [trouble for trouble, _ in found.over]

        for trouble in await self._app.store.run(work):
            seen = self._seen.get(trouble.subject)
            if trouble.event is NoticeEvent.REPOSITORY_STALE and seen is not None:
                seen.since = now  # its registry came back; see WatchedAccount

    def accounts(self) -> tuple[WatchedAccount, ...]:
        """How the repositories of each account fare now. What was not polled while the machine
        slept, or the clock was wrong, does not count."""
        if self._clocks.parted(self._app.clock(), self._monotonic()):
            for seen in self._seen.values():
                seen.since, seen.joined = self._app.clock(), {}
        self._forget_others()
        return tuple(self._watched(member) for member in self._app.members.values())

    def _forget_others(self) -> None:
        """An account that comes back begins anew."""
        known: tuple[dict[str, Any], ...] = (self._seen, self._refusals)
        for each in known:
            for gone in each.keys() - self._app.members.keys():
                del each[gone]

    def _watched(self, member: Member) -> WatchedAccount:
        app, account = self._app, member.account
        now, repositories = app.clock(), member.repositories
        seen = self._seen.setdefault(account.name, _Seen(account, repositories.names, now))
        seen.note_account(account, now)
        seen.note_names(repositories.names, now)
        return WatchedAccount(
            name=account.name,
            registry=account.registry.name,
            statuses=tuple(app.board.get(account.name, n) for n in repositories.names),
            limit=stale_limit(account, now),
            is_parked=member.client.parked_until is not None,
            since=seen.since if self._is_daemon else None,
            joined=seen.joined,
            catalog=repositories.status if repositories.needs_catalog else None,
        )

    def _noted(self, now: float) -> Iterable[tuple[Trouble, bool, str]]:
        """Each possible trouble, whether it is there, and what is said when it is over."""
        for account, error in self._refusals.items():
            event = NoticeEvent.CREDENTIAL_FAILED
            text = f"{account}: its credential fails or is refused"
            trouble = _trouble(event, account, account, text, error, now)
            yield trouble, error is not None, f"{account}: logged in again"
        if self._rejected is not None:
            path, error = self._rejected
            event, text = NoticeEvent.CONFIG_REJECTED, f"{path} can't be used; the old config holds"
            trouble = _trouble(event, "config", None, text, error, now)
            yield trouble, error is not None, f"{path} is used"


def _subjects(accounts: Iterable[WatchedAccount]) -> frozenset[str]:
    """The accounts and the repositories of which something may be told."""
    names = {account.name for account in accounts}
    places = {f"{a.name}/{status.repository}" for a in accounts for status in a.statuses}
    return frozenset(names | places)


def _no_longer_watched(
    lasting: Iterable[Trouble], subjects: Container[str]
) -> Iterator[tuple[Trouble, str]]:
    """What nothing else would ever end."""
    for trouble in lasting:
        if trouble.event in _OF_WATCHED and trouble.subject not in subjects:
            yield trouble, f"{trouble.subject}: no longer watched"


def _trouble(
    event: NoticeEvent,
    subject: str,
    account: str | None,
    text: str,
    error: WatcherError | None,
    now: float,
) -> Trouble:
    return Trouble(
        event=event,
        subject=subject,
        account=account,
        text=text,
        detail="\n".join(filter(None, (str(error), error.hint))) if error is not None else "",
        since=now,
    )


def _compare(
    found: Settlement, known: Trouble | None, trouble: Trouble, line: str, *, is_there: bool
) -> None:
    if is_there and known is None:
        found.begun.append(trouble)
    elif known is not None and not is_there:
        found.over.append((known, line))

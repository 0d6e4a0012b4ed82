"""Who is told of what: notifiers, what each wants, and the address of the dead-man ping. Pure.

Made by `config`; read by the store, which fills the outbox, by `notifiers`, which sends, and by the
daemon. URLs are secrets as a whole, so no repr shows one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from watcher.core.notice import Notice, NoticeEvent, Trouble
from watcher.core.pipeline import WANT_A_PERSON, ExecutionStatus, Wish

ALL_EVENTS = frozenset(NoticeEvent)
WORTH_TELLING = (
    ExecutionStatus.WAITING,
    ExecutionStatus.SUCCEEDED,
    ExecutionStatus.FAILED,
    ExecutionStatus.CANCELED,
    ExecutionStatus.SKIPPED,
)


class SecretUrl(NamedTuple):
    """A URL that is a secret, or where it is kept; exactly one is set."""

    url: str | None = None
    file: Path | None = None
    variable: str | None = None

    def __repr__(self) -> str:
        return f"SecretUrl(file={self.file!r}, variable={self.variable!r})"


class Webhook(NamedTuple):
    """Messages are POSTed there as JSON, signed where there is a secret."""

    url: SecretUrl
    secret_file: Path | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    def __repr__(self) -> str:
        return f"Webhook(url={self.url!r}, secret_file={self.secret_file!r})"


class Notifier(NamedTuple):
    """One place to tell: a webhook, else an Apprise URL. `accounts` None: of all. What gathers
    within `group` is one message; `remind` is how often a trouble that lasts, or events that are
    held, are told again."""

    name: str
    apprise: SecretUrl | None = None
    webhook: Webhook | None = None
    events: frozenset[NoticeEvent] = ALL_EVENTS
    accounts: frozenset[str] | None = None
    group: timedelta = timedelta(seconds=30)
    remind: timedelta = timedelta(hours=24)

    def wants(self, event: NoticeEvent, account: str | None) -> bool:
        """What concerns no account at all is told whatever the accounts."""
        if event not in self.events:
            return False
        return self.accounts is None or account is None or account in self.accounts

    def is_reminded(self, trouble: Trouble, looked: float, now: float) -> bool:
        """Whether a reminder's time came since `looked`."""
        every = self.remind.total_seconds()
        before, since = max(looked - trouble.since, 0), max(now - trouble.since, 0)
        return since // every > before // every


class Ping(NamedTuple):
    """A URL that is called as long as all is polled; who stops hearing it raises the alarm."""

    url: SecretUrl
    every: timedelta = timedelta(minutes=5)


class Audience(NamedTuple):
    """Everybody who may be told, and the wishes of pipelines, by name."""

    notifiers: tuple[Notifier, ...] = ()
    wishes: Mapping[str, tuple[Wish, ...]] = MappingProxyType({})

    def of(self, notice: Notice) -> Iterator[Notifier]:
        """Who is told of a notice, each once. A run is told to who wants `execution` where it
        wants a person, and to whom its pipeline names."""
        for notifier in self.notifiers:
            if self._is_told(notifier, notice):
                yield notifier

    def reminded(self, trouble: Trouble, looked: float, now: float) -> Iterator[Notifier]:
        """Who is told again of a trouble that lasts."""
        for notifier in self.notifiers:
            wants = notifier.wants(trouble.event, trouble.account)
            if wants and notifier.is_reminded(trouble, looked, now):
                yield notifier

    def _is_told(self, notifier: Notifier, notice: Notice) -> bool:
        if notice.event is not NoticeEvent.EXECUTION:
            return notifier.wants(notice.event, notice.account)
        wishes = self.wishes.get(str(notice.facts.get("pipeline")), ())
        if any(w.notifier == notifier.name and notice.kind in w.statuses for w in wishes):
            return True
        return notice.kind in WANT_A_PERSON and notifier.wants(notice.event, notice.account)

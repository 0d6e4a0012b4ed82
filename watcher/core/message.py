"""A message of the outbox: what gathered for one notifier, for people and for programs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from watcher.core.notice import NoticeEvent, NoticeKind
from watcher.core.pipeline import ExecutionStatus
from watcher.core.times import rfc3339

Json = Any

MOST_ITEMS = 20
"""So many are listed; of the others a message says how many there are."""

_OF_MANY: Mapping[tuple[str, str], str] = {
    (NoticeEvent.ROLLBACK_FAILED, NoticeKind.HAPPENED): "rollbacks failed",
    (NoticeEvent.EVENTS_HELD, NoticeKind.HAPPENED): "repositories hold events",
    (NoticeEvent.EVENTS_HELD, NoticeKind.REMINDER): "repositories still hold events",
    (NoticeEvent.LISTING_QUARANTINED, NoticeKind.BEGUN): "listings are quarantined",
    (NoticeEvent.LISTING_QUARANTINED, NoticeKind.REMINDER): "listings are still quarantined",
    (NoticeEvent.LISTING_QUARANTINED, NoticeKind.OVER): "listings are no longer quarantined",
    (NoticeEvent.REPOSITORY_STALE, NoticeKind.BEGUN): "repositories or accounts are stale",
    (NoticeEvent.REPOSITORY_STALE, NoticeKind.REMINDER): "repositories or accounts are still stale",
    (NoticeEvent.REPOSITORY_STALE, NoticeKind.OVER): "repositories or accounts are polled again",
    (NoticeEvent.CREDENTIAL_FAILED, NoticeKind.BEGUN): "accounts have trouble with a credential",
    (NoticeEvent.CREDENTIAL_FAILED, NoticeKind.REMINDER): "accounts still can't log in",
    (NoticeEvent.CREDENTIAL_FAILED, NoticeKind.OVER): "accounts log in again",
}
_FAILURES = {NoticeKind.BEGUN, NoticeKind.REMINDER, ExecutionStatus.FAILED}
_SUCCESSES = {NoticeKind.OVER, ExecutionStatus.SUCCEEDED}


class Severity(StrEnum):
    """How loud a message is, in the words of Apprise."""

    FAILURE = "failure"
    WARNING = "warning"
    SUCCESS = "success"
    INFO = "info"


class MessageStatus(StrEnum):
    """Where a message of the outbox stands."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`items` are the first of `count` notices (see Notice.item). `key` is the same for every try.
    `created`, `tried` and `asked`, when a person last asked to send it again, are seconds since the
    epoch."""

    id: int
    key: str
    notifier: str
    event: str
    kind: str
    items: tuple[Mapping[str, Json], ...]
    count: int
    created: float
    status: MessageStatus = MessageStatus.WAITING
    attempts: int = 0
    tried: float | None = None
    error: str | None = None
    asked: float | None = None

    @property
    def waits_since(self) -> float:
        """From when on its age counts."""
        return self.created if self.asked is None else self.asked

    @property
    def title(self) -> str:
        """One line that says it all where there is one item."""
        if self.count == 1:
            return str(self.items[0]["text"])
        return f"{self.count} {self._of_many}"

    @property
    def text(self) -> str:
        """What stands below the title: the detail of a single item, or a line for each."""
        if self.count == 1:
            return str(self.items[0].get("detail") or self.items[0]["text"])
        lines = [f"- {item['text']}" for item in self.items]
        left = self.count - len(self.items)
        return "\n".join([*lines, f"and {left} more"] if left else lines)

    @property
    def severity(self) -> Severity:
        if self.event == NoticeEvent.EVENTS_HELD:
            return Severity.WARNING
        if self.kind in _FAILURES or self.event == NoticeEvent.ROLLBACK_FAILED:
            return Severity.FAILURE
        if self.kind in _SUCCESSES:
            return Severity.SUCCESS
        if self.kind in (NoticeKind.HAPPENED, ExecutionStatus.WAITING):
            return Severity.WARNING
        return Severity.INFO

    def to_json(self, version: str) -> dict[str, Json]:
        """The body that webhooks get: docs/notifications.md describes it."""
        return {
            "event": self.event,
            "kind": self.kind,
            "severity": self.severity.value,
            "title": self.title,
            "text": self.text,
            "count": self.count,
            "items": [_published(item) for item in self.items],
            "time": rfc3339(self.created),
            "watcher": {"version": version},
        }

    @property
    def _of_many(self) -> str:
        if self.event == NoticeEvent.EXECUTION:
            return f"executions {self.kind}"
        return _OF_MANY.get((self.event, self.kind), f"notices of {self.event}: {self.kind}")


def _published(item: Mapping[str, Json]) -> dict[str, Json]:
    times = {key: rfc3339(item[key]) for key in ("time", "since") if key in item}
    return {**item, **times}

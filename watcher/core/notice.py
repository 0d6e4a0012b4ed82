"""What the watcher tells of itself: a notice is one thing that happened, a trouble one that lasts.

Values only. A notice is written in the transaction of what it tells of; who is told of it is
decided later, by `core.notifier`. No text in it may hold a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

Json = Any

_LONGEST_DETAIL = 1000


class NoticeEvent(StrEnum):
    """What a notifier may be told of: the words of `notifiers[].events`."""

    EXECUTION = "execution"
    ROLLBACK_FAILED = "rollback_failed"
    EVENTS_HELD = "events_held"
    LISTING_QUARANTINED = "listing_quarantined"
    REPOSITORY_STALE = "repository_stale"
    CREDENTIAL_FAILED = "credential_failed"
    CONFIG_REJECTED = "config_rejected"
    STATE_FAILED = "state_failed"


class NoticeKind(StrEnum):
    """What became of it. Executions have their status in its place: `FAILED`, `WAITING`, …"""

    HAPPENED = "happened"
    BEGUN = "begun"
    REMINDER = "reminder"  # it lasts
    OVER = "over"
    TEST = "test"


class Notice(NamedTuple):
    """`subject` names what it is about: the id of an execution, `ACCOUNT/REPOSITORY`, an account,
    a file. `text` is one line, `detail` says more, `facts` are for programs. `time` is in seconds
    since the epoch."""

    event: NoticeEvent
    kind: str
    subject: str
    text: str
    time: float
    account: str | None = None
    detail: str = ""
    facts: Mapping[str, Json] = MappingProxyType({})

    def item(self) -> dict[str, Json]:
        """As a message lists it."""
        return {
            "subject": self.subject,
            "account": self.account,
            "text": self.text,
            "detail": self.detail[:_LONGEST_DETAIL],
            "time": self.time,
            **self.facts,
        }


class Trouble(NamedTuple):
    """Something that is wrong until it is over: told once, though looked at again and again, and
    whatever process looks. `since` is when it was first seen."""

    event: NoticeEvent
    subject: str
    text: str
    since: float
    account: str | None = None
    detail: str = ""

    @property
    def key(self) -> tuple[NoticeEvent, str]:
        """Two with the same key are the same trouble."""
        return self.event, self.subject

    def begun(self) -> Notice:
        return self._notice(NoticeKind.BEGUN, self.since, self.text, self.detail)

    def reminder(self, now: float) -> Notice:
        return self._notice(NoticeKind.REMINDER, now, self.text, self.detail)

    def over(self, now: float, text: str) -> Notice:
        return self._notice(NoticeKind.OVER, now, text, "")

    def _notice(self, kind: NoticeKind, time: float, text: str, detail: str) -> Notice:
        return Notice(
            event=self.event,
            kind=kind,
            subject=self.subject,
            account=self.account,
            text=text,
            detail=detail,
            time=time,
            facts={"since": self.since},
        )

"""One delivery, from its proof to its answer: the order of checks, without HTTP's own matters.

Whoever has shown that it knows the secret is told what is wrong, and its deliveries are noted for
activity; of all others only the number is kept, so that strangers can't fill the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol

from watcher.core.delivery import Delivery, DeliveryOutcome
from watcher.core.hint import Hint, Sender
from watcher.telemetry.families import Count
from watcher.telemetry.meter import UNMEASURED, Meter
from watcher.web.hooks.message import Malformed, Message
from watcher.web.hooks.proof import Signed
from watcher.web.hooks.replay import Replays, SenderPace
from watcher.web.hooks.senders import Kind

_FIRST = (
    DeliveryOutcome.POLLED,
    DeliveryOutcome.PARKED,
    DeliveryOutcome.DISABLED,
    DeliveryOutcome.UNKNOWN,
)
"""What a delivery of several repositories is counted as: the first of these that one has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a hint, at one account; at none where nothing of the name is watched."""

    outcome: DeliveryOutcome
    reason: str
    account: str | None = None


class HookDesk(Protocol):
    """What webhooks ask of the daemon. Nothing of it waits."""

    def take(self, hint: Hint, sender: Sender, account: str | None) -> tuple[Taken, ...]:
        """Look whether it is true: at the account that is named, else at those that are meant.
        Never empty."""
        ...

    def note(self, delivery: Delivery) -> None:
        """Keep a delivery for activity."""
        ...

    def call_back(self, url: str) -> None:
        """Tell Docker Hub, later, that a delivery arrived; whatever URL a payload named."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A delivery as it came, from somebody who knows the secret. `signed`: what was signed with
    it, where it was shown so. `account`: the one that the URL names."""

    headers: Mapping[str, str]
    body: bytes
    signed: Signed | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer: a status, and a JSON object that holds nothing of the payload but what a sender
    wants to have back."""

    status: HTTPStatus
    content: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)


class Reception:
    """Reads deliveries and hands their hints on."""

    def __init__(
        self,
        desk: HookDesk,
        replays: Replays,
        pace: SenderPace,
        *,
        noting: SenderPace,
        clock: Callable[[], float],
        meter: Meter = UNMEASURED,
    ) -> None:
        """`pace` is for deliveries with hints, `noting` for what changed nothing and is kept for
        activity. `clock` is in epoch seconds."""
        self._meter = meter
        self._desk = desk
        self._replays = replays
        self._pace = pace
        self._noting = noting
        self._clock = clock

    def refuse(self, sender: Sender) -> None:
        """Somebody who does not know the secret."""
        self._count(sender, DeliveryOutcome.FORGED)

    def receive(self, kind: Kind, letter: Letter) -> Reply:
        """Read it, and poll what it names. Never raises."""
        sender = kind.sender
        if letter.signed is not None and letter.signed.is_stale(self._clock()):
            return self._refused(sender, HTTPStatus.UNAUTHORIZED, "the timestamp is too far off")
        try:
            message = kind.read(letter.body, letter.headers)
        except Malformed as error:
            return self._refused(sender, HTTPStatus.BAD_REQUEST, str(error))
        if message.reply:
            return self._ignored(sender, message)
        key = None if message.is_traffic else _key_of(sender, letter, message)
        if self._replays.has(key):
            return self._repeated(sender, message)
        if message.hints and not self._pace.lets(sender.name):
            return self._refused(
                sender,
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many deliveries",
                headers={"retry-after": "10"},
            )
        self._replays.add(key)
        if not message.hints:
            return self._ignored(sender, message, key)
        return self._accepted(sender, message, letter.account, key)

    def _accepted(
        self, sender: Sender, message: Message, account: str | None, key: str | None
    ) -> Reply:
        found: set[DeliveryOutcome] = set()
        for hints in _by_repository(message.hints):
            for hint in hints:
                results = self._desk.take(hint, sender, account)
            for taken in results:
                found.add(taken.outcome)
                self._note(sender, taken.outcome, _reason(taken, hints), taken.account, hints, key)
        outcome = next(each for each in _FIRST if each in found)
        self._count(sender, outcome)
        if message.callback_url is not None:
            self._desk.call_back(message.callback_url)
        return _accepted(outcome)

    def _ignored(self, sender: Sender, message: Message, key: str | None = None) -> Reply:
        outcome = DeliveryOutcome.IGNORED
        self._count(sender, outcome)
        if not message.is_traffic:
            self._note_in_vain(sender, outcome, message.note, key=key)
        if message.reply:
            return Reply(status=HTTPStatus.OK, content=message.reply)
        return _accepted(outcome)

    def _repeated(self, sender: Sender, message: Message) -> Reply:
        """A sender that insists has to hear that it arrived, or it sends nothing else."""
        outcome = DeliveryOutcome.REPEATED
        self._count(sender, outcome)
        self._note_in_vain(sender, outcome, "it was delivered before", hints=message.hints[:1])
        if sender.repeats:
            return _accepted(outcome)
        return Reply(status=HTTPStatus.CONFLICT, content=_told(outcome, "delivered before"))

    def _refused(
        self,
        sender: Sender,
        status: HTTPStatus,
        reason: str,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        outcome = DeliveryOutcome.REFUSED
        self._count(sender, outcome)
        self._note_in_vain(sender, outcome, reason)
        return Reply(status=status, content=_told(outcome, reason), headers=headers or {})

    def _count(self, sender: Sender, outcome: DeliveryOutcome) -> None:
        self._meter.count(Count.DELIVERIES, sender.name, outcome)

    def _note_in_vain(
        self,
        sender: Sender,
        outcome: DeliveryOutcome,
        reason: str,
        hints: tuple[Hint, ...] = (),
        key: str | None = None,
    ) -> None:
        """Note what changed nothing, if that is not too often: it must not push out of activity
        what did change something."""
        if self._noting.lets(sender.name):
            self._note(sender, outcome, reason, hints=hints, key=key)

    def _note(
        self,
        sender: Sender,
        outcome: DeliveryOutcome,
        reason: str,
        account: str | None = None,
        hints: tuple[Hint, ...] = (),
        key: str | None = None,
    ) -> None:
        first = hints[0] if hints else None
        self._desk.note(
            Delivery(
                time=datetime.fromtimestamp(self._clock(), UTC),
                sender=sender.name,
                outcome=outcome,
                reason=reason,
                account=account,
                repository=first.repository if first else None,
                tag=first.tag if first else None,
                digest=first.digest if first else None,
                key=key,
            )
        )


def _key_of(sender: Sender, letter: Letter, message: Message) -> str | None:
    """What tells a repeated delivery from a new one: what was signed, since headers may be changed
    by who sends it again; else the sender's number; else the body, if it says when it was. Without
    any of these two pushes of one tag look alike, and both are looked at."""
    if letter.signed is not None:
        content = letter.signed.content
    elif message.identifier is not None:
        content = message.identifier.encode()
    elif message.moment is not None:
        content = letter.body
    else:
        return None
    return hashlib.sha256(sender.name.encode() + b"\0" + content).hexdigest()


def _by_repository(hints: Iterable[Hint]) -> list[tuple[Hint, ...]]:
    """One group for each repository: a delivery that names many tags is one row of activity."""
    groups: dict[tuple[str | None, str], list[Hint]] = {}
    for hint in hints:
        groups.setdefault((hint.registry, hint.repository), []).append(hint)
    return [tuple(group) for group in groups.values()]


def _reason(taken: Taken, hints: tuple[Hint, ...]) -> str:
    more = len(hints) - 1
    return f"{taken.reason}; {more} more of it" if more else taken.reason


def _accepted(outcome: DeliveryOutcome) -> Reply:
    return Reply(status=HTTPStatus.ACCEPTED, content=_told(outcome))


def _told(outcome: DeliveryOutcome, reason: str = "") -> Mapping[str, str]:
    return {"outcome": outcome.value, "reason": reason} if reason else {"outcome": outcome.value}

"""How a poll ended, as values: what the poller gives to the watch, the pass and the commands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from watcher.core.change import Change
from watcher.core.verdict import Decision
from watcher.errors import WatcherError


class PollResult(StrEnum):
    """How one poll ended."""

    UNCHANGED = "unchanged"
    BASELINE = "baseline"
    CHANGED = "changed"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    PARKED = "parked"


class Purpose(StrEnum):
    """Why a poll is made: to find changes, to show them, or to take them as seen."""

    DETECT = "detect"
    DRY_RUN = "dry_run"
    FAST_FORWARD = "fast_forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class PollOutcome:
    """What one poll found. `until` is when a parked host may be asked again (epoch seconds);
    `hint` says what to look at after the error."""

    account: str
    repository: str
    result: PollResult
    tags: int = 0
    changes: tuple[Change, ...] = ()
    decisions: tuple[Decision, ...] = ()
    executions: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    error: WatcherError | None = None
    hint: str | None = None
    until: float | None = None

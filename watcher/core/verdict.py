"""What became of changes: the verdict of one trigger about one change, with its reason.

Values only; `trigger` makes them, `planning` and the store go on with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from watcher.core.change import Change, TriggerState


class Verdict(StrEnum):
    """What became of a change for one trigger: the words of activity, explain and the log."""

    FIRED = "fired"
    HELD = "held"
    DROPPED = "dropped"
    SUPERSEDED = "superseded"
    OLDER = "older"
    NO_MATCH = "no_match"
    UNWANTED_CHANGE = "unwanted_change"
    DISABLED = "disabled"
    REJECTED = "rejected"


NOT_EVENTS = frozenset({Verdict.NO_MATCH, Verdict.UNWANTED_CHANGE})
"""Verdicts about changes that are none of the trigger's business: no events for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one trigger makes of one change, and why, in words for a person."""

    trigger: str
    change: Change
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Every decision of one poll, firing ones in the order in which they queue, and the states of
    the triggers that changed with it (a first state is a trigger's baseline)."""

    decisions: tuple[Decision, ...] = ()
    states: Mapping[str, TriggerState] = field(default_factory=dict)

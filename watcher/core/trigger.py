"""Triggers: rules that turn a change into a run, and the decision about each change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from watcher.core.change import Change, ChangeKind
from watcher.core.selector import Ordering, TagRule


class Fire(StrEnum):
    """Whether each matching change of a batch fires, or only the highest."""

    EACH = "each"
    NEWEST = "newest"


class Backfill(StrEnum):
    """What a trigger fires at its first sight of a repository."""

    NONE = "none"
    NEWEST = "newest"
    ALL = "all"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One trigger (SPEC 3.2). Exactly one of `repository` (a name) and `repository_pattern`
    (RE2, full match) or a list of names in `repositories` is set."""

    name: str
    account: str
    pipeline: str
    repositories: tuple[str, ...] = ()
    repository_pattern: str | None = None
    enabled: bool = True
    tag: TagRule = field(default_factory=TagRule)
    order: Ordering = field(default_factory=Ordering)
    fire: Fire = Fire.EACH
    allow_downgrade: bool = False
    changes: frozenset[ChangeKind] = frozenset({ChangeKind.NEW})
    backfill: Backfill = Backfill.NONE
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one trigger makes of one change, and why, in words for a person."""

    trigger: str
    change: Change
    verdict: Verdict
    reason: str

"""What is known of a repository's tags, and the changes between that and a listing.

Values only; `diff` makes changes, `trigger` decides about them, the store keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ChangeKind(StrEnum):
    """What happened to a tag. A deleted tag that comes back is new (SPEC 3.2)."""

    NEW = "new"
    MOVED = "moved"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTag:
    """One tag as stored. `sequence` counts tags of the repository in the order of first sight;
    `change_number` counts this tag's changes, deleted tags keep their row for it; `stands_still`
    while none of them came after the first sight."""

    digest: str | None
    first_seen: datetime
    sequence: int
    change_number: int
    present: bool = True
    stands_still: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A listing that lost too many tags: shown, not believed until a later poll says the same."""

    since: datetime
    fingerprint: str
    listed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerState:
    """What one trigger knows of one repository; its existence says that it has its baseline.
    `highest` is the highest tag, in the trigger's order, that fired."""

    highest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRepository:
    """Everything stored about one repository that detection needs. `generation` counts the polls
    recorded so far, so that a result computed from this can be told from an outdated one."""

    account: str
    repository: str
    baselined: bool
    tags: Mapping[str, KnownTag] = field(default_factory=dict)
    triggers: Mapping[str, TriggerState] = field(default_factory=dict)
    quarantine: Quarantine | None = None
    generation: int = 0

    @property
    def present(self) -> dict[str, KnownTag]:
        return {name: tag for name, tag in self.tags.items() if tag.present}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one tag; `number` is the tag's change number after it."""

    kind: ChangeKind
    tag: str
    digest: str | None
    previous_digest: str | None
    number: int

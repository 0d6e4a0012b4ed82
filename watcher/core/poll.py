"""The result of one poll of one repository: what `store.record_poll` writes in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from watcher.core.change import Change, Quarantine, TriggerState
from watcher.core.pipeline import NewExecution
from watcher.core.verdict import Decision

CATALOG = "_catalog"
"""An account's catalog where repositories are named; none of these begins with an underscore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollRecord:
    """What a poll found and decided (ARCHITECTURE section 3, step 5).

    `baseline` lists the tags of a first sight, in the registry's order, each with its digest or
    None. `digests` are tags whose digest became known without a change (tracking switched on), or
    is forgotten (None), because no trigger follows the tag; they are written after the changes.
    `triggers` holds the states that changed. `executions` are in the order in which they queue;
    each belongs to the decision with the same trigger and change. For decisions that are held or
    rejected, `held` maps (trigger, tag, change number) to what would be queued.
    `fingerprint` is of the listing's bytes, None when the next poll must parse again; `mark` and
    `walked` are those of RepositoryStatus.
    `generation` is that of the KnownRepository which all this was computed from; None: not checked.
    """

    account: str
    repository: str
    at: datetime
    baseline: Mapping[str, str | None] | None = None
    changes: tuple[Change, ...] = ()
    digests: Mapping[str, str | None] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    triggers: Mapping[str, TriggerState] = field(default_factory=dict)
    executions: tuple[NewExecution, ...] = ()
    held: Mapping[tuple[str, str, int], NewExecution] = field(default_factory=dict)
    quarantine: Quarantine | None = None
    fingerprint: bytes | None = None
    mark: str | None = None
    walked: float | None = None
    generation: int | None = None


class RepositoryState(StrEnum):
    """The words of `watcher status` for one repository (SPEC 8)."""

    OK = "ok"
    PENDING = "pending"
    QUARANTINED = "quarantined"
    FAILING = "failing"
    PARKED = "parked"
    STALE = "stale"


@dataclass(slots=True, kw_only=True)
class RepositoryStatus:
    """Bookkeeping of one repository, kept in memory and flushed in batches (SPEC 5).
    Times are seconds since the epoch, for 10 000 of these are held at once. `fingerprint` is of a
    listing that says what is stored at this `generation`, and is worth nothing at another; so is
    `mark`, where the registry's own API was read to. `walked`: the last complete listing.
    `dropped`: the account's catalog names it no more."""

    account: str
    repository: str
    tags: int = 0
    last_check: float | None = None
    last_success: float | None = None
    last_error: str | None = None
    next_check: float | None = None
    failures: int = 0
    quarantined: bool = False
    fingerprint: bytes | None = None
    mark: str | None = None
    walked: float | None = None
    known: bool = False
    dropped: bool = False
    generation: int = 0


@dataclass(slots=True)
class CatalogStatus:
    """How the reads of an account's catalog went in this process: how many failed in a row, why
    the last one did or is not believed, and whether one ever did well."""

    failures: int = 0
    error: str | None = None
    was_read: bool = False

    def failed(self, error: str) -> None:
        self.failures, self.error = self.failures + 1, error

    def read(self, doubt: str | None) -> None:
        """Well, or with a doubt about what it says."""
        self.failures, self.error, self.was_read = 0, doubt, True

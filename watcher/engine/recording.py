"""What one look at a repository is written down as: a record, for one transaction of the store.

From what was found and decided to changes, digests, decisions, and what is queued or held. Pure;
used by the poller, which looks, and hands the record to the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from watcher.core import diff, planning
from watcher.core.account import Account
from watcher.core.change import KnownRepository, Quarantine
from watcher.core.poll import PollRecord, RepositoryStatus
from watcher.core.trigger import Trigger
from watcher.engine.detection import Findings, Moment
from watcher.engine.remembering import Traces, traces_of_a_part
from watcher.engine.rules import Rules
from watcher.engine.sighting import Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look with all that it is compared with."""

    known: KnownRepository
    sighting: Sighting
    rules: Rules
    triggers: tuple[Trigger, ...]
    traces: Traces
    moment: Moment


def record_of(
    account: Account, status: RepositoryStatus, look: Look, found: Findings, salt: bytes
) -> PollRecord:
    """All that a look found. `salt` is the triggers' part of the fingerprint, see `remembering`."""
    known, rules, now = look.known, look.rules, look.moment.time
    executions, held = planning.plan_executions(
        found.decided,
        rules.triggers,
        rules.pipelines,
        account=account.name,
        registry=account.registry.name,
        repository=status.repository,
        now=now,
    )
    incomplete = found.unreadable or found.error is not None
    traces = traces_of_a_part(status, salt) if incomplete else look.traces
    return replace(
        _blank(status, now, **traces._asdict()),
        baseline=None if known.baselined else _first_sight(look.sighting.tags, found),
        generation=known.generation,
        changes=found.changes,
        digests=_kept_digests(known, found) if known.baselined else {},
        decisions=found.decided.decisions,
        triggers=found.decided.states,
        executions=executions,
        held=held,
    )


def record_of_doubt(status: RepositoryStatus, now: datetime, quarantine: Quarantine) -> PollRecord:
    """Of a listing that is not believed: nothing of what it says."""
    return _blank(status, now, quarantine=quarantine)


def says_something(record: PollRecord, known: KnownRepository) -> bool:
    """Whether the poll has to be written down; an idle one has not (SPEC 5)."""
    return bool(
        record.baseline is not None
        or record.changes
        or record.digests
        or record.decisions
        or record.triggers
        or known.quarantine is not None
    )


def _blank(status: RepositoryStatus, now: datetime, **values: object) -> PollRecord:
    return replace(
        PollRecord(account=status.account, repository=status.repository, at=now),
        **values,  # type: ignore[arg-type]
    )


def _first_sight(tags: Sequence[str], found: Findings) -> dict[str, str | None]:
    return {tag: found.digests.get(tag) if tag in found.tracked else None for tag in tags}


def _kept_digests(known: KnownRepository, found: Findings) -> dict[str, str | None]:
    """Digests to write beside the changes: newly known ones of followed tags, and None for
    tags that nothing follows. A stale digest would look like a move when a trigger comes to
    follow the tag later (SPEC 5: switching tracking on fires nothing)."""
    fresh = diff.recorded_digests(known, found.digests)
    kept: dict[str, str | None] = {t: d for t, d in fresh.items() if t in found.tracked}
    stored = (name for name, tag in known.present.items() if tag.digest is not None)
    arrived = (change.tag for change in found.changes if change.digest is not None)
    kept.update((tag, None) for tag in (*stored, *arrived) if tag not in found.tracked)
    return kept

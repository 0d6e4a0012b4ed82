"""A poller and a store in memory: the shortest program that does what the real ones promise.

The store applies a PollRecord as one step, keeps execution keys unique, and may be handed the same
record again, as after a commit whose answer was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from tests.core.builders import ACCOUNT, REPOSITORY
from watcher.core.change import (
    Change,
    ChangeKind,
    KnownRepository,
    KnownTag,
    Quarantine,
    TriggerState,
)
from watcher.core.diff import assess, diff, recorded_digests
from watcher.core.pipeline import NewExecution, Pipeline
from watcher.core.planning import plan_executions
from watcher.core.poll import PollRecord
from watcher.core.trigger import Trigger, baseline, decide

INTERVAL = timedelta(minutes=1)
PIPELINES = {"deploy": Pipeline(name="deploy", stages=())}


class SimulatedStore:
    """One repository's rows, and the executions that were ever queued, by key."""

    def __init__(self) -> None:
        self.baselined = False
        self.tags: dict[str, KnownTag] = {}
        self.triggers: dict[str, TriggerState] = {}
        self.quarantine: Quarantine | None = None
        self.executions: dict[str, NewExecution] = {}

    def known(self) -> KnownRepository:
        return KnownRepository(
            account=ACCOUNT,
            repository=REPOSITORY,
            baselined=self.baselined,
            tags=dict(self.tags),
            triggers=dict(self.triggers),
            quarantine=self.quarantine,
        )

    def record_poll(self, record: PollRecord) -> list[NewExecution]:
        """What was queued by it; nothing the second time."""
        if record.baseline is not None and not self.baselined:
            self.baselined = True
            for tag, digest in record.baseline.items():
                self.tags[tag] = self._row(record.at, digest, 0)
        for change in record.changes:
            self._apply(change, record.at)
        for tag, digest in record.digests.items():
            row = self.tags[tag]
            self.tags[tag] = KnownTag(
                digest=digest,
                first_seen=row.first_seen,
                sequence=row.sequence,
                change_number=row.change_number,
                present=row.present,
            )
        self.triggers.update(record.triggers)
        self.quarantine = record.quarantine
        queued = [e for e in record.executions if e.key not in self.executions]
        self.executions.update({execution.key: execution for execution in queued})
        return queued

    def _apply(self, change: Change, at: datetime) -> None:
        row = self.tags.get(change.tag)
        if row is not None and row.change_number >= change.number:
            return
        seen = at if row is None or change.kind is ChangeKind.NEW else row.first_seen
        present = change.kind is not ChangeKind.DELETED
        self.tags[change.tag] = self._row(seen, change.digest, change.number, present=present)

    def _row(
        self, seen: datetime, digest: str | None, number: int, *, present: bool = True
    ) -> KnownTag:
        return KnownTag(
            digest=digest,
            first_seen=seen,
            sequence=len(self.tags),
            change_number=number,
            present=present,
        )


def look(
    known: KnownRepository,
    listed: Iterable[str],
    digests: Mapping[str, str],
    triggers: list[Trigger],
    *,
    enabled: set[str],
    now: datetime,
    hold_above: int = 1000,
) -> PollRecord:
    """What one poll with a complete answer has to record."""
    tags = tuple(listed)
    quarantine = assess(known, tags, now=now, interval=INTERVAL)
    if quarantine is not None:
        return PollRecord(account=ACCOUNT, repository=REPOSITORY, at=now, quarantine=quarantine)
    changes: tuple[Change, ...] = ()
    if known.baselined:
        changes = diff(known, tags, digests)
        decided = decide(triggers, known, changes, now=now, hold_above=hold_above, enabled=enabled)
    else:
        decided = baseline(
            triggers, known, tags, digests, now=now, hold_above=hold_above, enabled=enabled
        )
    executions, held = plan_executions(
        decided,
        triggers,
        PIPELINES,
        account=ACCOUNT,
        registry="index.docker.io",
        repository=REPOSITORY,
        now=now,
    )
    return PollRecord(
        account=ACCOUNT,
        repository=REPOSITORY,
        at=now,
        baseline=None if known.baselined else {tag: digests.get(tag) for tag in tags},
        changes=changes,
        digests=recorded_digests(known, digests) if known.baselined else {},
        decisions=decided.decisions,
        triggers=decided.states,
        executions=executions,
        held=held,
    )

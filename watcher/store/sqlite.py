"""The state file as an object: one method, one transaction (ARCHITECTURE section 5, SPEC 6.1).

Synchronous and for one thread; `threaded.ThreadedStore` carries it for async code. The SQL stands
in the sibling modules, the transactions in `state_file`; here is what can be asked and written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from watcher.core.change import KnownRepository
from watcher.core.deployment import Bundle, Rejection
from watcher.core.host import Counted, Quota, Recognition
from watcher.core.pipeline import Execution, ExecutionStatus, Json, NewExecution
from watcher.core.poll import PollRecord, RepositoryStatus
from watcher.core.trigger import Trigger
from watcher.store import (
    claims,
    deployments,
    events,
    executions,
    hosts,
    polls,
    queueing,
    rejections,
    requests,
)
from watcher.store.claims import Claimed
from watcher.store.events import EventSelector
from watcher.store.executions import Backlog
from watcher.store.requests import Request
from watcher.store.upkeep import Upkeep

if TYPE_CHECKING:
    from watcher.store.deliveries import Deliveries
    from watcher.store.outbox import Outbox

__all__ = ["Backlog", "Claimed", "EventSelector", "Request", "Store"]


class Store(Upkeep):
    """Every method may raise StateError; then nothing of it was written."""

    # What was seen

    def known(self, account: str, repository: str) -> KnownRepository:
        with self._reading() as db:
            return polls.known(db, account, repository)

    def record_poll(self, record: PollRecord) -> tuple[str, ...]:
        """Tags, activity, decisions and executions at once; the ids of what was queued.

        Raises StateChanged when another process recorded this repository since it was read.
        """
        with self._writing("poll") as db:
            return polls.record(db, record)

    def present_tags(
        self, account: str, repository: str, names: Iterable[str]
    ) -> dict[str, str | None]:
        """Those of the tags that are there, with their digests where these are known."""
        with self._reading() as db:
            return polls.present_tags(db, account, repository, names)

    def repository_statuses(self, account: str | None = None) -> list[RepositoryStatus]:
        with self._reading() as db:
            return polls.statuses(db, account)

    def flush(
        self,
        statuses: Iterable[RepositoryStatus],
        blocked: Mapping[str, float],
        catalogs: Mapping[str, str] | None = None,
        recognised: Mapping[str, Recognition] | None = None,
        quotas: Mapping[Counted, Quota] | None = None,
    ) -> None:
        """Bookkeeping of many polls in one transaction; `blocked` and `quotas` replace what was
        stored, `catalogs` are fingerprints by account, `recognised` is by host."""
        with self._writing("flush", durable=False) as db:
            polls.flush(db, statuses, blocked, catalogs or {}, recognised or {}, quotas or {})

    def blocked(self) -> dict[str, float]:
        """Until when hosts and accounts may not be asked, in seconds since the epoch."""
        with self._reading() as db:
            return hosts.blocked(db)

    def recognised(self) -> dict[str, Recognition]:
        """What each host was found to be."""
        with self._reading() as db:
            return hosts.recognised(db)

    def quotas(self) -> dict[Counted, Quota]:
        """What hosts and accounts said that they still allow, also where that is over."""
        with self._reading() as db:
            return hosts.quotas(db)

    def catalogs(self) -> dict[str, str]:
        """The fingerprint of each account's last catalog."""
        with self._reading() as db:
            return requests.catalogs(db)

    # What became of it

    def activity(
        self, limit: int | None = 50, account: str | None = None, repository: str | None = None
    ) -> list[dict[str, Json]]:
        """Newest first, in the shape of SPEC 8."""
        with self._reading() as db:
            return events.activity(db, limit, account, repository)

    def events(self, outcome: str | None = None) -> list[dict[str, Json]]:
        """Oldest first: id, time, account, repository, tag, digest, change, trigger, outcome,
        reason, batch, execution."""
        with self._reading() as db:
            return events.events(db, outcome)

    def latest_events(self, limit: int, outcomes: Collection[str]) -> list[dict[str, Json]]:
        """As `events`, of these outcomes, and the newest first."""
        with self._reading() as db:
            return events.latest(db, limit, outcomes)

    def release(self, selector: EventSelector, triggers: Iterable[Trigger] = ()) -> tuple[str, ...]:
        """Fire held events in rising order; the ids of the executions. `triggers` are the
        config's, for what each takes for its highest tag."""
        with self._writing("release") as db:
            return events.release(db, selector, triggers)

    def drop(self, selector: EventSelector) -> tuple[int, ...]:
        """Let held events go; their ids."""
        with self._writing("drop") as db:
            return events.drop(db, selector)

    def replay(self, event: int) -> str:
        """Run an old event again; the new execution's id. Raises UsageError."""
        with self._writing("replay") as db:
            return events.replay(db, event, self._clock())

    def set_enabled(self, trigger: str, enabled: bool) -> None:
        """Switch a trigger; that outlives a restart."""
        with self._writing("switch") as db:
            requests.switch(db, trigger, self._clock(), enabled=enabled)

    def enabled_overrides(self) -> dict[str, bool]:
        with self._reading() as db:
            return requests.switches(db)

    # Runs

    def submit(self, new: NewExecution, parent: str | None = None) -> bool:
        """Queue a run; False when its key was used before."""
        with self._writing("submit") as db:
            return queueing.submit(db, new, parent)

    def execution(self, identifier: str) -> Execution | None:
        """By id or unambiguous prefix, with the stages' logs. Raises UsageError."""
        with self._reading() as db:
            return executions.find(db, identifier)

    def executions(
        self,
        limit: int | None = 50,
        status: ExecutionStatus | None = None,
        pipeline: str | None = None,
    ) -> list[Execution]:
        """Newest first, without logs."""
        with self._reading() as db:
            return executions.listed(db, limit, status, pipeline)

    def backlog(self) -> Backlog:
        from watcher.store import messages  # an idle pass asks for nothing of this

        with self._reading() as db:
            unsent = messages.unsent(db)
            return Backlog(events.held_by_trigger(db), executions.unfinished(db), unsent)

    def any_unfinished(self) -> bool:
        with self._reading() as db:
            return executions.any_unfinished(db)

    def failed_since(self, moment: datetime) -> list[str]:
        with self._reading() as db:
            return executions.failed_since(db, moment)

    def request_cancel(self, identifier: str) -> bool:
        """Ask for the end of a run and of those it started; False when it has ended already."""
        with self._writing("cancel") as db:
            return executions.request_cancel(db, identifier, self._clock())

    def retry(self, identifier: str) -> bool:
        """Queue a failed or canceled run again from the stage that ended it; else False."""
        with self._writing("retry") as db:
            return queueing.retry(db, identifier)

    def decide(self, identifier: str, index: int, *, approved: bool, person: str) -> bool:
        """A decision about a stage that waits for a person, or will; True when it is the first."""
        with self._writing("decide") as db:
            return executions.decide(
                db, identifier, index, approved=approved, person=person, at=self._clock()
            )

    # For the runner

    def claim(self, now: datetime, active: Collection[str], slots: int) -> Claimed:
        """Runs to go on with, now RUNNING; writes nothing when there are none."""
        with self._reading() as db:
            if slots <= 0 or not claims.has_work(db, now, active):
                return Claimed([], [])
        with self._writing("claim") as db:
            return claims.claim(db, now, active, slots)

    def save_start(self, execution: Execution, index: int) -> Execution:
        """Write that the stage at `index` starts; returns the run as stored."""
        with self._writing("start") as db:
            return executions.save(db, execution, index, None)

    def save(self, execution: Execution, index: int | None, wake: datetime | None) -> Execution:
        """Write a run and its stage at `index`; returns it as stored, see executions.save."""
        with self._writing("outcome") as db:
            return executions.save(db, execution, index, wake)

    def remember(self, identifier: str, index: int, resumed: Json, undo: Json) -> None:
        """What a stage under way wants to know after a crash."""
        with self._writing("memory") as db:
            executions.remember(db, identifier, index, resumed, undo)

    def save_logs(self, logs: Mapping[tuple[str, int], str]) -> None:
        """What stages under way have said so far, by (execution, index)."""
        with self._writing("logs", durable=False) as db:
            executions.save_logs(db, logs)

    def canceled(self, active: Iterable[str]) -> list[str]:
        with self._reading() as db:
            return executions.canceled(db, active)

    def next_wake(self, *, without_people: bool = False) -> float | None:
        """When the next waiting run is due (epoch seconds); `without_people`: of those that wait
        for time only."""
        with self._reading() as db:
            if without_people:
                return claims.next_wake_without_people(db)
            return claims.next_wake(db)

    # What was deployed

    def last_good(self, pipeline: str, stage: str) -> Bundle | None:
        """What the last run of this pipeline applied in this stage, if it went well."""
        with self._reading() as db:
            return deployments.last_good(db, pipeline, stage)

    def propose(self, pipeline: str, stage: str, bundle: Bundle) -> None:
        """Keep what a run applies; it is the last good one when that run has ended well."""
        with self._writing("propose") as db:
            deployments.propose(db, pipeline, stage, bundle)

    def reject(self, rejection: Rejection) -> None:
        """Fire an image no more for a pipeline, until it is cleared (SPEC 6.4)."""
        with self._writing("reject") as db:
            rejections.add(db, rejection)

    def rejections(self, pipeline: str | None = None) -> list[Rejection]:
        """Oldest first."""
        with self._reading() as db:
            return rejections.listed(db, pipeline)

    def rejection_of_run(
        self, pipeline: str, execution: str, digest: str | None
    ) -> Rejection | None:
        """What keeps a run's image out of its pipeline; nothing if a person asked for the run."""
        with self._reading() as db:
            return rejections.of_run(db, pipeline, execution, digest)

    def clear_rejections(self, identifiers: Iterable[int]) -> int:
        """Let images go again, by the numbers of their rejections; how many there were."""
        with self._writing("clear") as db:
            return rejections.clear(db, identifiers)

    # Webhooks, and what is to be told: loaded when they are asked for, not by an idle pass

    @cached_property
    def deliveries(self) -> Deliveries:
        """Webhooks that came, and for whom they are taken."""
        from watcher.store.deliveries import Deliveries

        return Deliveries(self._reading, self._writing, self._clock)

    @cached_property
    def outbox(self) -> Outbox:
        """What is told to whom."""
        from watcher.store.outbox import Outbox

        return Outbox(self._reading, self._writing, self._clock)

    def any_notice(self) -> bool:
        """Whether something was written that is to be told and is not in the outbox yet."""
        with self._reading() as db:
            return bool(db.execute("SELECT EXISTS (SELECT 1 FROM notice)").fetchone()[0])

    # Beside a daemon

    def request(self, kind: str, payload: Json) -> int:
        """Ask the daemon for something; the number of the request."""
        with self._writing("request") as db:
            return requests.add(db, kind, payload, self._clock())

    def pending_requests(self) -> list[Request]:
        with self._reading() as db:
            return requests.pending(db)

    def finish_request(self, identifier: int, result: Json) -> None:
        with self._writing("request") as db:
            requests.finish(db, identifier, result, self._clock())

    def close_request(self, identifier: int) -> None:
        """Whoever asked has the answer, or waits no longer."""
        with self._writing("request") as db:
            requests.close(db, identifier, self._clock())

    def request_result(self, identifier: int) -> Request | None:
        """The request as it stands; its `finished` says whether there is a result."""
        with self._reading() as db:
            return requests.get(db, identifier)

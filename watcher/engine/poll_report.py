"""Where the outcome of a poll is said: on the board for `status`, in the log, in the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from watcher.core.change import ChangeKind
from watcher.core.poll import PollRecord, RepositoryStatus
from watcher.core.verdict import Verdict
from watcher.engine.board import StatusBoard
from watcher.engine.poll_outcome import PollOutcome, PollResult
from watcher.errors import StateChanged, StateError
from watcher.telemetry.events import Event
from watcher.telemetry.families import Count, StateUse, Timing
from watcher.telemetry.log import Log
from watcher.telemetry.meter import UNMEASURED, Meter

_TAG_EVENTS = {
    ChangeKind.NEW: Event.TAG_NEW,
    ChangeKind.MOVED: Event.TAG_MOVED,
    ChangeKind.DELETED: Event.TAG_DELETED,
}
_KEPT_EVENTS = {
    Verdict.HELD: (
        Event.EVENTS_HELD,
        "`watcher events ls`, then `watcher events release` or `drop`",
    ),
    Verdict.REJECTED: (
        Event.EVENTS_REJECTED,
        "a rollback rejected these images: `watcher events rejected`, then `clear`",
    ),
}


class PollReport:
    """Tells of polls; used by the pollers of all accounts."""

    def __init__(
        self,
        board: StatusBoard,
        log: Log,
        clock: Callable[[], float],
        meter: Meter = UNMEASURED,
    ) -> None:
        self._board = board
        self._log = log
        self._clock = clock
        self._meter = meter

    def note(self, status: RepositoryStatus, outcome: PollOutcome, seconds: float) -> None:
        """Write the outcome of a poll that took so long on the board and, where it says
        something, into the log."""
        self._measure(outcome, seconds)
        status.last_check = self._clock()
        keys = {"account": status.account, "repository": status.repository}
        failed_before = status.failures > 0
        if outcome.error is not None:
            status.failures += 1
            status.last_error = str(outcome.error)
            event = Event.POLL_PARKED if outcome.result is PollResult.PARKED else Event.POLL_FAILED
            self._log.warning(event, **keys, error=str(outcome.error), hint=outcome.hint)
        else:
            status.quarantined = outcome.result is PollResult.QUARANTINED
            status.failures, status.last_error = 0, None
            status.last_success = status.last_check
            status.tags = outcome.tags
            if failed_before:
                self._log.info(Event.POLL_RECOVERED, **keys)
        if outcome.unreadable:
            self._log.warning(Event.TAG_UNREADABLE, **keys, tags=list(outcome.unreadable[:10]))
        if outcome.result is PollResult.QUARANTINED:
            self._log.warning(Event.LISTING_QUARANTINED, **keys, tags=outcome.tags)
        self._board.touch(status, turned=failed_before != (status.failures > 0))

    def tell(self, record: PollRecord) -> None:
        verdicts = Counter(decision.verdict for decision in record.decisions)
        for verdict, number in verdicts.items():
            self._meter.count(Count.EVENTS, record.account, verdict, by=number)
        keys = {"account": record.account, "repository": record.repository}
        if record.baseline is not None:
            self._log.info(Event.BASELINE_RECORDED, **keys, tags=len(record.baseline))
        for change in record.changes:
            self._log.info(_TAG_EVENTS[change.kind], **keys, tag=change.tag, digest=change.digest)
        for verdict, (event, hint) in _KEPT_EVENTS.items():
            if verdicts[verdict]:
                self._log.warning(event, **keys, events=verdicts[verdict], hint=hint)
        for execution in record.executions:
            self._log.info(
                Event.EXECUTION_QUEUED,
                **keys,
                execution=execution.id,
                pipeline=execution.pipeline.name,
                trigger=execution.trigger,
                tag=execution.tag,
            )

    def _measure(self, outcome: PollOutcome, seconds: float) -> None:
        self._meter.count(Count.POLLS, outcome.account, outcome.result)
        self._meter.time(Timing.POLL, seconds, outcome.account)
        error = outcome.error
        if isinstance(error, StateError) and not isinstance(error, StateChanged):
            self._meter.count(Count.STATE_FAILURES, StateUse.POLL)

"""`wait: 5m`: lets time pass before the next stage. The end is data and outlives restarts."""

from __future__ import annotations

from datetime import datetime, timedelta

from watcher.config import durations
from watcher.config.fields import Duration, Either, Field, Kind, Section
from watcher.core.pipeline import Done, Json, StageOutcome, Waiting
from watcher.stages.base import StageContext


class WaitStage:
    """Its end is computed once, when the stage is first reached."""

    type = "wait"
    has_dry_run = False
    options: Kind = Either(
        Duration(),
        Section(
            {"for": Field(Duration(), required=True, doc="How long to wait.", example="5m")},
            doc="Waits before the next stage; `wait: 5m` is short for `wait: {for: 5m}`.",
        ),
    )

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        now, duration = context.now(), self._duration(options)
        until = self._end(context, now + duration)
        if now >= until:
            return Done({"until": until.isoformat()})
        return Waiting(until=until - now, waiting_for=f"the time {until.isoformat()}")

    @staticmethod
    def _end(context: StageContext, latest: datetime) -> datetime:
        """A clock that was set back while nothing ran does not put it off by as much."""
        return latest if context.waited_until is None else min(context.waited_until, latest)

    @staticmethod
    def _duration(options: Json) -> timedelta:
        return durations.parse(options if isinstance(options, str) else options["for"])

"""One pass by this process, with progress where a person waits: what `run --once`, `poll` and
`baseline` share when no daemon holds the state file.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from watcher.cli import output
from watcher.cli.base import Invocation
from watcher.cli.session import open_log, open_store
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.daemon.app import App
    from watcher.daemon.once import PassReport, Selection
    from watcher.engine.poll_outcome import PollOutcome, Purpose

ENOUGH_FOR_A_BAR = 10  # repositories; fewer are done before a bar is drawn


def one_pass(
    invocation: Invocation,
    config: Config,
    *,
    purpose: Purpose,
    command: str,
    selection: Selection | None = None,
) -> PassReport:
    """Poll the selected repositories once and run what that queues. Raises StateError (another
    process holds the state file, for one) and UsageError."""
    from watcher.daemon.once import run_once

    with ExitStack() as stack:

        async def carry_out(app: App) -> tuple[list[str], list[str]]:
            if not sys.stderr.isatty():
                return await app.run_executions()
            from watcher.cli.progress import Onlooker, watched

            onlooker = Onlooker(lambda: stack.enter_context(open_store(config)))
            ended = await watched(app.run_executions(), onlooker.look)
            onlooker.end()
            return ended

        return run_once(
            config,
            log=_log(invocation),
            clock=time.time,
            environment=os.environ,
            command=command,
            selection=selection,
            purpose=purpose,
            carry_out=carry_out,
            progress=_Progress(stack).note,
        )


def _log(invocation: Invocation) -> Log:
    """On the console the pass itself tells what is parked; readers of JSON, and of a file, go by
    the log."""
    if invocation.log_format == "json" or invocation.log_file is not None:
        return open_log(invocation)
    return open_log(invocation, _WithoutParked)


class _WithoutParked(Log):
    """A log that leaves out what is said once for each host at the end of the pass."""

    def warning(self, event: Event, **keys: object) -> None:
        if event is not Event.POLL_PARKED:
            super().warning(event, **keys)


class _Progress:
    """Draws a bar from the first outcome on, if there is enough to wait for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._meter: output.Meter | None = None

    def note(self, done: int, total: int, outcome: PollOutcome) -> None:
        if total < ENOUGH_FOR_A_BAR:
            return
        if self._meter is None:
            self._meter = self._stack.enter_context(output.progress("polling", total))
        self._meter.advance(f"{outcome.account}/{outcome.repository}")

"""The daemon: watches, runner, bookkeeping and requests as tasks of one group, until a signal.

This module owns signals and the group of all tasks. If one of the root tasks dies, the process ends
and its supervisor starts it again: everything that matters is in the state file. SIGTERM stops
polling and lets stages reach a safe point within 20 s; a second signal ends at once; SIGHUP or a
changed config file reloads, and a bad file keeps what was (SPEC 8).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from watcher.core.health import BOOKKEEPING
from watcher.daemon.announcing import Announcer
from watcher.daemon.app import App, opened
from watcher.daemon.at_work import AccountsAtWork
from watcher.daemon.desk import Desk
from watcher.daemon.measuring import measured
from watcher.daemon.reload import LoadConfig, Reload
from watcher.daemon.requests import RequestDesk
from watcher.daemon.supervision import OPENING, Supervision
from watcher.daemon.upkeep import HOURLY, let_go_if_due
from watcher.daemon.vitals import Patience, Vitals
from watcher.engine.poll_outcome import PollOutcome
from watcher.engine.rules import Rules
from watcher.engine.ticker import Ticker
from watcher.errors import ConfigError, StateError, WatcherError
from watcher.telemetry.events import Event
from watcher.telemetry.families import Count, StateUse
from watcher.telemetry.log import Log
from watcher.telemetry.systemd import ServiceManager

if TYPE_CHECKING:
    from watcher.daemon.webhooks import Webhooks
    from watcher.web.server import HttpServer

FIRST_BOOKKEEPING = timedelta(seconds=5)
TURNS_LOOK = timedelta(seconds=5)
FIRST_RETENTION = timedelta(minutes=2)
RETENTION_LOOK = timedelta(minutes=10)
RECOGNITION_LOOK = timedelta(hours=1)
CONFIG_LOOK = timedelta(seconds=5)
DELIVERY_WRITE = timedelta(seconds=1)
STATE_LOOK = timedelta(milliseconds=500)
SWITCH_SECONDS = 0.001
"""After which the state's thread lets the event loop have its turn: of Python's usual 5 ms each
poll would wait many while a large repository is read."""


class Service:
    """One daemon around one App."""

    def __init__(
        self,
        app: App,
        load: LoadConfig,
        manager: ServiceManager | None = None,
        *,
        patience: Patience | None = None,
    ) -> None:
        self._app = app
        self._ticker = Ticker()
        self._accounts = AccountsAtWork(app, self._ticker, on_outcome=self._noticed)
        watches = self._accounts.watches
        self._announcer = Announcer(app)
        self._stop = asyncio.Event()
        self._jobs: set[asyncio.Task[None]] = set()
        self._flush_now = self._job(self._flush)
        self.vitals = Vitals(watches, self._ticker, app.store, clock=app.clock, patience=patience)
        self._desk = Desk(app, watches, self._take_over, self._fall_behind)
        self._requests = RequestDesk(app, watches, self._desk, self.vitals.health)
        self._supervision = Supervision(
            manager or ServiceManager(),
            self.vitals,
            watches,
            lambda: app.runner().running,
            log=app.log,
            clock=app.clock,
        )
        self._reload = Reload(
            app,
            load,
            self._accounts,
            announcer=self._announcer,
            supervision=self._supervision,
        )
        self._webhooks: Webhooks | None = None
        self._is_behind = False

    async def run(self) -> None:
        """Work until a signal asks to stop."""
        app = self._app
        await self._requests.begin()
        http = await self._http_server()
        self._handle_signals()
        runner = app.runner()
        async with asyncio.TaskGroup() as group:
            self._group = group
            if http is not None:
                group.create_task(http.serve(), name="http")
            if self._webhooks is not None:
                self._take_webhooks(self._webhooks)
            runner_task = group.create_task(runner.run(), name="runner")
            announcing = group.create_task(self._announcer.run(), name="announcer")
            self._accounts.start_all(group)
            self.vitals.begin()
            supervising = group.create_task(self._supervision.run(), name="supervision")
            self._plan_jobs()
            self._ticker.start()
            app.log.info(Event.STARTED, accounts=len(app.members), state=str(app.config.state))
            await self._stop.wait()
            self._supervision.stopping()
            app.log.info(Event.STOPPING)
            if http is not None:
                http.stop()
            await self._stop_polling()
            await runner.close()
            await runner_task
            if self._webhooks is not None:
                await self._webhooks.log.write()
            announcing.cancel()
            await self._flush()
            supervising.cancel()
            app.log.info(Event.STOPPED)

    def stop(self) -> None:
        self._stop.set()

    def _plan_jobs(self) -> None:
        """What is done again and again, besides the polls."""
        every, job = self._ticker.every, self._job
        every("bookkeeping", BOOKKEEPING, self._flush_now, first=FIRST_BOOKKEEPING)
        every("turns", TURNS_LOOK, self._flush_turns)
        every("recognition", RECOGNITION_LOOK, job(self._recognise), first=timedelta(0))
        every("retention", RETENTION_LOOK, job(self._let_go), first=FIRST_RETENTION)
        every("config", CONFIG_LOOK, job(self._reload.if_changed))
        every("state", STATE_LOOK, job(self._look_at_state))

    async def _http_server(self) -> HttpServer | None:
        """The HTTP side, which can be connected to from now on; raises ListenError and
        StateError."""
        settings = self._app.config.http
        if settings is None:
            return None
        from watcher.daemon.http_side import http_server
        from watcher.daemon.webhooks import opened as opened_webhooks

        self._webhooks = await opened_webhooks(self._app, self._accounts.watches)
        return http_server(self._app, self._desk, self.vitals, self._webhooks, settings)

    def _take_webhooks(self, webhooks: Webhooks) -> None:
        """What of them goes on beside the requests."""
        self._ticker.every("deliveries", DELIVERY_WRITE, self._job(webhooks.log.write))
        self._jobs.add(self._group.create_task(webhooks.callbacks.run(), name="callbacks"))

    async def _stop_polling(self) -> None:
        await self._ticker.stop()
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self._accounts.end_all()

    def _noticed(self, outcome: PollOutcome) -> None:
        if outcome.executions or outcome.error is not None:
            self._app.wake_runner()  # a poll can run out of time while what it queued is written
        if self._app.has_unflushed_blocks:
            self._flush_now()  # a Retry-After has to outlive a kill, too (SPEC 5)
        self._requests.noticed(outcome)
        self._announcer.noticed(outcome)

    def _job(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """A root job of the ticker; it never runs twice at once."""
        running: list[asyncio.Task[None]] = []

        def start() -> None:
            if self._stop.is_set() or (running and not running[0].done()):
                return
            task = self._group.create_task(work())
            running[:] = [task]
            self._jobs.add(task)
            task.add_done_callback(self._jobs.discard)

        return start

    async def _flush(self) -> None:
        try:
            await self._app.flush()
            self._app.beat()
        except StateError as error:
            self._announcer.state_failed(error)  # the batch is kept, the next minute tries again

    def _flush_turns(self) -> None:
        """Who looks into the state file learns at once that a repository fails, or does no more."""
        if self._app.board.has_turned:
            self._flush_now()

    async def _recognise(self) -> None:
        await self._app.recognise(list(self._app.members.values()))

    async def _let_go(self) -> None:
        await let_go_if_due(self._app, HOURLY)

    async def _look_at_state(self) -> None:
        """Whether another process wrote: requests, switches, executions, cancellations."""
        try:
            if await self._requests.look() or self._is_behind:
                self._is_behind = False
                await self._take_over()
        except StateError as error:
            self._fall_behind()
            self._requests.look_again()
            self._app.meter.count(Count.STATE_FAILURES, StateUse.REQUESTS)
            self._app.log.error(Event.STATE_FAILED, error=str(error), hint=error.hint)

    def _fall_behind(self) -> None:
        """What was written is taken over by the next look."""
        self._is_behind = True

    async def _take_over(self) -> None:
        """What was written to the state file, by another process or by this one, holds now."""
        await self._use_switches()
        self._app.wake_runner()

    async def _use_switches(self) -> None:
        app = self._app
        switches = await app.store.run(lambda store: store.enabled_overrides())
        rules = Rules.of(app.config.triggers, app.config.pipelines, switches)
        if rules.enabled != app.rules.enabled:
            app.use(rules)
        if self._webhooks is not None:
            await self._webhooks.look_at_switches()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._job(self._reload.now))

    def _stop_signal(self) -> None:
        """The first signal stops in order; after it the default action holds: the second kills."""
        self.stop()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)


def run(
    load: LoadConfig,
    *,
    log: Log,
    clock: Callable[[], float],
    environment: Mapping[str, str],
    command: str,
) -> int:
    """Run until a signal; the exit code. Raises ConfigError, StateError and ListenError at the
    start."""

    manager = ServiceManager.of(environment, os.getpid())

    async def work() -> None:
        config = load()
        manager.needs(OPENING)
        with measured(config) as meter:
            way_in = opened(
                config,
                log=log,
                clock=clock,
                environment=environment,
                command=command,
                meter=meter,
            )
            async with way_in as app:
                await Service(app, load, manager).run()

    log.capture_libraries()
    sys.setswitchinterval(SWITCH_SECONDS)
    with log.in_background():
        try:
            asyncio.run(work())
        except WatcherError as error:
            manager.status(str(error))
            raise
        except BaseExceptionGroup as group:
            known = group.subgroup((StateError, ConfigError))
            if known is not None:
                manager.status(str(_first(known)))
                raise _first(known) from group
            log.error(Event.INTERNAL_ERROR, error=repr(_first(group)))
            return 1
    return 0


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

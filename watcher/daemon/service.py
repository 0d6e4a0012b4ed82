"""The daemon: watches, runner, bookkeeping and requests as tasks of one group, until a signal.

Only this module starts tasks and owns signals. If one of the root tasks dies, the process ends
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

from watcher.config.load import Config
from watcher.core.account import Account
from watcher.core.health import BOOKKEEPING
from watcher.daemon.announcing import Announcer
from watcher.daemon.app import App, Member, opened
from watcher.daemon.measuring import measured
from watcher.daemon.requests import RequestDesk
from watcher.daemon.supervision import OPENING, Supervision
from watcher.daemon.upkeep import HOURLY, let_go_if_due
from watcher.daemon.vitals import Patience, Vitals
from watcher.engine.poll_outcome import PollOutcome
from watcher.engine.rules import Rules
from watcher.engine.ticker import Ticker
from watcher.engine.watch import AccountWatch
from watcher.errors import ConfigError, ListenError, StateError, WatcherError
from watcher.telemetry.events import Event
from watcher.telemetry.families import Count, ReloadResult, StateUse
from watcher.telemetry.log import Log
from watcher.telemetry.systemd import ServiceManager

if TYPE_CHECKING:
    from watcher.daemon.webhooks import Webhooks
    from watcher.web.server import HttpServer

FIRST_BOOKKEEPING = timedelta(seconds=5)
FIRST_RETENTION = timedelta(minutes=2)
RETENTION_LOOK = timedelta(minutes=10)
RECOGNITION_LOOK = timedelta(hours=1)
CONFIG_LOOK = timedelta(seconds=5)
DELIVERY_WRITE = timedelta(seconds=1)
STATE_LOOK = timedelta(milliseconds=500)
SWITCH_SECONDS = 0.001
"""After which the state's thread lets the event loop have its turn: of Python's usual 5 ms each
poll would wait many while a large repository is read."""

LoadConfig = Callable[[], Config]


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
        self._load = load
        self._ticker = Ticker()
        self._watches: dict[str, AccountWatch] = {}
        self._workers: dict[str, list[asyncio.Task[None]]] = {}
        self._desk = RequestDesk(app, self._watches)
        self._announcer = Announcer(app)
        self._stop = asyncio.Event()
        self._signature = app.config.loaded
        self._reloading = asyncio.Lock()
        self._jobs: set[asyncio.Task[None]] = set()
        self._flush_now = self._job(self._flush)
        self.vitals = Vitals(
            self._watches, self._ticker, app.store, clock=app.clock, patience=patience
        )
        self._supervision = Supervision(
            manager or ServiceManager(),
            self.vitals,
            self._watches,
            lambda: app.runner().running,
            log=app.log,
            clock=app.clock,
        )
        self._webhooks: Webhooks | None = None

    async def run(self) -> None:
        """Work until a signal asks to stop."""
        app = self._app
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
            for name in app.members:
                self._start(name)
                self._watches[name].make_contact()
            self.vitals.begin()
            supervising = group.create_task(self._supervision.run(), name="supervision")
            self._ticker.every("bookkeeping", BOOKKEEPING, self._flush_now, first=FIRST_BOOKKEEPING)
            self._ticker.every(
                "recognition",
                RECOGNITION_LOOK,
                self._job(self._recognise),
                first=timedelta(0),
            )
            self._ticker.every(
                "retention", RETENTION_LOOK, self._job(self._let_go), first=FIRST_RETENTION
            )
            self._ticker.every("config", CONFIG_LOOK, self._job(self._look_at_config))
            self._ticker.every("state", STATE_LOOK, self._job(self._look_at_state))
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

    async def _http_server(self) -> HttpServer | None:
        """The HTTP side, which can be connected to from now on; raises ListenError and
        StateError."""
        settings = self._app.config.http
        if settings is None:
            return None
        from watcher.daemon.desk import Desk
        from watcher.daemon.http_side import http_server
        from watcher.daemon.webhooks import opened as opened_webhooks

        self._webhooks = await opened_webhooks(self._app, self._watches)
        desk = Desk(self._app, self._watches, self._take_over)
        return http_server(self._app, desk, self.vitals, self._webhooks, settings)

    def _take_webhooks(self, webhooks: Webhooks) -> None:
        """What of them goes on beside the requests."""
        self._ticker.every("deliveries", DELIVERY_WRITE, self._job(webhooks.log.write))
        self._jobs.add(self._group.create_task(webhooks.callbacks.run(), name="callbacks"))

    def _start(self, name: str) -> None:
        """Set one account to work: its schedule, and as many workers as it may have."""
        app = self._app
        member = app.members[name]
        watch = AccountWatch(
            member.account,
            member.client,
            member.poller,
            app.board,
            member.repositories,
            clock=app.clock,
            log=app.log,
            on_outcome=self._noticed,
            on_sooner=lambda: self._ticker.sooner(f"account {name}"),
        )
        watch.start()
        self._watches[name] = watch
        self._workers[name] = [
            self._group.create_task(watch.work(), name=f"poll {name} {number}")
            for number in range(member.account.limits.concurrency)
        ]
        self._ticker.when_due(f"account {name}", watch.next_due, watch.enqueue_due)

    async def _end(self, name: str, successor: Member | None = None) -> None:
        """Stop an account's work. A successor takes its place before its client closes, so that
        no run under way misses the account."""
        self._ticker.remove(f"account {name}")
        self._watches.pop(name, None)
        workers = self._workers.pop(name, [])
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        self._app.wake_runner()  # a worker may have been stopped just when its poll was recorded
        member = self._app.members.pop(name, None)
        if successor is not None:
            self._app.members[name] = successor
        if member is not None:
            await member.client.aclose()

    async def _stop_polling(self) -> None:
        await self._ticker.stop()
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        for name in list(self._watches):
            await self._end(name)

    def _noticed(self, outcome: PollOutcome) -> None:
        if outcome.executions or outcome.error is not None:
            self._app.wake_runner()  # a poll can run out of time while what it queued is written
        if self._app.has_unflushed_blocks:
            self._flush_now()  # a Retry-After has to outlive a kill, too (SPEC 5)
        self._desk.noticed(outcome)
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
        except StateError as error:
            self._announcer.state_failed(error)  # the batch is kept, the next minute tries again
            return
        self._app.beat()

    async def _recognise(self) -> None:
        await self._app.recognise(list(self._app.members.values()))

    async def _let_go(self) -> None:
        await let_go_if_due(self._app, HOURLY)

    async def _look_at_state(self) -> None:
        """Whether another process wrote: requests, switches, executions, cancellations."""
        try:
            if await self._desk.look():
                await self._take_over()
        except StateError as error:
            self._desk.look_again()
            self._app.meter.count(Count.STATE_FAILURES, StateUse.REQUESTS)
            self._app.log.error(Event.STATE_FAILED, error=str(error), hint=error.hint)

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

    async def _look_at_config(self) -> None:
        signature = self._app.config.signature()
        if signature != self._signature:
            self._signature = signature
            await self._reload()

    async def _reload(self) -> None:
        """Take over a new config; accounts that did not change go on undisturbed."""
        async with self._reloading:
            self._supervision.reloading()
            refused = await self._read_anew()
            self._supervision.reloaded(refused)
            self._app.config_is_current = refused is None
            result = ReloadResult.LOADED if refused is None else ReloadResult.REJECTED
            self._app.meter.count(Count.CONFIG_RELOADS, result)

    async def _read_anew(self) -> str | None:
        """None, or why the new config is refused."""
        app = self._app
        try:
            config = await asyncio.to_thread(self._load)
            _check_unchanged(app.config, config)
            switches = await app.store.run(lambda store: store.enabled_overrides())
        except (ConfigError, ListenError, StateError) as error:
            app.log.error(Event.CONFIG_REJECTED, error=str(error), kept=str(app.config.path))
            self._announcer.config_read(error)
            return str(error)
        await self._adopt(config, switches)
        self._announcer.config_read(None)
        self._signature = config.loaded
        app.config_loaded = app.clock()
        app.log.info(Event.CONFIG_LOADED, accounts=len(config.accounts))
        return None

    async def _adopt(self, config: Config, switches: Mapping[str, bool]) -> None:
        app = self._app
        before = {account.name: account for account in app.config.accounts}
        after = {account.name: account for account in config.accounts}
        app.config = config
        app.use(Rules.of(config.triggers, config.pipelines, switches))
        for name in before.keys() - after.keys():
            await self._end(name)
        for name, account in after.items():
            await self._take_account(account, before.get(name))

    async def _take_account(self, account: Account, before: Account | None) -> None:
        app = self._app
        if before == account and account.name in self._watches:
            member = app.members[account.name]
            member.repositories = app.repositories(account)
            self._watches[account.name].adopt(member.repositories)
            return
        await self._end(account.name, successor=app.member(account))
        self._start(account.name)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._job(self._reload))

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


def _check_unchanged(before: Config, after: Config) -> None:
    """What is opened once, at the start. Raises StateError and ListenError."""
    if after.state != before.state:
        raise StateError("the state file can't change while running; restart for it")
    if after.http != before.http:
        raise ListenError("`http` can't change while running; restart for it")


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

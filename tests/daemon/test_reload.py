"""A reload, step by step: what it says, and that nothing falls between the account before and the
account after.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from tests.daemon.test_races import REPOSITORY, config_at, until
from watcher.config.load import load
from watcher.core.delivery import DeliveryOutcome
from watcher.core.hint import Hint
from watcher.daemon.announcing import Announcer
from watcher.daemon.app import App, opened
from watcher.daemon.at_work import AccountsAtWork
from watcher.daemon.reload import Reload
from watcher.daemon.supervision import Supervision
from watcher.daemon.vitals import Vitals
from watcher.daemon.webhooks import opened as opened_webhooks
from watcher.engine.ticker import Ticker
from watcher.stages import OPTIONS
from watcher.telemetry.log import Log
from watcher.telemetry.systemd import ServiceManager
from watcher.testing.faults import Fault, Gate, Hold, Match
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry
from watcher.web.hooks.senders import KINDS


@dataclass
class Reloaded:
    """A daemon's accounts at work, which are reloaded by hand. After its first look the repository
    is not polled for an hour unless something asks for it."""

    app: App
    accounts: AccountsAtWork
    reload: Reload
    registry: FakeRegistry
    log: StringIO

    def write(self, **keys: Any) -> None:
        """Change keys of the config."""
        path = self.app.config.path
        path.write_text(json.dumps(json.loads(path.read_text()) | keys))

    def change_account(self) -> None:
        (account,) = json.loads(self.app.config.path.read_text())["accounts"]
        self.write(accounts=[account | {"limits": {"concurrency": 3}}])

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]


@asynccontextmanager
async def reloaded(directory: Path) -> AsyncIterator[Reloaded]:
    async with FakeRegistry() as registry:
        registry.push(REPOSITORY, "v1")
        config = config_at(directory, registry.address, poll="1h")
        stream = StringIO()
        log = Log("info", "json", stream)
        way_in = opened(config, log=log, clock=time.time, environment={}, command="test")
        async with way_in as app, asyncio.TaskGroup() as group:
            ticker = Ticker()
            accounts = AccountsAtWork(app, ticker, on_outcome=lambda _: None)
            supervision = Supervision(
                ServiceManager(),
                Vitals(accounts.watches, ticker, app.store, clock=app.clock),
                accounts.watches,
                lambda: 0,
                log=log,
                clock=app.clock,
            )
            reload = Reload(
                app,
                lambda: load(config.path, stages=OPTIONS, environment={}),
                accounts,
                announcer=Announcer(app),
                supervision=supervision,
            )
            accounts.start_all(group)
            ticker.start()
            await until(lambda: app.board.get("main", REPOSITORY).known, "the baseline")
            try:
                yield Reloaded(app, accounts, reload, registry, stream)
            finally:
                await ticker.stop()
                await accounts.end_all()


async def test_a_config_that_is_refused_on_a_signal_is_not_refused_again_by_the_next_look(
    tmp_path: Path,
) -> None:
    async with reloaded(tmp_path) as daemon:
        daemon.write(http={"listen": "127.0.0.1:0"})
        await daemon.reload.now()
        await daemon.reload.if_changed()
        (line,) = daemon.events("config_rejected")
        assert line["error"] == "`http` can't change while running; restart for it"
        daemon.change_account()
        await daemon.reload.if_changed()
        assert len(daemon.events("config_rejected")) == 2, "a file that was written is looked at"


async def test_what_is_asked_for_at_any_moment_of_its_accounts_reload_is_looked_at(
    tmp_path: Path,
) -> None:
    async with reloaded(tmp_path) as daemon:
        accounts = daemon.accounts
        webhooks = await opened_webhooks(daemon.app, accounts.watches)
        status = daemon.app.board.get("main", REPOSITORY)
        is_over = False
        for step in range(100):
            before = accounts.watches["main"].account
            limits = replace(before.limits, concurrency=2 + step % 2)
            changing = asyncio.create_task(accounts.take(replace(before, limits=limits), before))
            for _ in range(step):
                await asyncio.sleep(0)
            is_over = changing.done()
            tag = f"told-{step}"
            daemon.registry.push(REPOSITORY, tag)
            hint = Hint(repository=REPOSITORY, tag=tag)
            (taken,) = webhooks.take(hint, KINDS["generic"].sender, None)
            assert taken.outcome is DeliveryOutcome.POLLED, step
            await changing
            await until(lambda: status.tags == step + 2, "the tag that was told of")  # noqa: B023
            if is_over:
                break
        assert is_over


async def test_a_poll_that_a_person_asked_for_is_made_anew_when_a_reload_breaks_it_off(
    tmp_path: Path,
) -> None:
    async with reloaded(tmp_path) as daemon:
        watch, gate = daemon.accounts.watches["main"], Gate()
        status = daemon.app.board.get("main", REPOSITORY)
        daemon.registry.push(REPOSITORY, "v2")
        daemon.registry.fault(Fault(match=Match(kind=Kind.TAGS), action=Hold(until=gate.passage)))
        watch.nudge(REPOSITORY)
        await until(lambda: gate.waiting > 0, "the registry is asked")
        daemon.registry.clear_faults()
        limits = replace(watch.account.limits, concurrency=3)
        await daemon.accounts.take(replace(watch.account, limits=limits), watch.account)
        gate.open()
        await until(lambda: status.tags == 2, "the poll that was asked for")

"""A small watcher whose process dies, or whose write fails, at a named point of a tag's way.

`python -m tests.system.faulty STATE ADDRESS MARKS [POINT [die|raise]]`: one poll, then the runs,
built by the public constructors. Run by test_faults.py only.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tests.contract.stages import Nothing
from watcher.core.account import Account
from watcher.core.pipeline import Pipeline, StageSpec
from watcher.core.reference import Registry
from watcher.core.selector import TagRule
from watcher.core.trigger import Trigger
from watcher.daemon.app import client_of
from watcher.daemon.facts import contexts
from watcher.engine.board import StatusBoard
from watcher.engine.poller import Poller
from watcher.engine.rules import Rules
from watcher.engine.runner import EmbeddedRunner
from watcher.errors import StateUnwritable
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import RegistryClient
from watcher.stages import STAGES
from watcher.stages.base import Accounts, Clusters
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log

REPOSITORY = "acme/web"
ACCOUNT = "main"
DIED = 9
REACHED = "reached"


@dataclass
class World:
    """What the stages' contexts ask for."""

    store: ThreadedStore
    rules: Rules
    client: RegistryClient
    secret_variables: frozenset[str] = frozenset()
    clusters: Clusters = field(default_factory=Nothing)
    accounts: Accounts = field(default_factory=Nothing)

    def client_named(self, account: str) -> RegistryClient | None:
        return self.client


def fault_at(point: str, how: str) -> Callable[[str], None]:
    """Strikes once, the first time that the point is reached."""
    strikes = [how]

    def fault(reached: str) -> None:
        if reached != point or not strikes:
            return
        print(REACHED, flush=True)
        if strikes.pop() == "die":
            os._exit(DIED)
        raise StateUnwritable("the disk is full for a moment")

    return fault


def rules(marks: Path) -> Rules:
    """A trigger for `v.*`, and two stages that each leave a mark of every run. The first one runs
    the script that lies beside the marks, once, before its own work."""
    script, used = f"'{marks}.script'", f"'{marks}.used'"
    spoiled = f"if [ -e {script} ]; then mv {script} {used}; . {used}; fi; "
    stages = tuple(
        StageSpec(name=name, type="command", options=f"{before}echo {name} >> '{marks}'")
        for name, before in (("first", spoiled), ("second", ""))
    )
    trigger = Trigger(
        name="release",
        account=ACCOUNT,
        pipeline="deploy",
        repositories=(REPOSITORY,),
        tag=TagRule(matches="v.*"),
    )
    return Rules.of([trigger], [Pipeline(name="deploy", stages=stages)], {})


async def work(state: Path, address: str, marks: Path, fault: Callable[[str], None]) -> None:
    account = Account(
        name=ACCOUNT,
        registry=Registry.parse(address, plain_http=True),
        repositories=(REPOSITORY,),
    )
    store = ThreadedStore(lambda: Store.open(state, fault=fault))
    hosts = HostLimits(clock=time.time)
    world = World(store, rules(marks), client_of(account, hosts, {}))
    log = Log("info", "json")
    board = StatusBoard(await store.run(lambda s: s.repository_statuses()))
    poller = Poller(
        account,
        world.client,
        store,
        board,
        world.rules,
        log=log,
        clock=time.time,
        interval=timedelta(seconds=1),
    )
    runner = EmbeddedRunner(store, STAGES, contexts(world), log=log, fault=fault)
    try:
        await poller.poll(REPOSITORY)
        await runner.run(until_idle=True)
        statuses = board.take_unflushed()
        await store.run(lambda s: s.flush(statuses, hosts.parking.blocked()))
    finally:
        await world.client.aclose()
        await store.close()


def main(state: str, address: str, marks: str, point: str = "", how: str = "die") -> None:
    asyncio.run(work(Path(state), address, Path(marks), fault_at(point, how)))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""`nudge`: from `watcher poll ACCOUNT/REPOSITORY`, which asks a running daemon through the state
file, to the queued run: while the daemon polls 10 000 repositories, and beside it while it has
nothing else to do.
"""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.executions import wait_for
from benchmarks.measuring import Goal, cost, environment, quantile, quantiles, table
from benchmarks.scene import (
    ACCOUNT,
    ALL,
    Setting,
    account,
    once,
    poll,
    served,
    state_of,
    write_config,
)
from benchmarks.servers import Server, Wanted

_CONNECTIONS = 20
_PATIENCE = 60.0
_LIMIT_MS = 1000.0  # of which half is the look at the state file, twice a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done."""

    repositories: int = 10_000
    tags: int = 100
    latency: float = 50.0
    interval: float = 60.0
    warm_up: float = 30.0
    nudges: int = 50


QUICK = Plan(repositories=20, tags=5, latency=5.0, interval=2.0, warm_up=1.0, nudges=2)


@dataclass(slots=True)
class Nudged:
    """Seconds. `queued`: from the request in the state file to the run; `all_in_all`: from the
    push; `command`: how long the command took, with its start and the answer."""

    queued: list[float] = field(default_factory=list)
    all_in_all: list[float] = field(default_factory=list)
    command: list[float] = field(default_factory=list)


def run(setting: Setting) -> list[Goal]:
    """Print the table; the goals with their figures."""
    plan = QUICK if setting.quick else Plan()
    wanted = Wanted(
        repositories=plan.repositories, tags=plan.tags, latency=setting.latency(plan.latency)
    )
    with setting.server(wanted) as (server, directory):
        idle = _nudged(plan, server, directory, "24h", "quiet")
        busy = _nudged(plan, server, directory, f"{plan.interval:g}s", "loud")
    rows: list[tuple[str, ...]] = [
        ("p50 / p99, ms", "request to QUEUED", "push to QUEUED", "the command")
    ]
    for words, one in ((f"polling every {plan.interval:g} s", busy), ("nothing else to do", idle)):
        cells = (quantiles(v, scale=1000) for v in (one.queued, one.all_in_all, one.command))
        rows.append((f"{words}, {len(one.queued)} times", *cells))
    print(table(rows))
    ratio = quantile(busy.queued, 0.5) / quantile(idle.queued, 0.5)
    print(f"request to QUEUED, busy against idle, p50: {ratio:.2f}")
    return [
        Goal(
            words="p99 from the request to QUEUED under load, ms",
            value=quantile(busy.queued, 0.99) * 1000,
            limit=_LIMIT_MS,
        )
    ]


def _nudged(plan: Plan, server: Server, directory: Path, interval: str, tag: str) -> Nudged:
    polls: dict[str, Any] = {"poll": interval, "limits": {"concurrency": _CONNECTIONS}}
    config = write_config(directory, account(server, server.wanted.names, **polls), fires=ALL)
    cost([once(config)], environment())
    seen = Nudged()
    step = max(1, plan.repositories // plan.nudges)
    with served(config):
        time.sleep(plan.warm_up)
        for name in islice(server.wanted.names[::step], plan.nudges):
            _nudge(config, server, name, tag, seen)
    return seen


def _nudge(config: Path, server: Server, name: str, tag: str, seen: Nudged) -> None:
    """Push, and ask for a poll at once. A scheduled poll that comes between would be faster; it is
    left out where it came before the request."""
    server.push(name, tag)
    pushed = time.time()
    command = poll(config, f"{ACCOUNT}/{name}")
    subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, check=True)
    ended = time.time()
    found = wait_for(
        state_of(config),
        lambda found: any((one.repository, one.tag) == (name, tag) for one in found),
        _PATIENCE,
    )
    created = next(one.created for one in found if (one.repository, one.tag) == (name, tag))
    asked = _last_request(state_of(config))
    if created >= asked:
        seen.queued.append(created - asked)
        seen.all_in_all.append(created - pushed)
        seen.command.append(ended - pushed)


def _last_request(state: Path) -> float:
    with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as db:
        moment: float = db.execute("SELECT max(created) FROM request").fetchone()[0]
    return moment

"""`burst`: 1 000 new tags in as many repositories: all of them in one pass of `run --once`, and 100
pushes to a daemon that polls every 10 s. How many transactions, when each was queued, and when its
run (of the program `true`) was finished.

A pass of skopeo over the same repositories stands beside it: what finding alone costs a cron job.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.executions import Execution, all_finished, executions, wait_for
from benchmarks.measuring import Cost, Goal, cost, environment, quantile, quantiles, table
from benchmarks.peers import loops
from benchmarks.scene import ALL, Setting, account, once, served, state_of, write_config
from benchmarks.servers import Server, Wanted
from benchmarks.transactions import Transactions

AT_ONCE = 10
_CONNECTIONS = 10
_AFTER_INTERVAL = 0.5  # seconds that a push may take beyond the interval
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done."""

    repositories: int = 1_000
    tags: int = 100
    looped: int = 100
    interval: float = 10.0
    pushes: int = 100


QUICK = Plan(repositories=20, tags=5, looped=2, interval=1.0, pushes=5)


def run(setting: Setting) -> list[Goal]:
    """Print the tables; the goals with their figures."""
    plan = QUICK if setting.quick else Plan()
    with setting.server(Wanted(repositories=plan.repositories, tags=plan.tags)) as (server, place):
        goals = _in_one_pass(plan, server, place)
        return goals + _to_daemon(plan, server, place)


def _config(plan: Plan, server: Server, directory: Path) -> Path:
    polls: dict[str, Any] = {"poll": f"{plan.interval:g}s", "limits": {"concurrency": _CONNECTIONS}}
    return write_config(
        directory, account(server, server.wanted.names, **polls), fires=ALL, at_once=AT_ONCE
    )


def _in_one_pass(plan: Plan, server: Server, directory: Path) -> list[Goal]:
    config = _config(plan, server, directory)
    state = state_of(config)
    cost([once(config)], environment())
    idle = cost([once(config)], environment())
    for name in server.wanted.names:
        server.push(name, "burst")
    began = time.time()
    with Transactions(state) as seen:
        full = cost([once(config)], environment())
    found = executions(state)
    cost([once(config)], environment())
    again = len(executions(state)) - len(found)
    _print_pass(plan, found, began, full, idle, seen.count)
    for loop in loops(directory, server, server.wanted.names[: plan.looped]):
        times = plan.repositories / plan.looped
        taken = loop.run()
        print(
            f"CPU against {plan.repositories} x {loop.name}, which only lists "
            f"(extrapolated from {plan.looped}): {full.cpu / (taken.cpu * times):.2f}"
        )
    wrong = _wrong([(name, "burst") for name in server.wanted.names], found) + again
    return [
        Goal(words="pushes not found exactly once", value=wrong, limit=0),
        Goal(words="executions that did not succeed", value=_failed(found), limit=0),
    ]


def _print_pass(
    plan: Plan,
    found: Sequence[Execution],
    began: float,
    full: Cost,
    idle: Cost,
    transactions: int,
) -> None:
    queued = [one.created - began for one in found]
    finished = [one.finished - one.created for one in found if one.finished is not None]
    print(f"one pass of `run --once`, {AT_ONCE} runs at once; p50 / p99, ms")
    print(
        table(
            [
                ("found", "wall s", "CPU s", "CPU s of an idle pass", "start to QUEUED",
                 "QUEUED to finished", "transactions", "per push"),
                (str(len(found)), f"{full.wall:.2f}", f"{full.cpu:.2f}", f"{idle.cpu:.2f}",
                 quantiles(queued, scale=1000), quantiles(finished, scale=1000),
                 str(transactions), f"{transactions / max(1, len(found)):.2f}"),
            ]
        )
    )  # fmt: skip


def _to_daemon(plan: Plan, server: Server, directory: Path) -> list[Goal]:
    """Pushes one after the other, over two intervals, so that they meet it at all its phases."""
    config = _config(plan, server, directory)
    state = state_of(config)
    known = len(executions(state))
    step = len(server.wanted.names) // plan.pushes
    names = server.wanted.names[::step][: plan.pushes]
    pushed: dict[str, float] = {}
    with served(config):
        time.sleep(plan.interval)  # every repository is polled once
        for name in names:
            pushed[name] = time.time()
            server.push(name, "later")
            time.sleep(2 * plan.interval / plan.pushes)
        found = wait_for(state, all_finished(known + len(names)), _PATIENCE)[known:]
    queued = [one.created - pushed[one.repository] for one in found]
    finished = [one.finished - one.created for one in found if one.finished is not None]
    print(f"\n{len(names)} pushes to a daemon, poll {plan.interval:g} s; p50 / p99, ms")
    print(
        table(
            [
                ("found", "push to QUEUED", "QUEUED to finished", "p99 against the interval"),
                (str(len(found)), quantiles(queued, scale=1000), quantiles(finished, scale=1000),
                 f"{quantile(queued, 0.99) / plan.interval:.2f}"),
            ]
        )
    )  # fmt: skip
    return [
        Goal(
            words=f"p99 from push to QUEUED with poll {plan.interval:g} s, s",
            value=quantile(queued, 0.99),
            limit=plan.interval + _AFTER_INTERVAL,
        ),
        Goal(
            words="pushes to the daemon not found exactly once",
            value=_wrong([(name, "later") for name in names], found),
            limit=0,
        ),
    ]


def _wrong(pushed: Sequence[tuple[str, str]], found: Sequence[Execution]) -> int:
    """How many pushes were missed, and executions too many."""
    wanted, got = Counter(pushed), Counter((one.repository, one.tag) for one in found)
    return (wanted - got).total() + (got - wanted).total()


def _failed(found: Sequence[Execution]) -> int:
    return sum(one.status != "SUCCEEDED" for one in found)

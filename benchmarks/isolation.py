"""`isolation`: what it costs one account that another is in trouble: its registry hangs, answers
429 to all, sends a huge new listing each time, or refuses the password.

The healthy account is polled every second; how late its polls begin and end is noted with the
other account and, in turns, without it: first with a registry each, then with both on one host.
There a 429 concerns both accounts, as it should, and is left out; so are huge listings, which would
slow the one process that serves both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import Goal, cost, environment, quantile, quantiles, table
from benchmarks.observed import observing
from benchmarks.scene import ACCOUNT, Setting, account, first_listing, once, write_config
from benchmarks.servers import Server, Wanted, fake

_OTHER = "other"
_ALONE = "alone"
_PASSWORD = "wrong password"
_ADDED_LIMIT_MS = 50.0
_MOST_HUGE = 5  # repositories: their baselines are a quarter of a million tags


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done; seconds."""

    healthy: int = 100
    troubled: int = 100
    tags: int = 100
    rounds: int = 3
    seconds: float = 20.0
    apart: Sequence[str] = (*fake.TROUBLES, _PASSWORD)
    together: Sequence[str] = ("hanging", _PASSWORD)


QUICK = Plan(
    healthy=5, troubled=5, tags=5, rounds=1, seconds=1.0, apart=("storm",), together=(_PASSWORD,)
)


@dataclass(slots=True)
class Seen:
    """Over all rounds, seconds: polls of the healthy account, and how late the event loop was."""

    late: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)


def run(setting: Setting) -> list[Goal]:
    """Print the tables; the goals with their figures."""
    plan = QUICK if setting.quick else Plan()
    wanted = Wanted(repositories=plan.healthy, tags=plan.tags)
    with setting.server(wanted) as (server, directory):
        apart = _measured(plan, server, directory, plan.apart, None)
    goals = _told("a registry each", apart)
    with TemporaryDirectory() as name, ExitStack() as running:
        directory = Path(name)
        shared = {
            trouble: running.enter_context(_in_trouble(plan, directory, trouble))
            for trouble in plan.together
        }
        server = shared[_PASSWORD]  # where nothing is wrong but the password
        print(f"\nboth on one host; {server.words}")
        together = _measured(plan, server, directory, plan.together, shared)
    return goals + _told("both on one host", together)


@contextmanager
def _in_trouble(plan: Plan, directory: Path, trouble: str) -> Iterator[fake.Fake]:
    place = directory / trouble.replace(" ", "-")
    place.mkdir(parents=True)
    wanted = Wanted(repositories=plan.healthy, tags=plan.tags)
    kind = "" if trouble == _PASSWORD else trouble
    with fake.run(sys.executable, place, wanted, trouble=kind, troubled=plan.troubled) as server:
        yield server


def _measured(
    plan: Plan,
    server: Server,
    directory: Path,
    troubles: Sequence[str],
    shared: Mapping[str, fake.Fake] | None,
) -> dict[str, Seen]:
    """By trouble, and alone, in turns. `shared`: the servers on which both accounts are."""
    seen = {name: Seen() for name in (_ALONE, *troubles)}
    for _ in range(plan.rounds):
        _observe(plan, server, directory, seen[_ALONE])
        for trouble in troubles:
            if shared is not None:
                place = shared[trouble]
                _observe(plan, place, directory, seen[trouble], _troubled(plan, place, trouble))
                continue
            with _in_trouble(plan, directory / f"{time.monotonic_ns()}", trouble) as other:
                _observe(plan, server, directory, seen[trouble], _troubled(plan, other, trouble))
    return seen


def _troubled(plan: Plan, server: Server, trouble: str) -> dict[str, Any]:
    most = _MOST_HUGE if trouble == "huge" else plan.troubled
    names = fake.troubled_names(min(most, plan.troubled))
    told = account(server, names, name=_OTHER, poll="1s", timeouts={"read": "5s"})
    return told | ({"password": "not-the-password"} if trouble == _PASSWORD else {})


def _observe(
    plan: Plan, server: Server, directory: Path, seen: Seen, *others: dict[str, Any]
) -> None:
    """A new state each time; the healthy account has its baseline."""
    with TemporaryDirectory(dir=directory) as name:
        place = Path(name)
        healthy = account(server, server.wanted.names, poll={"every": "1s", "jitter": "0s"})
        cost([once(write_config(place, healthy))], environment())
        config = write_config(place, healthy, *others)
        with observing(config) as (_, observed):
            first_listing(server)
            time.sleep(plan.seconds)
        seen.late += observed.late[ACCOUNT]
        seen.took += observed.took[ACCOUNT]
        seen.lags += observed.lags


def _told(where: str, seen: dict[str, Seen]) -> list[Goal]:
    alone = seen[_ALONE]
    print(f"the healthy account, {where}; p50 / p99, ms")
    rows = [
        ("beside it", "polls", "began late", "due to done", "p99 against alone", "event loop late")
    ]
    rows += [
        (name, str(len(one.took)), quantiles(one.late, scale=1000),
         quantiles(one.took, scale=1000),
         f"{quantile(one.took, 0.99) / quantile(alone.took, 0.99):.2f}",
         quantiles(one.lags, scale=1000))
        for name, one in seen.items()
    ]  # fmt: skip
    print(table(rows))
    return [
        Goal(
            words=f"added to p99 from due to done by the other account, {where}: {name}, ms",
            value=(quantile(one.took, 0.99) - quantile(alone.took, 0.99)) * 1000,
            limit=_ADDED_LIMIT_MS,
        )
        for name, one in seen.items()
        if name != _ALONE
    ]

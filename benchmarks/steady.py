"""`steady`: a daemon that polls 10 000 repositories every 60 s: its share of a core, requests,
memory, transactions; how late its polls begin, and how late its event loop is; and whether its
memory grows over an hour, compressed into a minute.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from benchmarks.measuring import Goal, Running, cost, environment, quantile, quantiles, table
from benchmarks.observed import Observed, observing
from benchmarks.scene import (
    ACCOUNT,
    ALL,
    Setting,
    account,
    first_listing,
    once,
    served,
    state_of,
    write_config,
)
from benchmarks.servers import Counts, Server, Wanted
from benchmarks.transactions import Transactions

CONNECTIONS = 20
_MIB_OF_DIUN = 112.0  # with 10 000 images, recorded
_START_SHARE = 1 / 6  # of an interval, in which a burst would show
_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done. Seconds; `observed` is how long the daemon runs with an observer beside it;
    the compressed hour is `beats` intervals of a second, with a push in each of them."""

    repositories: int = 10_000
    tags: int = 100
    latency: float = 50.0
    interval: float = 60.0
    watched: float = 300.0
    observed: float = 300.0
    crowd: int = 300
    beats: int = 60
    pushes: int = 5


QUICK = Plan(
    repositories=30, tags=5, latency=5.0, interval=1.0, watched=2.0, observed=3.0, crowd=20,
    beats=3,
)  # fmt: skip


@dataclass(slots=True)
class Watched:
    """What was seen of a daemon, from its first listing on. `series`: seconds, listings so far."""

    series: list[tuple[float, int]] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    transactions: int = 0
    cpu: float = 0.0
    memory: float = 0.0

    @property
    def seconds(self) -> float:
        return self.series[-1][0] - self.series[0][0]

    @property
    def rate(self) -> float:
        """Listings per second on average."""
        return (self.series[-1][1] - self.series[0][1]) / self.seconds

    def start_rate(self, seconds: float) -> float:
        """Listings per second in the first ones."""
        first, before = self.series[0]
        end, after = next(entry for entry in self.series if entry[0] >= first + seconds)
        return (after - before) / (end - first)


def run(setting: Setting) -> list[Goal]:
    """Print the tables; the goals with their figures."""
    plan = QUICK if setting.quick else Plan()
    return [*_steady(setting, plan), *_hour(setting, plan)]


def _steady(setting: Setting, plan: Plan) -> list[Goal]:
    wanted = Wanted(
        repositories=plan.repositories, tags=plan.tags, latency=setting.latency(plan.latency)
    )
    with setting.server(wanted) as (server, directory):
        polls: dict[str, Any] = {
            "poll": f"{plan.interval:g}s",
            "limits": {"concurrency": CONNECTIONS},
        }
        config = write_config(directory, account(server, wanted.names, **polls))
        cost([once(config)], environment())  # the baseline
        with served(config) as process, Transactions(state_of(config)) as transactions:
            seen = _watch(process, server, plan.watched)
            seen.transactions = transactions.count
        with observing(config) as (process, observed):
            first_listing(server)
            time.sleep(plan.observed)
    _print(plan, seen, observed)
    return _goals(plan, seen, observed)


def _watch(process: Running, server: Server, seconds: float) -> Watched:
    seen = Watched()
    start = first_listing(server)
    cpu, end = process.cpu, time.monotonic() + seconds
    while True:
        counts = server.counts()
        seen.series.append((time.monotonic(), counts.listings))
        if time.monotonic() >= end:
            break
        time.sleep(_LOOK_SECONDS)
    seen.cpu, seen.memory = process.cpu - cpu, process.peak
    seen.counts = counts.since(start)
    return seen


def _print(plan: Plan, seen: Watched, observed: Observed) -> None:
    polls = max(1, seen.counts.listings)
    print(f"`watcher run`, poll {plan.interval:g} s, {CONNECTIONS} connections")
    print(
        table(
            [
                ("seconds", "polls/s", "of a core", "CPU ms/poll", "peak MiB", "tokens", "other",
                 "connections", "transactions"),
                (f"{seen.seconds:.0f}", f"{seen.rate:.1f}", f"{seen.cpu / seen.seconds:.1%}",
                 f"{seen.cpu / polls * 1000:.2f}", f"{seen.memory:.1f}", str(seen.counts.tokens),
                 str(seen.counts.manifests + seen.counts.other), str(seen.counts.connections),
                 str(seen.transactions)),
            ]
        )
    )  # fmt: skip
    print("\nthe same with an observer beside it; p50 / p99, ms")
    rows: list[tuple[str, ...]] = [("", "polls", "began late", "due to done", "event loop late")]
    lags = quantiles(observed.lags, scale=1000)
    rows.append(_observed_row("from the start, with a token each at first", observed, 0.0, lags))
    rows.append(_observed_row("after the first interval", observed, plan.interval, ""))
    print(table(rows))


def _observed_row(words: str, observed: Observed, after: float, lags: str) -> tuple[str, ...]:
    at = observed.at[ACCOUNT]
    late = [seconds for when, seconds in zip(at, observed.late[ACCOUNT], strict=True)
            if when >= after]  # fmt: skip
    took = [seconds for when, seconds in zip(at, observed.took[ACCOUNT], strict=True)
            if when >= after]  # fmt: skip
    return (words, str(len(late)), quantiles(late, scale=1000), quantiles(took, scale=1000), lags)


def _goals(plan: Plan, seen: Watched, observed: Observed) -> list[Goal]:
    asked = seen.rate * plan.interval / plan.repositories
    polls, late = max(1, seen.counts.listings - seen.counts.refused), observed.late[ACCOUNT]
    start = seen.start_rate(plan.interval * _START_SHARE)
    return [
        Goal(words="share of a core, %", value=seen.cpu / seen.seconds * 100, limit=35, stretch=12),
        Goal(words="p99 late start, ms", value=quantile(late, 0.99) * 1000, limit=250, stretch=50),
        Goal(words="event loop p99, ms", value=quantile(observed.lags, 0.99) * 1000, limit=50),
        Goal(
            words="requests per idle poll besides tokens",
            value=(seen.counts.requests - seen.counts.tokens) / polls,
            limit=1.02,
        ),
        Goal(words="tokens per poll", value=seen.counts.tokens / polls, limit=0.25, stretch=0.01),
        Goal(words="connections", value=seen.counts.connections, limit=CONNECTIONS),
        Goal(words="polls left out, share", value=max(0.0, 1 - asked), limit=0.05),
        Goal(words="polls too many, share", value=max(0.0, asked - 1), limit=0.1),
        Goal(words="polls/s at the start against the average", value=start / seen.rate, limit=1.5),
        Goal(
            words=f"peak memory against Diun's {_MIB_OF_DIUN:.0f} MiB (recorded)",
            value=seen.memory / _MIB_OF_DIUN,
            limit=0.75,
            stretch=0.5,
        ),
        Goal(
            words="transactions beside one of bookkeeping a minute",
            value=max(0, seen.transactions - math.ceil(seen.seconds / 60)),
            limit=0,
        ),
    ]


def _hour(setting: Setting, plan: Plan) -> list[Goal]:
    """Polls of a second for a minute, as many per repository as in an hour of minutes."""
    wanted = Wanted(repositories=plan.crowd, tags=plan.tags)
    with setting.server(wanted) as (server, directory):
        polls: dict[str, Any] = {"poll": "1s", "track_digests": "auto"}
        config = write_config(
            directory, account(server, wanted.names, **polls), fires=ALL, changes=["new", "moved"],
            tag={"starts_with": "push-"},
        )  # fmt: skip
        cost([once(config)], environment())
        with served(config) as process:
            first = first_listing(server)
            series = _memories(process, server, plan)
            found = server.counts().since(first)
        words = "pushes and moves" if setting.kind.has_moves else "pushes"
        print(f"{plan.beats} intervals of a second, {plan.pushes} {words} in each")
        tenth, end = series[len(series) // 10], series[-1]
        rows = [
            ("polls", "MiB after a tenth", "after all", "most"),
            (str(found.listings), f"{tenth:.1f}", f"{end:.1f}", f"{max(series):.1f}"),
        ]
        print(table(rows))
    words = "memory after an hour, compressed, against after a tenth of it"
    return [Goal(words=words, value=end / tenth, limit=1.05)]


def _memories(process: Running, server: Server, plan: Plan) -> list[float]:
    """Resident MiB after each second. Each tenth push is of a tag that is there already."""
    names = cycle(server.wanted.names)
    series, start = [], time.monotonic()
    for beat in range(plan.beats):
        for number, name in enumerate(islice(names, plan.pushes)):
            server.push(name, "push-again" if number == 0 else f"push-{beat}-{number}")
        time.sleep(max(0.0, start + beat + 1 - time.monotonic()))
        series.append(process.memory)
    return series

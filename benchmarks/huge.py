"""`huge`: one repository with 50 000 tags, unchanged and with one new tag: CPU and memory of a
process per look, beside skopeo and crane; and of the unchanged looks of a daemon, beside those at a
small repository and beside Python's own HTTP client, which fetches the same bytes and drops them.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measuring import Cost, Goal, cost, environment, median, table
from benchmarks.peers import loops
from benchmarks.scene import ALL, Setting, account, once, served, write_config
from benchmarks.servers import Server, Wanted

_SMALL = 100
_ONE_PAGE = 100_000
_PAGES = 1000  # the default
_LIMIT_PER_TAG = 3.0 / 100_000  # ms beyond the transfer
UNCHANGED = "watcher run --once, unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done; `seconds` is how long a daemon looks once a second, once it has settled."""

    tags: int = 50_000
    rounds: int = 5
    settles: float = 3.0
    seconds: float = 60.0
    fetches: int = 100


QUICK = Plan(tags=500, rounds=1, settles=0.5, seconds=1.0, fetches=5)


@dataclass(slots=True)
class Looks:
    """Costs by what was done."""

    costs: dict[str, list[Cost]] = field(default_factory=dict)

    def add(self, words: str, cost: Cost) -> None:
        self.costs.setdefault(words, []).append(cost)

    def rows(self) -> Iterator[tuple[str, ...]]:
        yield ("", "runs", "CPU s", "wall s", "peak MiB", "CPU against unchanged")
        ours = median(one.cpu for one in self.costs[UNCHANGED])
        for words, found in self.costs.items():
            cpu, wall = median(one.cpu for one in found), median(one.wall for one in found)
            memory = max(one.memory for one in found)
            yield (words, str(len(found)), f"{cpu:.3f}", f"{wall:.3f}", f"{memory:.0f}",
                   f"{cpu / ours:.2f}")  # fmt: skip


def run(setting: Setting) -> list[Goal]:
    """Print the tables; the goals with their figures."""
    plan = QUICK if setting.quick else Plan()
    print(table([*_processes(setting, plan).rows()]))
    small, small_bytes = _daemon(setting, plan, _SMALL, _ONE_PAGE)
    pages, _ = _daemon(setting, plan, plan.tags, _PAGES)
    huge, huge_bytes = _daemon(setting, plan, plan.tags, _ONE_PAGE)
    rows = [
        ("unchanged look of", "CPU ms", "peak MiB", "CPU ms of http.client"),
        _row(f"{_SMALL} tags", small, small_bytes),
        _row(f"{plan.tags} tags, pages of {_PAGES}", pages, None),
        _row(f"{plan.tags} tags, one page", huge, huge_bytes),
    ]
    print(f"\ndaemon, a look a second for {plan.seconds:g} s")
    print(table(rows))
    beyond = (huge.cpu - small.cpu) - (huge_bytes - small_bytes)
    return [
        Goal(
            words=f"CPU of an unchanged look at {plan.tags} tags beyond the transfer, ms",
            value=beyond * 1000,
            limit=plan.tags * _LIMIT_PER_TAG,
        )
    ]


def _row(words: str, taken: Cost, client: float | None) -> tuple[str, ...]:
    beside = "" if client is None else f"{client * 1000:.2f}"
    return (words, f"{taken.cpu * 1000:.2f}", f"{taken.memory:.0f}", beside)


def _processes(setting: Setting, plan: Plan) -> Looks:
    """A process for each look, in turns with the peers."""
    looks = Looks()
    with setting.server(Wanted(repositories=1, tags=plan.tags)) as (server, directory):
        name = server.wanted.names[0]
        config = write_config(directory, account(server, [name]), fires=ALL)
        looks.add("watcher run --once, first", cost([once(config)], environment()))
        # crane takes 127.0.0.1 for plain http, and refuses a next page that is not.
        peers = [each for each in loops(directory, server, [name]) if each.name != "crane ls"]
        for number in range(plan.rounds):
            looks.add(UNCHANGED, cost([once(config)], environment()))
            server.push(name, f"push-{number}")
            looks.add("watcher run --once, 1 new", cost([once(config)], environment()))
            for peer in peers:
                looks.add(peer.name, peer.run())
    return looks


def _daemon(setting: Setting, plan: Plan, tags: int, page: int) -> tuple[Cost, float]:
    """Of a daemon: CPU of an unchanged look on average, and the most memory; of Python's own
    client: CPU seconds of a fetch."""
    with setting.server(Wanted(repositories=1, tags=tags, login=False)) as (server, directory):
        polls: dict[str, Any] = {"poll": "1s", "limits": {"page_size": page}}
        config = write_config(directory, account(server, server.wanted.names, **polls))
        cost([once(config)], environment())
        with served(config) as process:
            time.sleep(plan.settles)  # what the start takes is not part of a look
            began, cpu = time.monotonic(), process.cpu
            time.sleep(plan.seconds)
            looks, taken = time.monotonic() - began, process.cpu - cpu
            memory = process.peak
        return Cost(wall=looks, cpu=taken / looks, memory=memory), _fetched(server, plan.fetches)


def _fetched(server: Server, times: int) -> float:
    """CPU seconds of one fetch of the whole listing, over a connection that is open already."""
    assert server.ca_file is not None
    context = ssl.create_default_context(cafile=str(server.ca_file))
    connection = http.client.HTTPSConnection(server.address, context=context)
    path = f"/v2/{server.wanted.names[0]}/tags/list?n={_ONE_PAGE}"
    try:
        _fetch(connection, path)
        before = time.process_time()
        for _ in range(times):
            _fetch(connection, path)
        return (time.process_time() - before) / times
    finally:
        connection.close()


def _fetch(connection: http.client.HTTPSConnection, path: str) -> None:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"the server answered {answer.status}")

"""`profile`: where the CPU time of a pass goes: HTTP, login, parsing, comparison, state. The shares
are honest and the seconds are not: the profiler itself costs half of them, and makes Python's calls
dearer than C's.
"""

from __future__ import annotations

import asyncio
import cProfile
import os
import pstats
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.measuring import Goal, cpu_seconds, environment, table
from benchmarks.scene import Setting, account, once, write_config
from benchmarks.servers import Wanted
from watcher.config.load import Config, load
from watcher.daemon.app import App, Member, opened
from watcher.daemon.once import run_once
from watcher.stages import OPTIONS
from watcher.telemetry.log import Log

REPOSITORIES, QUICK_REPOSITORIES = 1000, 20
TAGS = 100
PARTS = {
    "HTTP client": (
        "/httpx/", "/httpcore/", "/h11/", "/h2/", "/hpack/", "/hyperframe/", "/aiohttp/", "/yarl/",
        "/multidict/", "/watcher/http_client",
    ),
    "event loop, TLS, sockets": (
        "/anyio/", "/asyncio/", "/uvloop/", "/ssl.py", "/socket.py", "/selectors.py",
        "/contextvars",
    ),
    "parsing": (
        "/json/", "/watcher/registry/bodies.py", "/watcher/registry/listing/",
        "/watcher/registry/native/", "/watcher/core/reference.py",
    ),
    "login, turns, requests": ("/watcher/registry/",),
    "comparing and deciding": ("/watcher/core/", "/watcher/engine/"),
    "state, handed over": ("/watcher/store/", "/sqlite3/"),
}  # fmt: skip
OTHER = "other: the standard library, logging, start"
STORE_THREAD = "state, on its own thread"
Work = Callable[[cProfile.Profile], None]


def run(setting: Setting) -> list[Goal]:
    """Print the shares of a first pass, of one with nothing new by a process of its own, and of one
    in a process that has its tokens and connections; there is no goal."""
    count = QUICK_REPOSITORIES if setting.quick else REPOSITORIES
    with setting.server(Wanted(repositories=count, tags=TAGS)) as (server, directory):
        path = write_config(directory, account(server, server.wanted.names))
        config = load(path, stages=OPTIONS, environment=environment())
        first = _shares(lambda profile: _once(profile, config))
        cpu_seconds([once(path)], environment())
        again = _shares(lambda profile: _once(profile, config))
        idle = _shares(lambda profile: asyncio.run(_idle_pass(profile, config)))
    print("shares of CPU time")
    rows = [
        (part, f"{first[part]:.0%}", f"{again[part]:.0%}", f"{idle[part]:.0%}")
        for part in (*PARTS, STORE_THREAD, OTHER)
    ]
    print(table([("part", "--once, first", "--once, nothing new", "running, nothing new"), *rows]))
    return []


def _once(profile: cProfile.Profile, config: Config) -> None:
    with profile:
        run_once(
            config,
            log=Log("error", "json"),
            clock=time.time,
            environment=os.environ,
            command="benchmark",
        )


async def _idle_pass(profile: cProfile.Profile, config: Config) -> None:
    """Two passes in one process, of which the second is looked at."""
    async with opened(
        config,
        log=Log("error", "json"),
        clock=time.time,
        environment=os.environ,
        command="benchmark",
    ) as app:
        await _poll_all(app)
        with profile:
            await _poll_all(app)


async def _poll_all(app: App) -> None:
    async with asyncio.TaskGroup() as group:
        for member in app.members.values():
            names = iter(member.repositories.names)
            for _ in range(member.account.limits.concurrency):
                group.create_task(_poll(member, names))


async def _poll(member: Member, names: Any) -> None:
    for name in names:
        await member.poller.poll(name)


def _shares(work: Work) -> Mapping[str, float]:
    """The share of each part in the CPU time of what is profiled within this work."""
    profile = _Measured()
    work(profile)
    seconds = _by_part(pstats.Stats(profile))
    scale = profile.thread / profile.process / sum(seconds.values())
    shares = {part: value * scale for part, value in seconds.items()}
    return {**shares, STORE_THREAD: max(0.0, 1 - profile.thread / profile.process)}


class _Measured(cProfile.Profile):
    """A profile by CPU time of this thread, which knows what all threads took meanwhile."""

    def __init__(self) -> None:
        super().__init__(time.thread_time)
        self.process = self.thread = 0.0

    def __enter__(self) -> _Measured:
        self.process, self.thread = time.process_time(), time.thread_time()
        super().__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        super().__exit__(*details)
        self.thread = time.thread_time() - self.thread
        self.process = time.process_time() - self.process


def _by_part(stats: Any) -> dict[str, float]:
    """Own seconds by part; what is written in C counts for the one who called it."""
    seconds = dict.fromkeys((*PARTS, OTHER), 0.0)
    for (file, _, _), (_, _, own, _, callers) in stats.stats.items():
        if file != "~":
            seconds[_part(file)] += own
            continue
        for (caller, _, _), (_, _, own_for_caller, _) in callers.items():
            seconds[_part(caller)] += own_for_caller
    return seconds


def _part(file: str) -> str:
    return next(
        (part for part, places in PARTS.items() if any(place in file for place in places)), OTHER
    )

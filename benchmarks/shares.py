"""Where the CPU time of a pass goes: HTTP, login and listing, comparison, state. A profile, so the
shares are honest and the seconds are not: the profiler itself costs half of them.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import Goal, cpu_seconds, environment, table
from benchmarks.scene import crowd, once, write_config
from watcher.config.load import Config, load
from watcher.daemon.once import run_once
from watcher.stages import OPTIONS
from watcher.telemetry.log import Log

REPOSITORIES = 1000
TAGS = 100
PARTS = {
    "httpx, httpcore, h11": ("/httpx/", "/httpcore/", "/h11/"),
    "anyio, asyncio, TLS, sockets": (
        "/anyio/", "/asyncio/", "/ssl.py", "/socket.py", "/selectors.py", "/contextvars",
    ),
    "login, limits, listing": ("/watcher/registry/", "/watcher/http_client.py"),
    "JSON": ("/json/",),
    "comparing and deciding": ("/watcher/core/", "/watcher/engine/"),
    "state": ("/watcher/store/", "/sqlite3/"),
}  # fmt: skip
OTHER = "other"
STORE_THREAD = "state (its own thread)"


def run() -> list[Goal]:
    """Print the shares of a first pass and of one with nothing new; there is no goal."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        with crowd(directory, REPOSITORIES, TAGS) as registry:
            path = write_config(
                directory, registry.address, registry.ca_file, registry.repositories
            )
            config = load(path, stages=OPTIONS, environment=environment())
            first = _profiled(config)
            cpu_seconds([once(path)], environment())
            second = _profiled(config)
    print(f"\nshares of CPU time, {REPOSITORIES} repositories x {TAGS} tags, TLS, Bearer")
    rows = [
        (part, f"{first[part]:.0%}", f"{second[part]:.0%}")
        for part in (*PARTS, STORE_THREAD, OTHER)
    ]
    print(table([("part", "first pass", "nothing new"), *rows]))
    return []


def _profiled(config: Config) -> Mapping[str, float]:
    """The share of each part in the CPU time of one pass."""
    profile = cProfile.Profile(time.thread_time)
    process, thread = time.process_time(), time.thread_time()
    profile.runcall(
        run_once,
        config,
        log=Log("error", "json"),
        clock=time.time,
        environment=os.environ,
        command="benchmark",
    )
    thread = time.thread_time() - thread
    process = time.process_time() - process
    seconds = _by_part(pstats.Stats(profile))
    scale = thread / process / sum(seconds.values())
    shares = {part: value * scale for part, value in seconds.items()}
    return {**shares, STORE_THREAD: 1 - thread / process}


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

"""10 000 repositories of 100 tags in one account: memory, requests and CPU of an idle daemon, and
of a complete pass. The registry is the fake one, in a process of its own on the same machine.
"""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measuring import Goal, cpu_seconds, environment, table
from benchmarks.scene import WATCHER, Crowd, crowd, once, write_config

REPOSITORIES = 10_000
TAGS = 100
INTERVAL = 30.0
INTERVALS = 2
START = 5.0
"""Seconds after the first request in which a burst would show."""

MEMORY_LIMIT = 84.0  # MiB; 0.75 of Diun's with as many images
BURST_LIMIT = 1.5  # of the average
_MIB_IN_KIB = 1024.0


@dataclass(slots=True)
class Watched:
    """What was seen of a daemon. `series`: seconds and listings so far, from the first on."""

    series: list[tuple[float, int]] = field(default_factory=list)
    commits: int = 0
    cpu: float = 0.0
    memory: float = 0.0

    @property
    def seconds(self) -> float:
        return self.series[-1][0] - self.series[0][0]

    @property
    def polls(self) -> int:
        return self.series[-1][1] - self.series[0][1]

    @property
    def rate(self) -> float:
        """Listings per second on average."""
        return self.polls / self.seconds

    @property
    def start_rate(self) -> float:
        """Listings per second in the first seconds."""
        first, before = self.series[0]
        end, after = next(entry for entry in self.series if entry[0] >= first + START)
        return (after - before) / (end - first)


def run() -> list[Goal]:
    """Print the tables; the goals with their figures."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        with crowd(directory, REPOSITORIES, TAGS) as registry:
            config = write_config(
                directory,
                registry.address,
                registry.ca_file,
                registry.repositories,
                poll=f"{INTERVAL:.0f}s",
            )
            print(f"\n{REPOSITORIES} repositories x {TAGS} tags, fake registry, TLS, Bearer")
            _passes(registry, config)
            return _daemon(registry, config, directory / "state.db")


def _passes(registry: Crowd, config: Path) -> None:
    rows = [("pass", "wall s", "CPU s", "CPU ms/repository", "tags/list", "tokens", "connections")]
    for words in ("first (baseline)", "nothing new"):
        before, began = registry.stats(), time.monotonic()
        cpu = cpu_seconds([once(config)], environment())
        wall, after = time.monotonic() - began, registry.stats()
        gained = [str(after.get(k, 0) - before.get(k, 0)) for k in ("tags", "token", "connections")]
        each = f"{cpu / REPOSITORIES * 1000:.2f}"
        rows.append((words, f"{wall:.1f}", f"{cpu:.1f}", each, gained[0], gained[1], gained[2]))
    print(table(rows))


def _daemon(registry: Crowd, config: Path, state: Path) -> list[Goal]:
    command = [WATCHER, "-c", str(config), "--log-level", "warning", "run"]
    with subprocess.Popen(command, env=environment()) as process:
        try:
            seen = _watch(process.pid, registry, state)
        finally:
            process.send_signal(signal.SIGTERM)
    per_poll = seen.cpu / seen.polls * 1000
    print(f"\ndaemon, poll {INTERVAL:.0f}s, {seen.seconds:.0f} s")
    print(
        table(
            [
                ("requests/s", "first 5 s", "CPU ms/poll", "of a core", "peak MiB", "commits"),
                (
                    f"{seen.rate:.0f}",
                    f"{seen.start_rate:.0f}",
                    f"{per_poll:.2f}",
                    f"{seen.cpu / seen.seconds:.0%}",
                    f"{seen.memory:.1f}",
                    str(seen.commits),
                ),
            ]
        )
    )
    return [
        Goal(words="peak memory, MiB", value=seen.memory, limit=MEMORY_LIMIT),
        Goal(
            words=f"requests/s in the first {START:.0f} s against the average",
            value=seen.start_rate / seen.rate,
            limit=BURST_LIMIT,
        ),
        Goal(
            words="polls per repository and interval",
            value=seen.rate * INTERVAL / REPOSITORIES,
            limit=1.1,
        ),
        Goal(
            words="transactions beside one of bookkeeping a minute",
            value=max(0, seen.commits - math.ceil(seen.seconds / 60)),
            limit=0,
        ),
    ]


def _watch(process: int, registry: Crowd, state: Path) -> Watched:
    """Look twice a second from the first listing to the end of the last interval."""
    seen = Watched()
    start = registry.stats()["tags"]
    with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as db:
        while (count := registry.stats()["tags"]) == start:
            time.sleep(0.05)
        version, cpu = _data_version(db), _cpu(process)
        end = time.monotonic() + INTERVAL * INTERVALS
        seen.series.append((time.monotonic(), count))
        while time.monotonic() < end:
            time.sleep(0.5)
            seen.series.append((time.monotonic(), registry.stats()["tags"]))
            version, before = _data_version(db), version
            seen.commits += version != before
    seen.cpu = _cpu(process) - cpu
    seen.memory = _peak_memory(process)
    return seen


def _data_version(db: sqlite3.Connection) -> int:
    """Another number whenever another process committed."""
    version: int = db.execute("PRAGMA data_version").fetchone()[0]
    return version


def _cpu(process: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_memory(process: int) -> float:
    """The most that a process ever had resident, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kib) / _MIB_IN_KIB

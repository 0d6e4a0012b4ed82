"""What every benchmark shares: what programs cost, goals, and how they are printed.

CPU is user and system time. Peak memory is what the kernel calls VmHWM, looked at every few
milliseconds; the `ru_maxrss` of a child would count what its parent had.
"""

from __future__ import annotations

import math
import os
import select
import signal
import statistics
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Command = Sequence[str]

# Both sides are to find the system's certificates by themselves, and no proxy on the way; and the
# watcher has its bytecode, as it has where it is installed.
_NOT_PASSED_ON = (
    "SSL_CERT_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "WATCHER_",
    "PYTHONDONTWRITEBYTECODE",
)
_FIRST_LOOK, _LONGEST_LOOK = 2, 20  # ms
_MIB_IN_KIB = 1024.0
_STOPS_WITHIN = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A figure and what it should be at most; `words` say what it is, with its unit. `stretch` is
    what was hoped for beyond the goal."""

    words: str
    value: float
    limit: float
    stretch: float | None = None

    @property
    def is_met(self) -> bool:
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = "met" if self.is_met else f"missed by {self.value - self.limit:.3g}"
        wanted = f"goal: at most {self.limit:g}"
        if self.stretch is not None:
            wanted += f", stretch {self.stretch:g}"
            if self.is_met:
                verdict += ", stretch too" if self.value <= self.stretch else ", stretch not"
        return f"{self.words}: {self.value:.3g} ({wanted}) - {verdict}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of programs that ended: seconds, seconds, and the most memory that one of them had (MiB)."""

    wall: float
    cpu: float
    memory: float = 0.0


class Running:
    """A process of another program, while it runs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @property
    def cpu(self) -> float:
        """User and system seconds of all its threads so far."""
        return time.clock_gettime((~self.pid << 3) | 2)  # the kernel's name for that clock

    @property
    def memory(self) -> float:
        """MiB that are resident now."""
        return self._status("VmRSS:")

    @property
    def peak(self) -> float:
        """The most MiB that ever were."""
        return self._status("VmHWM:")

    def _status(self, key: str) -> float:
        """0 when the process has just ended."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return 0.0
        kib = next((line.split()[1] for line in lines if line.startswith(key)), "0")
        return int(kib) / _MIB_IN_KIB


def environment(**more: str) -> dict[str, str]:
    """The environment for measured programs."""
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_NOT_PASSED_ON)
    }
    return {**passed_on, **more}


def cost(commands: Iterable[Command], given: Mapping[str, str]) -> Cost:
    """Of these programs, run one after the other, start-up included, output dropped.

    Raises RuntimeError when one of them fails.
    """
    began, cpu, memory = time.monotonic(), 0.0, 0.0
    for command in commands:
        one = _run(command, given)
        cpu, memory = cpu + one.cpu, max(memory, one.memory)
    return Cost(wall=time.monotonic() - began, cpu=cpu, memory=memory)


def cpu_seconds(commands: Iterable[Command], given: Mapping[str, str]) -> float:
    """As `cost`, the CPU alone."""
    return cost(commands, given).cpu


def _run(command: Command, given: Mapping[str, str]) -> Cost:
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    began = time.monotonic()
    pid = os.posix_spawnp(command[0], list(command), given, file_actions=quiet)
    memory = _peak_until_end(pid)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(wall=time.monotonic() - began, cpu=cpu, memory=memory)


def _peak_until_end(pid: int) -> float:
    """Look at the memory of a child until it has ended (and still has to be waited for)."""
    process, peak = Running(pid), 0.0
    ended = os.pidfd_open(pid)
    try:
        waiting = select.poll()
        waiting.register(ended, select.POLLIN)
        pause = _FIRST_LOOK
        while not waiting.poll(pause):
            peak = max(peak, process.peak)
            pause = min(2 * pause, _LONGEST_LOOK)
    finally:
        os.close(ended)
    return peak


@contextmanager
def daemon(command: Command, given: Mapping[str, str]) -> Iterator[Running]:
    """Run a program until the block ends, and stop it in order.

    Raises RuntimeError when it ended before, or badly.
    """
    with subprocess.Popen(list(command), env=dict(given)) as process:
        try:
            yield Running(process.pid)
        except BaseException:
            process.kill()
            raise
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            raise RuntimeError(f"{' '.join(command)} did not stop") from None
    if code != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {code}")


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not below `share` of all; NaN where there are none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def quantiles(values: Sequence[float], *, scale: float = 1.0) -> str:
    """p50 / p99 as one cell."""
    return f"{quantile(values, 0.5) * scale:.1f} / {quantile(values, 0.99) * scale:.1f}"


def median(values: Iterable[float]) -> float:
    """The median; NaN where there are none."""
    given = list(values)
    return statistics.median(given) if given else math.nan


def spread(values: Sequence[float], unit: str = "", *, digits: int = 3) -> str:
    """The median, and between which values it stands."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f}{unit} ({low:.{digits}f} to {high:.{digits}f})"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns; the first is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in rows]  # fmt: skip
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])

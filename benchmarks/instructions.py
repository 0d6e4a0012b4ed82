"""Instructions of programs, counted by `perf` where it can: they repeat within a few percent where
CPU time is off by half. CPU time is never taken from a run under `perf`, which slows it.
"""

from __future__ import annotations

import functools
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measuring import Command

_EVENT = "instructions:u"
_COUNT = ["perf", "stat", "-x", ",", "-e", _EVENT]


@dataclass(slots=True)
class Counted:
    """Millions of instructions, known when the block has ended; None where they can't be."""

    millions: float | None = None


@functools.cache
def can_count() -> bool:
    """Whether `perf` is installed and this machine lets it count."""
    try:
        return instructions([["true"]], {}) is not None
    except (OSError, RuntimeError):
        return False


def instructions(commands: Iterable[Command], given: Mapping[str, str]) -> float | None:
    """Millions of instructions (in user space) of these programs, one after the other; None where
    the machine does not count them. Raises RuntimeError when one fails, OSError without perf."""
    total = 0.0
    with TemporaryDirectory() as directory:
        report = Path(directory) / "report"
        for command in commands:
            wrapped = [*_COUNT, "-o", str(report), "--", *command]
            done = subprocess.run(
                wrapped, env=dict(given) or None, stdout=subprocess.DEVNULL, check=False
            )
            if done.returncode != 0:
                raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}")
            counted = parsed(report.read_text())
            if counted is None:
                return None
            total += counted
    return total


@contextmanager
def counting(pid: int) -> Iterator[Counted]:
    """Count in a running process while the block lasts; counts nothing where that can't be."""
    counted = Counted()
    if not can_count():
        yield counted
        return
    with TemporaryDirectory() as directory:
        report = Path(directory) / "report"
        command = [*_COUNT, "-o", str(report), "-p", str(pid)]
        with subprocess.Popen(command) as process:
            try:
                yield counted
            finally:
                process.send_signal(signal.SIGINT)
        counted.millions = parsed(report.read_text())


def parsed(report: str) -> float | None:
    """Millions from the report of `perf stat -x ,`; None for `<not supported>`."""
    for line in report.splitlines():
        value, _, rest = line.partition(",")
        if _EVENT in rest:
            return float(value) / 1e6 if value.isdigit() else None
    return None

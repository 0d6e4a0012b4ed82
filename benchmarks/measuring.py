"""What every benchmark shares: processes and their CPU time, goals, and how they are printed."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Command = Sequence[str]

# Both sides are to find the system's certificates by themselves, and no proxy on the way.
_NOT_PASSED_ON = ("SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "WATCHER_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A figure and what it should be at most; `words` say what it is, with its unit."""

    words: str
    value: float
    limit: float

    @property
    def is_met(self) -> bool:
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = "met" if self.is_met else f"missed by {self.value - self.limit:.2f}"
        return f"{self.words}: {self.value:.2f} (goal: at most {self.limit:g}) - {verdict}"


def environment() -> dict[str, str]:
    """The environment for measured programs."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_NOT_PASSED_ON)
    }


def cpu_seconds(commands: Iterable[Command], given: Mapping[str, str]) -> float:
    """User and system time of these programs, run one after the other, start-up included.

    Raises RuntimeError when one of them fails.
    """
    total = 0.0
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    for command in commands:
        process = os.posix_spawnp(command[0], list(command), given, file_actions=quiet)
        _, status, usage = os.wait4(process, 0)
        if status != 0:
            raise RuntimeError(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
        total += usage.ru_utime + usage.ru_stime
    return total


def spread(values: Sequence[float], unit: str = "") -> str:
    """The median, and between which values it stands."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.3f}{unit} ({low:.3f} to {high:.3f})"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns; the first is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in rows]  # fmt: skip
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])

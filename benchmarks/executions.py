"""What became of pushes, as the state file tells: when each was queued and when it was finished."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Execution:
    """Epoch seconds."""

    repository: str
    tag: str
    created: float
    finished: float | None
    status: str


def executions(state: Path) -> list[Execution]:
    """All of them, oldest first."""
    with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as db:
        rows = db.execute(
            "SELECT repository, tag, created, finished, status FROM execution ORDER BY number"
        ).fetchall()
    return [Execution(*row) for row in rows]


def wait_for(
    state: Path, wanted: Callable[[Sequence[Execution]], bool], seconds: float
) -> list[Execution]:
    """Until they are as wanted. Raises RuntimeError when they are not in time."""
    deadline = time.monotonic() + seconds
    while not wanted(found := executions(state)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(found)} executions after {seconds:g} s")
        time.sleep(_LOOK_SECONDS)
    return found


def all_finished(count: int) -> Callable[[Sequence[Execution]], bool]:
    """Whether there are so many, and each has ended."""
    return lambda found: (
        len(found) >= count and all(execution.finished is not None for execution in found)
    )

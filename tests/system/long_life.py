"""A year of one state file, compressed: `python -m tests.system.long_life STATE RUNS`.

Ten tags of one repository move again and again; each move is recorded, fires a run and is deployed,
by the methods that the daemon uses, and once a day there is a round of retention. After each month
a line of JSON says what there is. Run by test_long_life.py.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.store.builders import NOW, baseline, change, digest, pipeline, polled, run_of
from watcher.core import stepping
from watcher.core.change import ChangeKind
from watcher.core.notifier import Audience
from watcher.core.pipeline import Done, ExecutionStatus
from watcher.core.poll import PollRecord
from watcher.core.retention import Retention
from watcher.core.verdict import Verdict
from watcher.store.maintenance import check
from watcher.store.sqlite import Store

DAYS, MONTH = 360, 30
TAGS = [f"stable-{number}" for number in range(10)]
SAID = "applied deployment.apps/web\n" * 40
PIPELINE = pipeline("apply", "verify", most=99)


def moves(number: int, at: datetime) -> PollRecord:
    """A poll that found each tag moved, for the so-manieth time, and fired a run for each."""
    letter = "0123456789abcdef"[number % 16]
    record = polled(
        [change(tag, ChangeKind.MOVED, number=number, letter=letter) for tag in TAGS],
        Verdict.FIRED,
    )
    executions = [replace(run_of(tag, number=number, of=PIPELINE), created=at) for tag in TAGS]
    runs = [replace(new, digest=digest(letter), change="moved") for new in executions]
    return replace(record, at=at, executions=tuple(runs))


def work(store: Store, at: datetime) -> None:
    """Every queued run comes to its good end."""
    for execution in store.claim(at, (), 99).executions:
        for index in range(len(execution.stages)):
            execution = store.save_start(stepping.begin(execution, index, at), index)
            outcome = Done({"objects": ["Deployment/web"] * 20})
            execution = stepping.conclude(execution, index, outcome, at, SAID)
            if index == len(execution.stages) - 1:
                execution = stepping.finish(execution, ExecutionStatus.SUCCEEDED, None, at)
            execution = store.save(execution, index, None)


def let_go(store: Store, at: datetime) -> None:
    moment = store.begin_retention(at.timestamp())
    while store.prune(Retention(), moment):
        pass
    while store.give_back():
        pass


def live(path: Path, runs: int) -> Iterator[dict[str, Any]]:
    polls_a_day = max(1, runs // DAYS // len(TAGS))
    number = 0
    with Store.open(path) as store:
        store.record_poll(baseline(*TAGS))
        for day in range(1, DAYS + 1):
            at = NOW + timedelta(days=day)
            for _ in range(polls_a_day):
                number += 1
                store.record_poll(moves(number, at))
                work(store, at)
            store.outbox.fill(Audience())
            let_go(store, at)
            if day % MONTH == 0:
                yield {"runs": number * len(TAGS), "resident": round(resident(), 1), **size(path)}


def size(path: Path) -> dict[str, float]:
    rows = check(path).rows
    mebibytes = round(path.stat().st_size / 1024**2, 1)
    return {"mebibytes": mebibytes, "kept": rows["execution"], "activity": rows["activity"]}


def resident() -> float:
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


if __name__ == "__main__":
    for seen in live(Path(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(seen), flush=True)

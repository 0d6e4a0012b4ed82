"""The daemon with an observer beside it: when each poll was due, when it began and ended, and how
late the event loop was. `python -m benchmarks.observed CONFIG REPORT` runs it.

The product has no such log, so this entry puts the same Service together as `watcher run` does and
hands it pollers that note the time around the true ones. What is noted stays in memory until the
end; CPU and memory are therefore measured with `watcher run` itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measuring import Running, daemon, environment
from watcher.config.load import Config, load
from watcher.daemon.app import App, opened
from watcher.daemon.service import Service
from watcher.engine.poll_outcome import PollOutcome
from watcher.engine.poller import Poller
from watcher.engine.rules import Rules
from watcher.stages import OPTIONS, UNDOABLE
from watcher.telemetry.log import Log

LAG_PAUSE = 0.02
"""Seconds that the probe sleeps; what it sleeps longer is the lag of the event loop."""


@dataclass(slots=True)
class Noted:
    """Of one account: seconds of the epoch, one entry per poll in each of them."""

    due: array[float] = field(default_factory=lambda: array("d"))
    began: array[float] = field(default_factory=lambda: array("d"))
    ended: array[float] = field(default_factory=lambda: array("d"))

    def add(self, due: float, began: float, ended: float) -> None:
        self.due.append(due)
        self.began.append(began)
        self.ended.append(ended)


class NotingPoller(Poller):
    """Polls as the one it was made of, and notes when."""

    def __init__(self, poller: Poller, app: App, noted: Noted) -> None:
        self.account = poller.account
        self._poller = poller
        self._app = app
        self._noted = noted

    def use(self, rules: Rules) -> None:
        self._poller.use(rules)

    async def poll(self, repository: str, *rest: Any, **more: Any) -> PollOutcome:
        began = time.time()
        due = self._app.board.get(self.account.name, repository).next_check or began
        outcome = await self._poller.poll(repository, *rest, **more)
        self._noted.add(due, began, time.time())
        return outcome


async def _probe(lags: array[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(LAG_PAUSE)
        lags.append(loop.time() - before - LAG_PAUSE)


async def _work(path: Path) -> dict[str, object]:
    """Until a signal; what was noted."""

    def loaded() -> Config:
        return load(path, stages=OPTIONS, undoable=UNDOABLE, environment=os.environ)

    lags: array[float] = array("d")
    noted: dict[str, Noted] = {}
    async with opened(
        loaded(),
        log=Log("error", "json"),
        clock=time.time,
        environment=os.environ,
        command="watcher run",
    ) as app:
        for name, member in app.members.items():
            noted[name] = Noted()
            member.poller = NotingPoller(member.poller, app, noted[name])
        probe = asyncio.create_task(_probe(lags))
        await Service(app, loaded).run()
        probe.cancel()
    accounts = {
        name: {"due": list(one.due), "began": list(one.began), "ended": list(one.ended)}
        for name, one in noted.items()
    }
    return {"accounts": accounts, "lags": list(lags)}


@dataclass(slots=True)
class Observed:
    """What an observed daemon reported, once it has ended: seconds. `late`: from when a poll was
    due to when it began; `took`: from when it was due to its end; `at`: from the first poll of the
    account to when this one was due; by account."""

    at: Mapping[str, list[float]] = field(default_factory=dict)
    late: Mapping[str, list[float]] = field(default_factory=dict)
    took: Mapping[str, list[float]] = field(default_factory=dict)
    lags: list[float] = field(default_factory=list)

    def read(self, report: Path) -> None:
        told = json.loads(report.read_text())
        self.lags = told["lags"]
        self.at = {
            name: [due - min(one["due"]) for due in one["due"]]
            for name, one in told["accounts"].items()
        }
        self.late = {
            name: _differences(one["began"], one["due"]) for name, one in told["accounts"].items()
        }
        self.took = {
            name: _differences(one["ended"], one["due"]) for name, one in told["accounts"].items()
        }


def _differences(later: list[float], earlier: list[float]) -> list[float]:
    return [max(0.0, b - a) for b, a in zip(later, earlier, strict=True)]


@contextmanager
def observing(config: Path) -> Iterator[tuple[Running, Observed]]:
    """Run the observed daemon until the block ends; what it reports is there afterwards."""
    report = config.with_name("report.json")
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.observed", str(config), str(report)]
    observed = Observed()
    with daemon(command, environment()) as process:
        yield process, observed
    observed.read(report)


if __name__ == "__main__":
    noted = asyncio.run(_work(Path(sys.argv[1])))
    Path(sys.argv[2]).write_text(json.dumps(noted))

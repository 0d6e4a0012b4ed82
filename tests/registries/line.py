"""One account of one kind of registry, from its config file to what is queued, on a told clock."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.registries.kinds import Case, account
from watcher.cli.app import cli
from watcher.config.load import Config, load
from watcher.daemon.app import App
from watcher.daemon.once import PassReport, run_once
from watcher.engine.poll_outcome import PollOutcome
from watcher.stages import OPTIONS
from watcher.store.sqlite import Store
from watcher.telemetry.log import Log
from watcher.testing.faults import Exchange
from watcher.testing.profiles import PROFILES
from watcher.testing.registry import FakeRegistry

MINUTE, DAY = 60.0, 86_400.0
TRIGGERS: list[dict[str, Any]] = [
    {"name": "release", "account": "main", "tag": "v.*", "pipeline": "deploy"},
    {
        "name": "stable",
        "account": "main",
        "tag": {"equals": "stable"},
        "changes": ["moved"],
        "pipeline": "deploy",
    },
]


class Line:
    """Runs passes as cron does, each by a process that remembers only the state file."""

    def __init__(self, case: Case, directory: Path, strategy: str) -> None:
        self.case = case
        self.strategy = strategy
        self.now = 1_800_000_000.0
        self._began = time.monotonic()
        self.registry: FakeRegistry
        self._directory = directory
        self._password = directory / "password"
        self._password.write_text(case.password)

    def clock(self) -> float:
        """Fifty times as fast as the clock on the wall, for a pace is waited for."""
        return self.now + 50 * (time.monotonic() - self._began)

    def configure(self, strategy: str | None = None, **settings: Any) -> Config:
        """Write the config, with other settings of the account where they are given."""
        self.strategy = strategy or self.strategy
        one = account(self.case, self.registry.address, self._password, self.strategy)
        document = {
            "state": str(self._directory / "state.db"),
            "accounts": [{**one, **settings}],
            "triggers": [{**t, "repository": self.case.repository} for t in TRIGGERS],
            "pipelines": [{"name": "deploy", "stages": [{"wait": "1s"}]}],
        }
        path = self._directory / "config.yaml"
        path.write_text(json.dumps(document))
        return load(path, stages=OPTIONS, environment={})

    def command(self, *words: str) -> tuple[int, str]:
        """Exit code and output of a command, as a user types it."""
        self.configure()
        result = CliRunner().invoke(cli, [*words, "-c", str(self._directory / "config.yaml")])
        return result.exit_code, result.output

    def poll(self, *, after: float = MINUTE) -> PollOutcome:
        """One pass, so many seconds after the last one; the outcome of its only poll."""
        self.now += after
        report = run_once(
            self.configure(),
            log=Log("error"),
            clock=self.clock,
            environment={},
            command="run --once",
            carry_out=_nothing,
        )
        return _only(report)

    def push(self, *tags: str) -> None:
        for tag in tags:
            self.registry.push(self.case.repository, tag)

    def queued(self) -> list[tuple[str, str]]:
        """Change and tag of every run that was ever queued, oldest first."""
        with Store.open(self._directory / "state.db") as store:
            return [(str(run.change), str(run.tag)) for run in reversed(store.executions())]

    def known(self) -> Mapping[str, str | None]:
        """Every tag that stands in the state file, with its digest where it is followed."""
        with Store.open(self._directory / "state.db") as store:
            present = store.known("main", self.case.repository).present
            return {name: tag.digest for name, tag in present.items()}

    def end_login(self) -> Exchange | None:
        """What was given out or accepted so far is accepted no more."""
        if self.case.expires == "password":
            renewed = f"{self.case.password}-renewed"
            self.registry.rotate_password(self.case.username, renewed)
            self._password.write_text(renewed)
        else:
            self.registry.revoke_tokens()
        return None


@contextmanager
def line(case: Case, directory: Path, strategy: str = "auto", **registry: Any) -> Iterator[Line]:
    """A running registry of that kind, with five versions and a tag that moves."""
    it = Line(case, directory, strategy)
    settings = {
        "profile": PROFILES[case.profile],
        "users": {case.username: case.password.removesuffix("\n")},
        "clock": it.clock,
        **registry,
    }
    with FakeRegistry.in_thread(**settings) as running:
        it.registry = running
        it.push("v1", "v2", "v3", "v4", "v5", "stable")
        it.configure()
        yield it


async def _nothing(app: App) -> tuple[list[str], list[str]]:
    """What is queued stays queued."""
    return [], []


def _only(report: PassReport) -> PollOutcome:
    (outcome,) = report.polls
    return outcome

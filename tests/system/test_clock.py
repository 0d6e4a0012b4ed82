"""A clock that jumps, and a machine that slept: polls go on at their pace, nothing is lost, nothing
fires twice.

The daemon's clock on the wall is libfaketime's (Debian: libfaketime), which these tests set; the
monotonic one goes on, as it does on a real machine.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.system.watching import Watcher, account, trigger, wait_until
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

WEB = "acme/web"
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed")


class Clock:
    """The offset of a process's clock, as libfaketime reads it from a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set("+0")

    def set(self, offset: str) -> None:
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{offset}\n")
        os.replace(draft, self._file)

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


def watched(directory: Path, registry: FakeRegistry, *repositories: str, **keys: Any) -> Watcher:
    """After the baseline of all repositories."""
    for repository in repositories:
        registry.push(repository, "0.9")
    watcher = Watcher(
        directory,
        {
            "accounts": [account(registry.address, *repositories, **keys)],
            "triggers": [trigger("web", "deploy", *repositories)],
            "pipelines": [{"name": "deploy", "stages": [{"command": ["true"], "name": "go"}]}],
        },
    )
    assert watcher.run("run", "--once").returncode == 0
    return watcher


def memory(pid: int) -> float:
    """Resident MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


@pytest.mark.parametrize(
    "offset",
    [
        pytest.param("+365d", id="a year on"),
        pytest.param("-5h", id="5 h back"),
        pytest.param("+3d", id="3 days on", marks=pytest.mark.soak),
        pytest.param("-40d", id="40 days back", marks=pytest.mark.soak),
    ],
)
def test_after_a_jump_polls_go_on_and_each_tag_fires_once(
    offset: str, tmp_path: Path, registry: FakeRegistry, clock: Clock
) -> None:
    watcher = watched(tmp_path, registry, WEB)
    with watcher.running(env=clock.environment) as daemon:
        registry.push(WEB, "1.0")
        daemon.wait_for("execution_finished", status="SUCCEEDED")
        before = memory(daemon.pid)
        clock.set(offset)
        registry.push(WEB, "2.0")
        daemon.wait_for("execution_finished", times=2, status="SUCCEEDED")
        clock.set("+0")
        registry.push(WEB, "3.0")
        daemon.wait_for("execution_finished", times=3, status="SUCCEEDED")
        asked = registry.count(Kind.TAGS)
        wait_until(lambda: registry.count(Kind.TAGS) >= asked + 3, "polls go on")
        assert memory(daemon.pid) < before + 20
        assert [line for line in daemon.lines() if line["level"] == "error"] == []
    assert Counter(run["tag"] for run in watcher.json("executions")) == {
        "1.0": 1,
        "2.0": 1,
        "3.0": 1,
    }
    assert {one["tag"] for one in watcher.json("activity")} >= {"1.0", "2.0", "3.0"}


@pytest.mark.parametrize("offset", ["+1d", "-1d"])
def test_a_run_lasts_as_long_through_a_jump(
    offset: str, tmp_path: Path, registry: FakeRegistry, clock: Clock
) -> None:
    """Its first stage is under way when the clock is set, its second one waits afterwards."""
    watcher, go_on = watched(tmp_path, registry, WEB), tmp_path / "go_on"
    first = {"name": "first", "command": ["sh", "-c", f"until [ -e {go_on} ]; do sleep 0.1; done"]}
    stages = [first, {"wait": "2s"}, {"name": "last", "command": ["true"]}]
    config = json.loads(watcher.config.read_text())
    watcher.write({**config, "pipelines": [{"name": "deploy", "stages": stages}]})
    with watcher.running(env=clock.environment) as daemon:
        registry.push(WEB, "1.0")
        daemon.wait_for("stage_started", stage="first")
        clock.set(offset)
        go_on.touch()
        daemon.wait_for("stage_finished", stage="first", status="SUCCEEDED")
        waits = time.monotonic()
        (ended,) = daemon.wait_for("execution_finished")
        assert (ended["status"], ended.get("reason")) == ("SUCCEEDED", None)
        assert 1 < time.monotonic() - waits < 15


@pytest.mark.soak
def test_a_machine_that_slept_makes_no_storm_of_polls(
    tmp_path: Path, registry: FakeRegistry, clock: Clock
) -> None:
    """While it sleeps nothing runs, and its clock goes on."""
    names = [f"acme/r{number}" for number in range(60)]
    watcher = watched(tmp_path, registry, *names, poll="20s")
    with watcher.running(env=clock.environment) as daemon:
        asked = registry.count(Kind.TAGS)
        wait_until(lambda: registry.count(Kind.TAGS) >= asked + 6, "polls")
        daemon.send(signal.SIGSTOP)
        registry.push(names[0], "1.0")
        clock.set("+3d")
        asked = registry.count(Kind.TAGS)
        daemon.send(signal.SIGCONT)
        woke = time.monotonic()
        wait_until(lambda: registry.count(Kind.TAGS) >= asked + 30, "half of them are polled")
        assert time.monotonic() - woke > 5, "half of the interval, about"
        daemon.wait_for("execution_finished", status="SUCCEEDED")
        wait_until(lambda: registry.count(Kind.TAGS) >= asked + 60, "all of them are polled")
        assert time.monotonic() - woke < 30
    assert [run["tag"] for run in watcher.json("executions")] == ["1.0"]

"""A disk that is full, and has room again: the daemon goes on by itself, says so, loses nothing and
fires nothing twice.

The disk is a small tmpfs in a mount namespace of its own (root only), with the state file and the
log on it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.watching import Watcher, account, trigger, wait_until
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

WEB = "acme/web"
SIZE = "6m"
IN_NAMESPACE = ["unshare", "--mount", "--propagation", "private"]


def may_mount() -> bool:
    if not sys.platform.startswith("linux") or shutil.which("nsenter") is None:
        return False
    probe = [*IN_NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_mount(), reason="nothing may be mounted")


@dataclass
class Disk:
    """A small disk, which only the processes in its namespace see at its place."""

    place: Path
    pid: int

    @property
    def inside(self) -> Path:
        """The same, as seen from here."""
        return Path(f"/proc/{self.pid}/root{self.place}")

    def fill(self) -> None:
        with (self.inside / "filler").open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                return

    def free(self) -> None:
        (self.inside / "filler").unlink()


@contextmanager
def mounted(place: Path) -> Iterator[Disk]:
    place.mkdir()
    script = f"mount -t tmpfs -o size={SIZE} none '{place}' && echo mounted && exec sleep 1000"
    command = [*IN_NAMESPACE, "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "mounted\n"
            yield Disk(place, process.pid)
        finally:
            process.kill()


class OnDisk(Watcher):
    """A watcher whose processes see the disk."""

    def __init__(self, directory: Path, config: dict[str, Any], disk: Disk) -> None:
        super().__init__(directory, {**config, "state": str(disk.place / "watcher.db")})
        self.disk = disk

    def command(self, *words: str) -> list[str]:
        namespace = ["nsenter", "--target", str(self.disk.pid), "--mount"]
        return [*namespace, "--", *super().command(*words)]


@pytest.fixture
def watcher(tmp_path: Path, registry: FakeRegistry) -> Iterator[OnDisk]:
    """After the baseline; its runs wait for a file, and leave marks."""
    registry.push(WEB, "0.9")
    gate, marks = tmp_path / "gate", tmp_path / "marks"
    script = f"until [ -e '{gate}' ]; do sleep 0.05; done; echo $WATCHER_TAG >> '{marks}'"
    config = {
        "accounts": [account(registry.address, WEB)],
        "triggers": [trigger("web", "deploy", WEB)],
        "pipelines": [
            {
                "name": "deploy",
                "stages": [{"command": ["sh", "-c", script], "name": "go"}],
            }
        ],
    }
    with mounted(tmp_path / "disk") as disk:
        made = OnDisk(tmp_path, config, disk)
        assert made.run("run", "--once").returncode == 0
        yield made


def runs(watcher: Watcher) -> Counter[tuple[str, str]]:
    return Counter((run["tag"], run["status"]) for run in watcher.json("executions"))


def test_a_tag_that_came_while_the_disk_was_full_fires_once_when_there_is_room(
    watcher: OnDisk, registry: FakeRegistry
) -> None:
    (watcher.directory / "gate").touch()
    with watcher.running() as daemon:
        registry.push(WEB, "1.0")
        daemon.wait_for("execution_finished", status="SUCCEEDED")
        watcher.disk.fill()
        registry.push(WEB, "2.0")
        (line, *_) = daemon.wait_for("poll_failed")
        assert "watcher.db can't be written" in line["error"]
        assert "room" in line["hint"]
        asked = registry.count(Kind.TAGS)
        wait_until(lambda: registry.count(Kind.TAGS) >= asked + 1, "polls go on")
        assert runs(watcher) == {("1.0", "SUCCEEDED"): 1}, "it can be read"
        watcher.disk.free()
        daemon.wait_for("execution_finished", times=2, status="SUCCEEDED")
        assert daemon.events("internal_error") == []
    assert runs(watcher) == {("1.0", "SUCCEEDED"): 1, ("2.0", "SUCCEEDED"): 1}
    assert watcher.json("state", "check")["ok"] is True


def test_a_run_that_ends_while_the_disk_is_full_is_written_down_when_there_is_room(
    watcher: OnDisk, registry: FakeRegistry
) -> None:
    with watcher.running() as daemon:
        registry.push(WEB, "1.0")
        daemon.wait_for("stage_started")
        watcher.disk.fill()
        (watcher.directory / "gate").touch()
        daemon.wait_for("state_failed")
        assert daemon.process.poll() is None
        watcher.disk.free()
        daemon.wait_for("execution_finished", status="SUCCEEDED")
    assert runs(watcher) == {("1.0", "SUCCEEDED"): 1}
    assert watcher.json("state", "check")["ok"] is True


def test_a_log_on_the_full_disk_says_afterwards_what_it_lost(
    watcher: OnDisk, registry: FakeRegistry
) -> None:
    log = watcher.disk.inside / "watcher.log"
    daemon = watcher.start("--log-file", str(watcher.disk.place / "watcher.log"))
    try:
        wait_until(lambda: log.exists() and "ready" in log.read_text(), "it works")
        size = log.stat().st_size
        pad = 4096 - size % 4096 if size % 4096 else 0
        with log.open("a") as file:  # up to the end of its last page, which is paid for
            file.write("\n" * pad)
        watcher.disk.fill()
        registry.push(WEB, "1.0")
        asked = registry.count(Kind.TAGS)
        wait_until(lambda: registry.count(Kind.TAGS) >= asked + 2, "polls go on")
        watcher.disk.free()
        (watcher.directory / "gate").touch()
        wait_until(lambda: "log_resumed" in log.read_text(), "it says so")
        wait_until(lambda: runs(watcher) == {("1.0", "SUCCEEDED"): 1}, "it ran", every=0.3)
        daemon.terminate()
        said = [json.loads(line) for line in log.read_text().splitlines() if line]
        assert sum(line.get("lost", 0) for line in said) > 0
    finally:
        daemon.kill()


def test_a_pass_on_a_full_disk_fails_and_the_next_one_does_its_work(
    watcher: OnDisk, registry: FakeRegistry
) -> None:
    (watcher.directory / "gate").touch()
    registry.push(WEB, "1.0")
    watcher.disk.fill()
    failed = watcher.run("run", "--once")
    assert failed.returncode == 1
    assert "can't be written" in failed.stderr
    assert "Traceback" not in failed.stderr
    watcher.disk.free()
    for _ in range(2):
        assert watcher.run("run", "--once").returncode == 0
        assert runs(watcher) == {("1.0", "SUCCEEDED"): 1}
    assert (watcher.directory / "marks").read_text().count("\n") == 1

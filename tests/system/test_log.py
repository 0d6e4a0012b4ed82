"""The daemon's log in the hands of logrotate, on a full disk, and with nobody there to read it."""

from __future__ import annotations

import fcntl
import json
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.system.watching import PATIENCE, Watcher, account, trigger, wait_until
from watcher.testing.registry import FakeRegistry

WEB = "acme/web"


@pytest.fixture
def watcher(tmp_path: Path, registry: FakeRegistry) -> Watcher:
    """A watcher whose repository has its baseline."""
    registry.push(WEB, "0.9")
    made = Watcher(
        tmp_path,
        {
            "accounts": [account(registry.address, WEB)],
            "triggers": [trigger("web", "deploy", WEB)],
            "pipelines": [{"name": "deploy", "stages": [{"command": ["true"], "name": "go"}]}],
        },
    )
    assert made.run("run", "--once").returncode == 0
    return made


def lines(*files: Path) -> list[Any]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def finished(*files: Path) -> list[str]:
    """The events of runs, by their tags' order; a half line is an error."""
    found = lines(*(file for file in files if file.exists()))
    return [line["execution"] for line in found if line["event"] == "execution_finished"]


def runs(watcher: Watcher) -> list[str]:
    found = watcher.json("executions")
    return [run["id"] for run in reversed(found) if run["finished"]]


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not installed")
@pytest.mark.parametrize("way", ["nocreate", "create 0640", "copytruncate"])
def test_logrotate_loses_no_line(way: str, watcher: Watcher, registry: FakeRegistry) -> None:
    logs = watcher.directory / "logs"
    logs.mkdir()
    log = logs / "watcher.log"
    daemon = watcher.start("--log-file", str(log))
    try:
        for number in range(3):
            registry.push(WEB, f"1.{number}")
            wait_until(lambda: len(runs(watcher)) == number + 1, "it ran", every=0.2)  # noqa: B023
            wait_until(lambda: len(finished(*sorted(logs.iterdir()))) == number + 1, "it is said")  # noqa: B023
            rotate(way, log)
        daemon.terminate()
    finally:
        daemon.kill()
    files = sorted(logs.iterdir(), key=lambda file: file.stat().st_mtime)
    assert sorted(finished(*files)) == sorted(runs(watcher))
    assert len(files) == 4
    assert daemon.log.read_text() == ""


def rotate(way: str, log: Path) -> None:
    config = log.parent.with_name("logrotate.conf")
    config.write_text(f"'{log}' {{ rotate 9\n {way}\n }}\n")
    config.chmod(0o600)
    status = config.with_suffix(".status")
    subprocess.run(["logrotate", "--force", "--state", status, config], check=True)


def test_a_disk_that_is_full_for_the_log_stops_nothing_and_is_said_afterwards(
    watcher: Watcher, registry: FakeRegistry
) -> None:
    """The kernel lets no file of the daemon's grow: of those only the log would."""
    log = watcher.directory / "watcher.log"
    log.write_text(" " * 1024**2 + "\n")  # larger than all else that the daemon writes
    daemon = watcher.start("--log-file", str(log))
    try:
        wait_until(lambda: "started" in log.read_text(), "it works")
        size = log.stat().st_size
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        registry.push(WEB, "1.0")
        wait_until(lambda: len(runs(watcher)) == 1, "it ran without a log", every=0.2)
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, unlimited)
        registry.push(WEB, "2.0")
        wait_until(lambda: "log_resumed" in log.read_text(), "it says so")
        daemon.terminate()
    finally:
        daemon.kill()
    said = [json.loads(line) for line in log.read_text()[size:].splitlines()]
    (resumed,) = [line for line in said if line["event"] == "log_resumed"]
    assert resumed["lost"] >= 4, "a new tag, its run and its stage"
    assert [line["event"] for line in said][-1] == "stopped"


def test_a_stderr_that_nobody_reads_any_more_stops_nothing(
    watcher: Watcher, registry: FakeRegistry
) -> None:
    command = watcher.command("run", "--log-format", "json")
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stderr is not None
            assert b"started" in process.stderr.readline()
            process.stderr.close()
            for number in range(2):
                registry.push(WEB, f"1.{number}")
                wait_until(lambda: len(runs(watcher)) == number + 1, "it ran", every=0.2)  # noqa: B023
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


LEAST_ROOM = 4096
"""Bytes that the kernel's smallest pipe holds."""


@contextmanager
def unread(watcher: Watcher) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon whose log nobody reads for now, though the pipe is open."""
    command = watcher.command("run", "--log-format", "json")
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, LEAST_ROOM)
        try:
            yield process
        finally:
            process.kill()


def run_more_than_the_pipe_holds(watcher: Watcher, registry: FakeRegistry) -> int:
    """How many tags ran; each of them is more than 300 bytes of log."""
    number = 2 * LEAST_ROOM // 300
    for tag in range(number):
        registry.push(WEB, f"1.{tag}")
    wait_until(lambda: len(runs(watcher)) == number, "they ran", every=0.5)
    registry.push(WEB, "2.0")
    wait_until(lambda: len(runs(watcher)) == number + 1, "polling goes on", every=0.5)
    return number + 1


def test_a_reader_that_hangs_stops_nothing_and_gets_every_line_in_order_when_it_reads_again(
    watcher: Watcher, registry: FakeRegistry
) -> None:
    with unread(watcher) as process:
        number = run_more_than_the_pipe_holds(watcher, registry)
        process.terminate()
        assert process.stderr is not None
        said = [json.loads(line) for line in process.stderr.read().splitlines()]
        assert process.wait(PATIENCE) == 0
    ended = [line["execution"] for line in said if line["event"] == "execution_finished"]
    assert sorted(ended) == sorted(runs(watcher))
    assert len(ended) == number
    assert [line["timestamp"] for line in said] == sorted(line["timestamp"] for line in said)
    assert said[-1]["event"] == "stopped"


def test_a_reader_that_hangs_for_ever_keeps_no_daemon_from_its_end(
    watcher: Watcher, registry: FakeRegistry
) -> None:
    with unread(watcher) as process:
        run_more_than_the_pipe_holds(watcher, registry)
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_a_log_file_that_can_t_be_opened_is_an_error_of_the_command(watcher: Watcher) -> None:
    for words in (["run"], ["run", "--once"]):
        refused = watcher.run(*words, "--log-file", "/nowhere/watcher.log")
        assert refused.returncode == 2
        assert "/nowhere/watcher.log can't be opened: No such file" in refused.stderr

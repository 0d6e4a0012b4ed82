"""Commands beside a daemon that runs, through the state file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import REPOSITORY, Bench
from tests.cli.test_rejections import reject
from watcher.cli.base import Invocation
from watcher.cli.follow import PATIENCE_SECONDS, follow
from watcher.cli.session import load_config
from watcher.store.lock import StateLock
from watcher.testing.access import BearerAuth
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

PATIENCE = 20.0


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def daemon(bench: Bench, registry: FakeRegistry) -> Iterator[subprocess.Popen[str]]:
    """A daemon that has recorded its baseline and will not poll again by itself."""
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, account="poll: 1d")
    bench.run("run", "--once")
    process = subprocess.Popen(
        [sys.executable, "-m", "watcher", "run"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=bench.directory,
        env=dict(os.environ),
    )
    assert process.stderr is not None
    while " ready " not in process.stderr.readline():
        assert process.poll() is None
    yield process
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_a_second_instance_is_refused_and_names_the_first(
    bench: Bench, daemon: subprocess.Popen[str]
) -> None:
    for words in (("run",), ("run", "--once")):
        stderr = bench.run(*words, code=3).stderr
        assert f"process {daemon.pid} (watcher run)" in stderr


def test_status_beside_a_daemon_knows_that_the_file_may_lag_behind(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, account="poll: {every: 1s, jitter: 0s}\nstale_after: 1s")
    bench.run("run", "--once")
    polled = time.monotonic()
    with StateLock(bench.directory / "watcher.db", command="watcher run"):
        time.sleep(max(0.0, 1.1 - (time.monotonic() - polled)))
        (row,) = bench.json("status")
    assert row["state"] == "ok"
    assert row["next_check"] > row["last_check"]
    assert bench.json("status")[0]["state"] == "stale"


def test_poll_is_done_by_the_daemon(
    bench: Bench, registry: FakeRegistry, daemon: subprocess.Popen[str]
) -> None:
    registry.push(REPOSITORY, "1.1")
    shape = bench.json("poll", "fake")
    assert [(poll["result"], poll["changes"]) for poll in shape["polls"]] == [("changed", 1)]
    wait_for(lambda: [run["status"] for run in bench.json("executions")] == ["SUCCEEDED"])


def test_the_log_and_poll_give_the_same_hints_as_validate(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    registry.auth = BearerAuth(users={"u": "p"}, denied=frozenset({REPOSITORY}))
    registry.fault(Fault(match=Match(kind=Kind.CATALOG), action=Respond(404)))
    path = bench.configure(registry.address, account="username: u\npassword: p\ndialect: quay")
    path.write_text(path.read_text().replace("[acme/web]", "[acme/web]\n    catalog: true"))
    hints = {f["repository"]: f["hint"] for f in findings(bench)}
    by_this_process = bench.json("poll", f"fake/{REPOSITORY}", code=1)["polls"]
    log = bench.directory / "daemon.log"
    options = ("--log-format", "json", "--log-file", str(log))
    with subprocess.Popen([sys.executable, "-m", "watcher", "run", *options]) as process:
        try:
            wait_for(lambda: "catalog_failed" in said(log))
            by_the_daemon = bench.json("poll", f"fake/{REPOSITORY}", code=1)["polls"]
            shown = bench.run("poll", f"fake/{REPOSITORY}", code=1).stdout
        finally:
            process.send_signal(signal.SIGTERM)
    assert "needs the permission read" in hints[REPOSITORY]
    assert [poll["hint"] for poll in by_this_process + by_the_daemon] == [hints[REPOSITORY]] * 2
    assert shown.splitlines()[-1] == f"hint: {hints[REPOSITORY]}"
    assert said(log)["poll_failed"]["hint"] == hints[REPOSITORY]
    assert said(log)["catalog_failed"]["hint"] == hints[None]


def findings(bench: Bench) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bench.json("validate", "--online", code=1)["findings"]
    return found


def said(log: Path) -> dict[str, dict[str, Any]]:
    """The last line of each event."""
    text = log.read_text() if log.exists() else ""
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return {line["event"]: line for line in lines}


def test_baseline_is_done_by_the_daemon(
    bench: Bench, registry: FakeRegistry, daemon: subprocess.Popen[str]
) -> None:
    registry.push(REPOSITORY, "1.1")
    bench.run("baseline", f"fake/{REPOSITORY}")
    assert [poll["changes"] for poll in bench.json("poll")["polls"]] == [0]
    assert bench.json("executions") == []


def test_a_run_by_hand_is_carried_out_by_the_daemon(
    bench: Bench, daemon: subprocess.Popen[str]
) -> None:
    result = bench.run("trigger", "web", "--tag", "1.0", "--wait")
    assert "stage greet: SUCCEEDED" in result.stderr
    assert "no daemon runs" not in bench.run("trigger", "web", "--tag", "1.0").stdout


@pytest.mark.parametrize(
    "held",
    [
        pytest.param([(0.0, 1.0)], id="gone for good"),
        pytest.param([(0.0, 1.0), (4.0, 7.0)], id="gone, and back in time"),
    ],
)
def test_a_run_that_its_daemon_leaves_is_carried_out_by_who_waits(
    bench: Bench, registry: FakeRegistry, held: list[tuple[float, float]]
) -> None:
    registry.push(REPOSITORY, "1.0")
    invocation = Invocation(config=bench.configure(registry.address))
    identifier = bench.json("trigger", "web", "--tag", "1.0")["id"]
    lock = StateLock(bench.directory / "watcher.db", command="watcher run")
    lock.acquire()
    is_held, now = True, 0.0

    def sleep(seconds: float) -> None:
        nonlocal is_held, now
        now += seconds
        wanted = any(start <= now < end for start, end in held)
        if wanted != is_held:
            (lock.acquire if wanted else lock.release)()
            is_held = wanted

    run = follow(invocation, load_config(invocation), identifier, sleep=sleep, clock=lambda: now)
    assert run.status == "SUCCEEDED"
    assert now == pytest.approx(held[-1][1] + PATIENCE_SECONDS, abs=0.5)


def test_a_switch_holds_at_once(
    bench: Bench, registry: FakeRegistry, daemon: subprocess.Popen[str]
) -> None:
    bench.run("disable", "web")
    registry.push(REPOSITORY, "1.1")
    bench.run("poll")
    outcomes = [t["outcome"] for row in bench.json("activity") for t in row["triggers"]]
    assert outcomes == ["disabled"]


def test_a_holder_that_does_not_answer_is_named(polled: Bench) -> None:
    with StateLock(polled.directory / "watcher.db", command="watcher run --once"):
        stderr = polled.run("poll", "--wait", "1", code=3).stderr
    assert "did not answer within 1 s" in stderr
    assert "watcher run --once" in stderr


def test_a_dry_run_looks_beside_the_daemon_and_changes_nothing(
    bench: Bench, registry: FakeRegistry, daemon: subprocess.Popen[str]
) -> None:
    registry.push(REPOSITORY, "1.1")
    assert "1.1" in bench.run("run", "--dry-run").stdout
    assert bench.json("executions") == []


def test_what_is_cleared_beside_a_daemon_goes_at_once(
    bench: Bench, registry: FakeRegistry, daemon: subprocess.Popen[str]
) -> None:
    reject(bench, "1.1", registry.push(REPOSITORY, "1.1", content="bad"))
    bench.run("poll")
    assert bench.json("executions") == []
    assert [row["number"] for row in bench.json("events", "rejected")] == [1]
    bench.run("events", "clear", "--all")
    registry.push(REPOSITORY, "1.2", content="bad")
    bench.run("poll")
    wait_for(lambda: [run["tag"] for run in bench.json("executions")] == ["1.2"])

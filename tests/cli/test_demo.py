"""demo: the whole way of a tag, in under ten seconds, leaving nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.conftest import Bench


def test_the_demo_shows_the_whole_way(bench: Bench) -> None:
    started = time.monotonic()
    shown = bench.run("demo").stdout
    assert time.monotonic() - started < 10
    for word in ("baseline", "1.1.0 is new", "trigger demo-release: fired", "SUCCEEDED"):
        assert word in shown
    assert "acme/demoapp:1.1.0@sha256:" in shown
    assert "replicas: 2" in shown


def test_the_demo_as_json_has_its_steps_in_order(bench: Bench) -> None:
    shape = bench.json("demo")
    assert shape["succeeded"]
    assert shape["directory"] is None
    assert [step["name"] for step in shape["steps"]] == [
        "registry",
        "baseline",
        "push",
        "event",
        "rendered",
        "execution",
    ]


def test_the_demo_leaves_nothing_behind(bench: Bench) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "watcher", "demo"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TMPDIR": str(bench.directory)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(bench.directory.iterdir()) == []


def test_kept_the_state_can_be_looked_at_until_it_is_interrupted(bench: Bench) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "watcher", "demo", "--keep", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(bench.directory)},
    )
    assert process.stdout is not None
    text = ""
    while not text.endswith("\n}\n"):
        text += process.stdout.readline()
    directory = Path(json.loads(text)["directory"])
    (run,) = bench.json("executions", "-c", str(directory / "config.yaml"))
    assert run["status"] == "SUCCEEDED"
    bench.run("poll", "-c", str(directory / "config.yaml"))
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (0, "")
    assert not directory.exists()

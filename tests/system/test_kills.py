"""The daemon is killed again and again while tags arrive at a real registry: nothing is lost,
nothing comes twice (SPEC 1, 6.1 and 6.2).

The moments are drawn from a seed that is printed; TESTS_SEED repeats a run's moments.
"""

from __future__ import annotations

import http.client
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.servers import RealRegistry, StartRegistry
from tests.system.watching import Watcher, account, trigger, wait_until
from watcher.testing.images import sha256, single

REPOSITORIES = ("acme/web", "acme/api", "acme/jobs/nightly")
BASELINE_TAG = "0-before"
SKOPEO_EVERY = 5  # each so-manieth push is a real client's; the rest goes by HTTP, which is faster
LATEST_KILL = 1.5


@dataclass
class Storm:
    """What was pushed and how often the daemon was killed, by one seed."""

    watcher: Watcher
    registry: RealRegistry
    chance: random.Random
    pushed: dict[tuple[str, str], str] = field(default_factory=dict)
    kills: int = 0
    reached: Counter[str] = field(default_factory=Counter)

    def push(self) -> None:
        number = len(self.pushed)
        repository = self.chance.choice(REPOSITORIES)
        tag = f"1.{number}.0"
        if number % SKOPEO_EVERY == 0:
            digest = self.registry.push(repository, tag)
        else:
            digest = put(self.registry, repository, tag)
        self.pushed[repository, tag] = digest

    def start_and_kill(self, *, from_start: bool) -> None:
        """Let the daemon live for a moment, counted from its start or from its first poll."""
        moment = self.chance.uniform(0.05, LATEST_KILL)
        daemon = self.watcher.start()
        try:
            if not from_start:
                daemon.wait_for("started")
            deadline = time.monotonic() + moment
            for _ in range(self.chance.choice((0, 1, 1, 2))):
                self.push()
            time.sleep(max(0.0, deadline - time.monotonic()))
            assert daemon.process.poll() is None, daemon.log.read_text()
        finally:
            daemon.kill()
        self.kills += 1
        self.reached.update({line["event"] for line in daemon.lines()})

    def runs(self) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.watcher.json("executions", "--limit", "100000")
        return runs

    def settle(self) -> None:
        """Let the daemon finish what the kills left."""
        with self.watcher.running():
            wait_until(self._is_settled, "all runs ended", within=120, every=0.3)

    def _is_settled(self) -> bool:
        runs = self.runs()
        return len(runs) >= len(self.pushed) and all(run["finished"] for run in runs)


def put(registry: RealRegistry, repository: str, tag: str) -> str:
    """Push a tiny image by plain HTTP; its digest."""
    image = single(f"{repository}:{tag}".encode())
    connection = http.client.HTTPConnection(registry.address, timeout=30)
    try:
        for digest, content in image.blobs.items():
            location = _ask(connection, "POST", f"/v2/{repository}/blobs/uploads/")
            mark = "&" if "?" in location else "?"
            _ask(connection, "PUT", f"{location}{mark}digest={digest}", content)
        kind = {"Content-Type": image.top.media_type}
        _ask(connection, "PUT", f"/v2/{repository}/manifests/{tag}", image.top.body, kind)
    finally:
        connection.close()
    assert image.top.digest == sha256(image.top.body)
    return image.top.digest


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> str:
    connection.request(method, target, body, headers or {})
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status in {201, 202}, (method, target, answer.status, said)
    return answer.headers["Location"]


def config(registry: RealRegistry, marks: Path) -> dict[str, Any]:
    """Three stages, the middle one a command that leaves a mark of its run."""
    mark = f"printf '%s\\n' \"$WATCHER_EXECUTION_ID\" >> '{marks}'"
    return {
        "accounts": [account(registry.address, *REPOSITORIES, hold_above=10_000)],
        "triggers": [trigger("release", "deploy", *REPOSITORIES)],
        "pipelines": [
            {
                "name": "deploy",
                "concurrency": {"max": 8},  # several are under way at each kill
                "stages": [
                    {"command": ["true"], "name": "prepare"},
                    {"command": ["/bin/sh", "-c", mark], "name": "mark"},
                    {"wait": "1s", "name": "rest"},
                ],
            }
        ],
    }


@pytest.fixture
def storm(start_registry: StartRegistry, tmp_path: Path) -> Storm:
    seed = int(os.environ.get("TESTS_SEED") or time.time_ns() % 1_000_000)
    print(f"seed: TESTS_SEED={seed}")
    registry = start_registry()
    for repository in REPOSITORIES:
        registry.push(repository, BASELINE_TAG)
    watcher = Watcher(tmp_path, config(registry, tmp_path / "marks"))
    assert watcher.run("run", "--once").returncode == 0
    return Storm(watcher, registry, random.Random(seed))


def check(storm: Storm, marks: Path) -> None:
    """Each tag: one run that succeeded, one activity; and the file is sound."""
    runs = storm.runs()
    assert Counter((run["repository"], run["tag"]) for run in runs) == Counter(list(storm.pushed))
    assert {run["id"]: run["status"] for run in runs if run["status"] != "SUCCEEDED"} == {}
    assert {(r["repository"], r["tag"]): r["digest"] for r in runs} == storm.pushed
    assert set(marks.read_text().split()) == {run["id"] for run in runs}
    seen = storm.watcher.json("activity", "--limit", "100000")
    new = Counter((one["repository"], one["tag"]) for one in seen if one["change"] == "new")
    assert new == Counter(list(storm.pushed))
    assert {one["change"] for one in seen} == {"new", "baseline"}
    assert storm.watcher.json("state", "check")["ok"] is True


def endure(storm: Storm, kills: int, marks: Path) -> None:
    began = time.monotonic()
    for number in range(kills):
        storm.start_and_kill(from_start=number % 2 == 0)
    storm.push()
    storm.settle()
    check(storm, marks)
    took = time.monotonic() - began
    print(f"{storm.kills} kills, {len(storm.pushed)} tags, {took:.0f} s, reached {storm.reached}")
    assert storm.reached["execution_queued"], "no daemon lived long enough to see a tag"


def test_kills_at_random_moments_lose_nothing_and_repeat_nothing(
    storm: Storm, tmp_path: Path
) -> None:
    endure(storm, 25, tmp_path / "marks")


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_two_hundred_kills_lose_nothing_and_repeat_nothing(storm: Storm, tmp_path: Path) -> None:
    endure(storm, 220, tmp_path / "marks")

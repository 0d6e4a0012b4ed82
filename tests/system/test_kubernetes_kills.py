"""The daemon is killed again and again while it deploys to a real API server: each tag is deployed
once, or taken back once, and nothing stays behind (SPEC 1, 6.2 and 7.1).

At every write in turn, before and after the API server saw it; and, in the long form, at moments
drawn from a seed that is printed (TESTS_SEED repeats them).
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.kube.cluster import RealCluster
from tests.kube.proxy import WRITES, FaultProxy, Hang, Rule
from tests.servers import RealRegistry, StartRegistry
from tests.system.test_kills import put
from tests.system.test_kubernetes import REPOSITORY, SLOW, Shop
from tests.system.watching import Daemon, wait_until

APPLYING = 4
"""Writes until all is applied: the copy of the Secret, the settings, the Secret, the workload."""
LONGEST_LIFE = 6.0
MOST_UNDER_WAY = 3

pytestmark = pytest.mark.timeout(300)


@dataclass
class Line:
    """Tags in the order in which they were pushed, and the daemon that deploys them."""

    shop: Shop
    proxy: FaultProxy
    daemon: Daemon | None = None
    good: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    kills: int = 0
    identities: dict[str, str] = field(default_factory=dict)

    @property
    def pushed(self) -> int:
        return len(self.good) + len(self.broken)

    def start(self) -> Daemon:
        self.daemon = self.shop.watcher.start()
        return self.daemon

    def kill(self) -> None:
        assert self.daemon is not None
        assert self.daemon.process.poll() is None, self.daemon.log.read_text()
        self.daemon.kill()
        self.kills += 1

    def end(self) -> None:
        if self.daemon is not None:
            self.daemon.kill()

    def push(self, *, broken: bool = False) -> str:
        tag = f"1.{self.pushed}{'-bad' if broken else ''}"
        put(self.shop.registry, REPOSITORY, tag)
        (self.broken if broken else self.good).append(tag)
        return tag

    def begin(self) -> None:
        """The first deployment, under a daemon that goes on."""
        self.shop.baseline()
        self.push()
        self.start().wait_for("execution_finished", level="info")
        self.identities = self.uids()

    def uids(self) -> dict[str, str]:
        found = {
            "deployment": self.shop.live(),
            "secret": self.core("secrets", "web"),
            "settings": self.core("configmaps", "settings"),
        }
        return {name: item["metadata"]["uid"] for name, item in found.items()}

    def core(self, kind: str, name: str) -> dict[str, Any]:
        return self.shop.cluster.get(f"/api/v1/namespaces/{self.shop.namespace}/{kind}/{name}")

    def copies(self) -> list[str]:
        """What the rollback keeps of Secrets, which has to go with the run."""
        names = [item["metadata"]["name"] for item in self.core("secrets", "")["items"]]
        return [name for name in names if name.startswith("registry-watcher-")]

    def kill_at(self, number: int, *, forwarded: bool, broken: bool) -> bool:
        """Kill the daemon at that write of a tag's run, and let another one end the run; False when
        the run ended before it."""
        daemon = self.daemon
        assert daemon is not None
        ended = len(daemon.events("execution_finished"))
        rule = self.proxy.fault(WRITES, "", Hang(forwarded=forwarded), after=number)
        tag = self.push(broken=broken)
        self._wait(daemon, rule, ended, tag)
        if not rule.struck.is_set():
            self.proxy.clear()
            return False
        self.kill()
        self.proxy.clear()
        self.start().wait_for("execution_finished")
        assert self.copies() == []
        return True

    def _wait(self, daemon: Daemon, rule: Rule, ended: int, tag: str) -> None:
        def look() -> bool:
            assert daemon.process.poll() is None, daemon.log.read_text()
            return rule.struck.is_set() or len(daemon.events("execution_finished")) > ended

        wait_until(look, f"{tag} has ended or its write hangs", within=SLOW)

    def runs(self) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.shop.watcher.json("executions", "--limit", "100000")
        return sorted(runs, key=lambda run: int(run["tag"].removesuffix("-bad").split(".")[1]))

    def check(self) -> None:
        """Each tag: one run with the right end; in the cluster: the last good tag, changed no more
        often than there was something to change, and nothing that was for the rollback only."""
        runs = self.runs()
        assert sorted(run["tag"] for run in runs) == sorted([*self.good, *self.broken])
        skipped = [run for run in runs if run["status"] == "SKIPPED"]
        for run in skipped:
            assert "newer" in run["reason"], run
            assert run["tag"] != self.good[-1]
        assert all(run["finished"] for run in runs)
        for run in runs:
            if run not in skipped:
                self._check_run(run)
        self._check_cluster(all_deployed=not skipped)
        assert self.shop.watcher.json("state", "check")["ok"] is True

    def _check_run(self, run: dict[str, Any]) -> None:
        broken = run["tag"] in self.broken
        assert run["status"] == ("FAILED" if broken else "SUCCEEDED"), json.dumps(run, indent=1)
        assert ("rolled back: apply" in (run["reason"] or "")) is broken, run

    def _check_cluster(self, *, all_deployed: bool) -> None:
        last = self.good[-1]
        assert self.shop.live_image == f"{self.shop.image}:{last}"
        wait_until(self.shop.is_healthy, "the deployment is healthy")
        assert self.uids() == self.identities
        assert base64.b64decode(self.core("secrets", "web")["data"]["tag"]).decode() == last
        assert self.core("configmaps", "settings")["data"] == {"tag": last}
        assert self.copies() == []
        changes = len(self.good) + 2 * len(self.broken)
        generation = self.shop.live()["metadata"]["generation"]
        assert generation == changes if all_deployed else generation <= changes
        sets = self.shop.live("replicasets", "")["items"]
        images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in sets]
        assert len(images) == len(set(images))


def line_of(
    directory: Path, registry: RealRegistry, cluster: RealCluster, proxy: FaultProxy
) -> Line:
    """A shop of settings, a Secret and a Deployment, all of which change with each tag."""
    directory.mkdir(exist_ok=True)
    shop = Shop(directory, registry, cluster, kubeconfig=proxy.kubeconfig)
    tag = {"tag": "${trigger.tag}"}
    shop.write_manifest(settings=tag, progressDeadlineSeconds=4, replicas=1)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web"}, "stringData": tag}
    shop.manifest.write_text(f"{shop.manifest.read_text()}---\n{json.dumps(secret)}\n")
    return Line(shop, proxy)


@pytest.fixture
def start_line(
    tmp_path: Path, start_registry: StartRegistry, cluster: RealCluster
) -> Iterator[Callable[[], Line]]:
    with ExitStack() as stack:

        def start() -> Line:
            proxy = stack.enter_context(cluster.proxy())
            directory = tmp_path / urlsplit(proxy.url).netloc
            line = line_of(directory, start_registry(), cluster, proxy)
            stack.callback(line.end)
            return line

        yield start


def deploy_with_kills(line: Line, *, forwarded: bool) -> None:
    """At each write of a deploy, each in a deploy of its own."""
    line.begin()
    numbers = itertools.count()
    writes = next(n for n in numbers if not line.kill_at(n, forwarded=forwarded, broken=False))
    assert writes == APPLYING + 1  # and the copy's deletion
    line.check()


def roll_back_with_kills(line: Line, *, forwarded: bool) -> None:
    """At each write of a rollback, each in a rollback of its own; then a good tag."""
    line.begin()
    numbers = itertools.count(APPLYING)
    writes = next(n for n in numbers if not line.kill_at(n, forwarded=forwarded, broken=True))
    assert writes == APPLYING + 4  # three objects are put back, and the copy is deleted
    assert line.daemon is not None
    ended = len(line.daemon.events("execution_finished"))
    line.push()
    line.daemon.wait_for("execution_finished", times=ended + 1)
    line.check()


def test_a_kill_at_any_write_before_or_after_it_changes_nothing_about_the_end(
    start_line: Callable[[], Line],
) -> None:
    """All side by side, since they mostly wait."""
    ways = list(itertools.product((deploy_with_kills, roll_back_with_kills), (False, True)))
    lines = [start_line() for _ in ways]
    with ThreadPoolExecutor(len(ways)) as pool:
        ends = [
            pool.submit(way, line, forwarded=forwarded)
            for line, (way, forwarded) in zip(lines, ways, strict=True)
        ]
    for end in ends:
        end.result()
    print(f"{sum(line.kills for line in lines)} kills, {sum(line.pushed for line in lines)} tags")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_kills_at_random_moments_deploy_each_tag_once(start_line: Callable[[], Line]) -> None:
    seed = int(os.environ.get("TESTS_SEED") or time.time_ns() % 1_000_000)
    print(f"seed: TESTS_SEED={seed}")
    chance = random.Random(seed)
    line = start_line()
    line.begin()
    line.kill()
    began = time.monotonic()
    while line.kills <= 60:
        line.start()
        deadline = time.monotonic() + chance.uniform(0.3, LONGEST_LIFE)
        if _under_way(line) < MOST_UNDER_WAY:
            line.push(broken=chance.random() < 0.4)
        time.sleep(max(0.0, deadline - time.monotonic()))
        line.kill()
    line.push()
    line.start()
    wait_until(lambda: _under_way(line) == 0, "all runs ended", within=240, every=0.5)
    line.check()
    took = time.monotonic() - began
    print(f"{line.kills} kills, {len(line.good)} good and {len(line.broken)} broken, {took:.0f} s")


def _under_way(line: Line) -> int:
    return line.pushed - sum(bool(run["finished"]) for run in line.runs())

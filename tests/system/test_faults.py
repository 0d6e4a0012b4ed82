"""A fault at every arrow of a tag's way (ARCHITECTURE section 3): afterwards nothing is lost and
nothing comes twice.

Each case is one process that meets its fault, a second one that meets none, and a third that
finds nothing left to do.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.faulty import DIED, REACHED, REPOSITORY
from tests.system.watching import PATIENCE, wait_until
from watcher.core.pipeline import ExecutionStatus
from watcher.store import maintenance
from watcher.store.sqlite import Store
from watcher.testing.faults import Chunked, Cut, Fault, Gate, Hold, Match, Respond
from watcher.testing.paging import Paging
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

ONCE = Counter({"first": 1, "second": 1})
FIRST_TWICE = Counter({"first": 2, "second": 1})
NEW = "v2"


@dataclass
class Way:
    """One tag's way: a registry, a state file, and processes between them."""

    directory: Path
    registry: FakeRegistry

    @property
    def state(self) -> Path:
        return self.directory / "watcher.db"

    @property
    def marks(self) -> Path:
        return self.directory / "marks"

    @property
    def script(self) -> Path:
        """What the first stage runs once before its own work, where it exists."""
        return self.directory / "marks.script"

    def command(self, *fault: str) -> list[str]:
        words = (str(self.state), self.registry.address, str(self.marks), *fault)
        return [sys.executable, "-m", "tests.system.faulty", *words]

    def run(self, *fault: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*fault), capture_output=True, text=True, timeout=60, check=False
        )

    def run_well(self) -> None:
        done = self.run()
        assert done.returncode == 0, done.stderr

    def marked(self) -> Counter[str]:
        return Counter(self.marks.read_text().split() if self.marks.exists() else ())

    def runs(self) -> list[tuple[str | None, ExecutionStatus]]:
        with Store.open(self.state, create=False) as store:
            return [(run.tag, run.status) for run in store.executions(None)]

    def changes(self) -> list[tuple[Any, Any]]:
        with Store.open(self.state, create=False) as store:
            return [(row["change"], row["tag"]) for row in store.activity(None)]

    def check(self, marks: Counter[str] = ONCE) -> None:
        """One run for the one tag, whose stages ran so often; and the file is sound."""
        assert self.runs() == [(NEW, ExecutionStatus.SUCCEEDED)]
        assert self.changes() == [("new", NEW), ("baseline", None)]
        assert self.marked() == marks
        assert maintenance.check(self.state).ok

    def goes_on(self, marks: Counter[str] = ONCE) -> None:
        """The next process does what is left, the one after it finds nothing to do."""
        for _ in range(2):
            self.run_well()
            self.check(marks)


@pytest.fixture
def way(tmp_path: Path, registry: FakeRegistry) -> Way:
    """After the baseline, with a new tag in the registry."""
    registry.paging = Paging(cap=1)
    registry.push(REPOSITORY, "v1")
    way = Way(tmp_path, registry)
    way.run_well()
    registry.push(REPOSITORY, NEW)
    return way


# The poll: steps 2 and 3

LISTING = Match(kind=Kind.TAGS)
DIGEST = Match(kind=Kind.MANIFEST)
TWO_TRIES = 2
POLL_FAULTS = {
    "the listing is refused": Fault(action=Respond(500), match=LISTING, times=TWO_TRIES),
    "the listing breaks off": Fault(action=Cut(body_bytes=9), match=LISTING, times=TWO_TRIES),
    "the listing ends without its last chunk": Fault(
        action=Chunked(complete=False), match=LISTING, times=TWO_TRIES
    ),
    "the second page is refused": Fault(action=Respond(503), match=LISTING, skip=1, times=2),
    "the second page breaks off": Fault(action=Cut(reset=True), match=LISTING, skip=1, times=2),
    "the listing is a login page": Fault(
        action=Respond(200, (("Content-Type", "text/html"),), b"<html>Please log in</html>"),
        match=LISTING,
        times=1,
    ),
    "the listing is empty": Fault(
        action=Respond(200, (("Content-Type", "application/json"),), b'{"tags":[]}'),
        match=LISTING,
        times=1,
    ),
    "the digest is refused": Fault(action=Respond(500), match=DIGEST, times=4),
    "the digest's answer breaks off": Fault(action=Cut(), match=DIGEST, times=4),
    "the new tag has no manifest yet": Fault(action=Respond(404), match=DIGEST, times=4),
}


@pytest.mark.parametrize("fault", POLL_FAULTS.values(), ids=POLL_FAULTS.keys())
def test_a_poll_that_fails_changes_nothing_and_the_next_sees_the_tag(
    fault: Fault, way: Way
) -> None:
    way.registry.fault(fault)
    way.run_well()
    assert way.registry.counters.faults > 0, "the fault was never met"
    assert ("deleted", "v1") not in way.changes()
    way.registry.clear_faults()
    way.goes_on()


@pytest.mark.parametrize(
    ("kind", "skip"),
    [(Kind.TAGS, 0), (Kind.TAGS, 1), (Kind.MANIFEST, 0)],
    ids=["the first page", "the second page", "the digest"],
)
def test_a_process_killed_while_it_waits_for_an_answer_leaves_nothing(
    kind: Kind, skip: int, way: Way
) -> None:
    gate = Gate()
    held = Fault(action=Hold(until=gate.passage), match=Match(kind=kind), skip=skip)
    way.registry.fault(held)
    process = subprocess.Popen(way.command(), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: gate.waiting, "the request that is held")
    finally:
        process.kill()
        process.wait(PATIENCE)
    way.registry.clear_faults()
    assert way.runs() == []
    assert way.changes() == [("baseline", None)]
    way.goes_on()


# The transaction: steps 4 to 6, and the run: step 7

DEATHS = {
    "before the poll is committed": ("poll.before_commit", [], ONCE),
    "after the poll is committed": ("poll.after_commit", [NEW], ONCE),
    "before the run is claimed": ("claim.before_commit", [NEW], ONCE),
    "after the run is claimed": ("claim.after_commit", [NEW], ONCE),
    "before the stage's start is written": ("start.before_commit", [NEW], ONCE),
    "after the stage's start is written": ("start.after_commit", [NEW], ONCE),
    "before the stage is called": ("stage.started", [NEW], ONCE),
    "after the stage, before its outcome": ("stage.before_outcome", [NEW], FIRST_TWICE),
    "before the outcome is committed": ("outcome.before_commit", [NEW], FIRST_TWICE),
    "after the outcome is committed": ("outcome.after_commit", [NEW], ONCE),
    "before the bookkeeping is written": ("flush.before_commit", [NEW], ONCE),
    "after the bookkeeping is written": ("flush.after_commit", [NEW], ONCE),
}


@pytest.mark.parametrize(("point", "queued", "marks"), DEATHS.values(), ids=DEATHS.keys())
def test_a_process_that_dies_loses_nothing_and_repeats_only_the_stage_under_way(
    point: str, queued: list[str], marks: Counter[str], way: Way
) -> None:
    died = way.run(point, "die")
    assert (died.returncode, died.stdout.strip()) == (DIED, REACHED), died.stderr
    assert [tag for tag, _ in way.runs()] == queued
    way.goes_on(marks)


FAILED_WRITES = {
    "the poll": "poll.before_commit",
    "the stage's start": "start.before_commit",
    "the outcome": "outcome.before_commit",
}


@pytest.mark.parametrize("point", FAILED_WRITES.values(), ids=FAILED_WRITES.keys())
def test_a_write_that_fails_once_neither_loses_nor_repeats(point: str, way: Way) -> None:
    met = way.run(point, "raise")
    assert (met.returncode, met.stdout.strip()) == (0, REACHED), met.stderr
    way.goes_on()


# The stage

STAGE_DEATHS = {
    "before its work": ("kill -9 $PPID; exit 0", ONCE),
    "after its work": ("echo first >> {marks}; kill -9 $PPID; exit 0", FIRST_TWICE),
    "and lives on": ("trap '' TERM; kill -9 $PPID", FIRST_TWICE),
}


@pytest.mark.parametrize(("script", "marks"), STAGE_DEATHS.values(), ids=STAGE_DEATHS.keys())
def test_a_stage_that_kills_the_watcher_is_run_again(
    script: str, marks: Counter[str], way: Way
) -> None:
    way.script.write_text(script.format(marks=way.marks))
    assert way.run().returncode == -signal.SIGKILL
    assert way.runs() == [(NEW, ExecutionStatus.RUNNING)]
    before = marks - Counter({"first": 1, "second": 1})
    wait_until(lambda: way.marked() == before, "the stage that lives on has ended")
    way.goes_on(marks)


@pytest.mark.parametrize("script", ["kill -9 $$", "exit 7"], ids=["is killed", "fails"])
def test_a_stage_that_ends_badly_fails_its_run_once_and_for_good(script: str, way: Way) -> None:
    way.script.write_text(script)
    for _ in range(3):
        way.run_well()
        assert way.runs() == [(NEW, ExecutionStatus.FAILED)]
        assert way.changes() == [("new", NEW), ("baseline", None)]
        assert way.marked() == Counter()

"""State files that earlier releases left, in the hands of this one: nothing is lost, nothing fires
twice, and whoever dies on the way leaves the old file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.system import releases
from tests.system.releases import API, HELD, WEB
from tests.system.watching import Watcher, wait_until
from watcher.core.notice import NoticeEvent
from watcher.store.schema import MIGRATIONS
from watcher.store.sqlite import EventSelector, Store
from watcher.testing.registry import FakeRegistry

STATES = sorted(Path(__file__).with_name("states").glob("schema_*.sql"))
RUNS = {"SUCCEEDED": 4, "FAILED": 1, "RUNNING": 1, "WAITING": 1, "QUEUED": 1}


def schema_of(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return version


@pytest.fixture(params=STATES, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest, tmp_path: Path, registry: FakeRegistry) -> Watcher:
    """A watcher of this release with the state file of an earlier one."""
    releases.end(registry)
    watcher = Watcher(tmp_path, releases.config(registry.address, str(tmp_path)))
    releases.load(request.param, watcher.state)
    return watcher


def runs(watcher: Watcher) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = watcher.json("executions", "--limit", "1000")
    return found


def test_there_is_a_file_of_each_released_schema() -> None:
    assert [path.stem for path in STATES] == [f"schema_{n}" for n in range(1, len(MIGRATIONS))]


def test_every_command_knows_what_an_old_file_holds(old: Watcher) -> None:
    before = schema_of(old.state)
    statuses = {row["repository"]: row["tags"] for row in old.json("status")}
    assert statuses == dict.fromkeys(releases.ALL, 4) | {WEB: 5, API: 6}
    assert Counter(run["status"] for run in runs(old)) == RUNS
    seen = Counter(one["change"] for one in old.json("activity", "--limit", "1000"))
    assert seen == {"baseline": 5, "new": 9, "moved": 1, "deleted": 1}
    held = old.json("events", "ls", "--outcome", "held")
    assert sorted(event["tag"] for event in held) == [*HELD]
    ended = next(run for run in runs(old) if run["status"] == "SUCCEEDED")
    (shown,) = old.json("executions", ended["id"])
    assert "deploy said" in shown["stages"][0]["log"]
    assert old.json("state", "check")["ok"] is True
    copy = old.state.with_name(f"{old.state.name}.before-{before + 1}")
    assert (schema_of(copy), schema_of(old.state)) == (before, len(MIGRATIONS))


def test_a_daemon_goes_on_where_the_old_one_was_killed_and_fires_nothing_twice(
    old: Watcher, registry: FakeRegistry
) -> None:
    known = {run["id"] for run in runs(old)}
    marks = old.directory / "marks"
    with old.running():
        assert all(poll["result"] == "unchanged" for poll in old.json("poll")["polls"])
        (old.directory / "gate").touch()
        wait_until(lambda: all(run["finished"] for run in runs(old)), "all ended", every=0.2)
        assert {run["id"] for run in runs(old)} == known
        assert Counter(marks.read_text().split()) == {"slow": 2, "patient": 1}
        releases.push(registry, WEB, "1.6")
        assert old.json("poll", f"main/{WEB}")["polls"][0]["changes"] == 1
        assert old.run("events", "release", "api").returncode == 0
        wait_until(lambda: all(run["finished"] for run in runs(old)), "all ended", every=0.2)
    new = sorted(run["tag"] for run in runs(old) if run["id"] not in known)
    assert new == ["1.6", *HELD]
    assert [event["tag"] for event in old.json("events", "ls", "--outcome", "disabled")] == ["1.3"]


def test_of_events_that_an_old_file_holds_there_are_reminders(old: Watcher) -> None:
    with Store.open(old.state) as store:
        (lasting,) = store.outbox.troubles()
        assert (lasting.event, lasting.account) == (NoticeEvent.EVENTS_HELD, "main")
        assert lasting.text == f"main/{API}: events are still held"
        assert f"`watcher events release main/{API}` fires them" in lasting.detail
        store.drop(EventSelector.parse("api"))
        assert store.outbox.troubles() == []


UPGRADER = """
import sys
from pathlib import Path
from watcher.store.schema import MIGRATIONS
from watcher.store.sqlite import Store

ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
ALTERED = "ALTER TABLE repository ADD COLUMN note TEXT"
Store.open(Path(sys.argv[1]), migrations=(*MIGRATIONS, (ALTERED, ENDLESS)))
"""


def test_an_upgrade_that_is_killed_leaves_the_old_file(old: Watcher) -> None:
    """All steps and the copy are made; then it dies."""
    before = schema_of(old.state)
    copy = old.state.with_name(f"{old.state.name}.before-{before + 1}")
    with subprocess.Popen([sys.executable, "-c", UPGRADER, str(old.state)]) as process:
        wait_until(copy.exists, "the copy of the old file")
        wait_until(lambda: is_locked(old.state), "the upgrade is under way")
        process.kill()
    assert schema_of(old.state) == before
    with closing(sqlite3.connect(old.state)) as connection:
        statuses = connection.execute("SELECT status, count(*) FROM execution GROUP BY 1")
        assert dict(statuses) == RUNS
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert Counter(run["status"] for run in runs(old)) == RUNS
    assert schema_of(copy) == before


def is_locked(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
    return False


def test_an_old_file_is_not_brought_up_to_date_beside_a_daemon_of_its_version(
    old: Watcher,
) -> None:
    """Which is not there to be started: whoever holds its lock may be one."""
    before = schema_of(old.state)
    holding = (
        "import sys, time; from pathlib import Path; from watcher.store.lock import StateLock\n"
        "StateLock(Path(sys.argv[1]), command='watcher run').acquire(); print('held', flush=True)\n"
        "time.sleep(60)"
    )
    command = [sys.executable, "-c", holding, str(old.state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            refused = old.run("status")
        finally:
            process.kill()
    assert refused.returncode == 3
    assert f"process {process.pid} (watcher run) of an older version works on it" in refused.stderr
    assert schema_of(old.state) == before


@pytest.mark.parametrize(
    "words", [("run", "--once"), ("run",), ("status",), ("executions",), ("state", "vacuum")]
)
def test_a_file_of_a_newer_version_is_refused_and_left_alone(
    words: tuple[str, ...], tmp_path: Path, registry: FakeRegistry
) -> None:
    watcher = Watcher(tmp_path, releases.config(registry.address, str(tmp_path)))
    newer = (*MIGRATIONS, ("CREATE TABLE colour (name TEXT)",))
    with Store.open(watcher.state, migrations=MIGRATIONS):
        pass
    with Store.open(watcher.state, migrations=newer):
        pass
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".lock"}
    refused = watcher.run(*words)
    assert refused.returncode == 1
    assert f"schema {len(newer)}, this one knows {len(MIGRATIONS)}" in refused.stderr
    assert f"watcher.db.before-{len(newer)}, which the upgrade made" in refused.stderr
    assert "Traceback" not in refused.stderr
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".lock"}
    assert after == before
    assert registry.requests == []

"""Copies of the state file: whole or not there, whoever writes and whoever dies meanwhile."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.store.builders import NOW, baseline, fired
from watcher.errors import StateUnwritable, UsageError
from watcher.store.backups import backup_into, backup_state
from watcher.store.maintenance import check
from watcher.store.schema import MIGRATIONS
from watcher.store.sqlite import Store

WRITER = """
import sys
from itertools import count
from pathlib import Path
from watcher.store.sqlite import Store

with Store.open(Path(sys.argv[1])) as store:
    for number in count():
        store.request("poll", {"number": number})
        if number == 20:
            print("writes", flush=True)
"""
COPIER = """
import sys
from pathlib import Path
from watcher.store.backups import backup_state

print("copies", flush=True)
backup_state(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@contextmanager
def at_work(script: str, *words: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun, and is killed at the block's end."""
    command = [sys.executable, "-c", script, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.fixture
def filled(path: Path) -> Path:
    """A file of 20 MiB, which is copied in more than a moment."""
    with Store.open(path) as store:
        store.record_poll(baseline("1.0"))
        for number in range(20):
            store.request("poll", {"text": "x" * 1024 * 1024, "number": number})
    return path


def test_a_copy_made_while_a_daemon_writes_is_of_one_moment(filled: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with at_work(WRITER, filled):
        backup_state(filled, target)
    assert check(target).ok
    with closing(sqlite3.connect(target)) as copy:
        last, count = copy.execute("SELECT max(id), count(*) FROM request").fetchone()
    assert last == count >= 40
    assert target.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.glob("*copy*")] == ["copy.db"]


def test_a_copier_that_is_killed_leaves_a_whole_copy_or_none(filled: Path, tmp_path: Path) -> None:
    chance, whole = random.Random(5), 0
    with at_work(WRITER, filled):
        for number in range(12):
            target = tmp_path / f"copy-{number}.db"
            with at_work(COPIER, filled, target):
                time.sleep(chance.uniform(0, 0.15))
            if target.exists():
                whole += 1
                assert check(target).ok
    assert check(filled).ok
    assert whole < 12, "none was killed on its way"


def test_what_a_killed_copier_left_goes_with_a_later_copy(filled: Path, tmp_path: Path) -> None:
    left, fresh = tmp_path / ".copy.db.7.new", tmp_path / ".copy.db.8.new"
    for file in (left, fresh):
        file.write_text("half")
    os.utime(left, (0, 0))
    backup_state(filled, tmp_path / "copy.db")
    assert not left.exists()
    assert fresh.exists(), "another process may be at it"


def test_an_old_file_is_copied_as_it_is(path: Path, tmp_path: Path) -> None:
    """The program may be newer than the daemon at work."""
    with Store.open(path, migrations=MIGRATIONS[:2]):
        pass
    backup_state(path, tmp_path / "copy.db")
    for file in (path, tmp_path / "copy.db"):
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_copies_in_a_directory_are_named_by_the_time_and_the_newest_stay(
    path: Path, tmp_path: Path
) -> None:
    with Store.open(path) as store:
        store.record_poll(baseline("1.0"))
        store.record_poll(fired("1.1"))
    directory = tmp_path / "copies"
    directory.mkdir()
    others = ("watcher-20200101T000000Z.db.old", "watcher.db", "other-20200101T000000Z.db")
    for name in others:
        (directory / name).touch()
    for day in range(5):
        target, gone = backup_into(path, directory, 3, NOW + timedelta(days=day))
        assert check(target).ok
        assert len(gone) == (day >= 3)
    assert {file.name for file in directory.iterdir()} == {
        "watcher-20260303T120000Z.db",
        "watcher-20260304T120000Z.db",
        "watcher-20260305T120000Z.db",
        *others,
    }


def test_a_clock_that_was_set_back_does_not_cost_the_new_copy(path: Path, tmp_path: Path) -> None:
    with Store.open(path):
        pass
    for day in (5, 6, 1):
        target, _ = backup_into(path, tmp_path, 2, NOW + timedelta(days=day))
    assert target.exists()


def test_a_state_file_restored_from_a_copy_can_be_written_while_it_is_read(
    path: Path, tmp_path: Path
) -> None:
    with Store.open(path):
        pass
    backup_state(path, tmp_path / "restored.db")
    with (
        Store.open(tmp_path / "restored.db") as store,
        closing(sqlite3.connect(tmp_path / "restored.db")) as reader,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM repository").fetchall()
        store.record_poll(baseline("1.0"))


def test_a_copy_that_can_t_be_made_costs_no_earlier_one(path: Path, tmp_path: Path) -> None:
    with Store.open(path):
        pass
    backup_into(path, tmp_path, 1, NOW)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError):
        backup_into(path, tmp_path, 1, NOW)
    with pytest.raises(UsageError, match="no directory"):
        backup_into(path, tmp_path / "nowhere", 1, NOW)
    with pytest.raises(StateUnwritable):
        backup_state(path, tmp_path / "nowhere" / "copy.db")
    assert sorted(tmp_path.iterdir()) == before

"""The state file and its write-ahead log take no more room than they have to."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.builders import NOW, baseline, fired
from watcher.core.retention import Retention
from watcher.errors import StateLocked
from watcher.store.connection import JOURNAL_BYTES
from watcher.store.lock import StateLock
from watcher.store.maintenance import check, vacuum
from watcher.store.sqlite import Store

MIB = 1024 * 1024


def write(store: Store, mebibytes: int) -> None:
    for _ in range(mebibytes):
        store.finish_request(store.request("poll", {"text": "x" * MIB}), {})


def let_go(store: Store) -> None:
    moment = NOW.timestamp() + 2 * 86400
    while store.prune(Retention(), moment):
        pass


def pages(path: Path) -> int:
    return path.stat().st_size // 4096


def test_free_pages_are_given_back_in_small_steps_but_for_some(path: Path) -> None:
    with Store.open(path, clock=lambda: NOW) as store:
        write(store, 40)
        assert store.give_back() == 0, "nothing is free yet"
        let_go(store)
        steps = 0
        while given := store.give_back(500):
            assert given <= 500 * 4096
            steps += 1
        assert steps > 5
    assert 2000 <= pages(path) < 4000
    assert check(path).ok


def test_a_write_ahead_log_that_a_long_reader_made_grow_shrinks_again(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    with Store.open(path, clock=lambda: NOW) as store:
        write(store, 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM request").fetchone()
            write(store, 30)
            assert log.stat().st_size > 30 * MIB
        write(store, 6)
        assert log.stat().st_size <= JOURNAL_BYTES


def made_by_an_earlier_version(path: Path) -> None:
    """A file that can't give back single pages."""
    with Store.open(path, clock=lambda: NOW) as store:
        write(store, 40)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")


def test_a_vacuum_gives_back_all_and_makes_an_old_file_as_a_new_one(path: Path) -> None:
    made_by_an_earlier_version(path)
    with Store.open(path, clock=lambda: NOW) as store:
        store.record_poll(baseline("1.0"))
        store.record_poll(fired("1.1"))
        let_go(store)
        assert store.give_back() == 0
    before, after = vacuum(path)
    assert before > 40 * MIB
    assert after == path.stat().st_size < 2 * MIB
    with Store.open(path, clock=lambda: NOW) as store:
        assert [run.tag for run in store.executions()] == ["1.1"]
        write(store, 40)
        let_go(store)
        assert store.give_back() > 0
    assert check(path).ok


def test_a_vacuum_waits_for_no_daemon(path: Path) -> None:
    with Store.open(path):
        pass
    held = StateLock(path, command="watcher run")
    with held, pytest.raises(StateLocked, match="watcher run") as refused:
        vacuum(path)
    assert "stop that process, and start it again" in str(refused.value.hint)


def test_a_check_says_how_large_a_file_is_and_what_is_over(path: Path) -> None:
    with Store.open(path, clock=lambda: NOW) as store:
        write(store, 10)
        now = NOW.timestamp() + 2 * 86400
        report = check(path, Retention(), now)
        assert report.size == path.stat().st_size
        assert report.free <= MIB
        assert report.log > 0
        assert report.over == {"requests": 9}
        let_go(store)
        report = check(path, Retention(), now)
        assert report.free > 8 * MIB
        assert report.over == {}

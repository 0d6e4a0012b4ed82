"""A state file that can't be used is said to be so, and is never replaced by a new one."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.builders import ACCOUNT, REPOSITORY, baseline, fired
from watcher.errors import (
    StateCorrupt,
    StateError,
    StateLocked,
    StateTooNew,
    StateUnwritable,
)
from watcher.store.backups import backup_state
from watcher.store.lock import StateLock
from watcher.store.schema import MIGRATIONS
from watcher.store.sqlite import Store

ADDED = ("ALTER TABLE repository ADD COLUMN note TEXT",)


def fill(path: Path) -> None:
    with Store.open(path) as store:
        store.record_poll(baseline("1.0"))


def spoil(path: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def no_sqlite(path: Path) -> None:
    path.write_text("accounts: []\n" * 100)


def empty(path: Path) -> None:
    path.touch()


def cut(path: Path) -> None:
    fill(path)
    spoil(path, lambda data: data.__delitem__(slice(5000, None)))


def bad_header(path: Path) -> None:
    fill(path)
    spoil(path, lambda data: data.__setitem__(slice(0, 16), b"x" * 16))


def bad_schema_page(path: Path) -> None:
    fill(path)
    spoil(path, lambda data: data.__setitem__(slice(100, 4096), b"\xff" * 3996))


def another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")


@pytest.mark.parametrize(
    "make", [no_sqlite, empty, cut, bad_header, bad_schema_page, another_program]
)
def test_a_damaged_file_is_named_and_left_as_it_is(
    path: Path, make: Callable[[Path], None]
) -> None:
    make(path)
    before = path.read_bytes()
    with pytest.raises(StateCorrupt) as raised, Store.open(path) as store:
        store.record_poll(baseline("1.0"))
    assert str(path) in str(raised.value)
    assert raised.value.hint
    assert path.read_bytes() == before


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    with Store.open(path, migrations=(*MIGRATIONS, ADDED)):
        pass
    before = path.read_bytes()
    with pytest.raises(StateTooNew) as raised:
        Store.open(path)
    assert raised.value.hint
    assert path.read_bytes() == before


def test_an_older_file_is_brought_up_to_date_after_a_backup(path: Path) -> None:
    fill(path)
    with Store.open(path, migrations=(*MIGRATIONS, ADDED)) as store:
        assert store.known(ACCOUNT, REPOSITORY).tags.keys() == {"1.0"}
    backup = path.with_name(f"{path.name}.before-{len(MIGRATIONS) + 1}")
    with Store.open(backup) as old:
        assert old.known(ACCOUNT, REPOSITORY).tags.keys() == {"1.0"}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT note FROM repository")
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


def test_a_migration_that_fails_half_way_leaves_the_old_schema(path: Path) -> None:
    fill(path)
    broken = (*ADDED, "CREATE TABLE repository (id INTEGER)")
    with pytest.raises(StateError):
        Store.open(path, migrations=(*MIGRATIONS, broken))
    with Store.open(path) as store:
        assert store.known(ACCOUNT, REPOSITORY).baselined
    with Store.open(path, migrations=(*MIGRATIONS, ADDED)) as store:
        assert store.known(ACCOUNT, REPOSITORY).baselined


def test_without_leave_to_make_one_a_missing_file_is_an_error(path: Path) -> None:
    with pytest.raises(StateError, match="no state file") as raised:
        Store.open(path, create=False)
    assert raised.value.hint
    assert not path.exists()


def missing_directory(path: Path) -> Path:
    return path.parent / "nowhere" / "watcher.db"


def a_directory(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("place", [missing_directory, a_directory])
def test_a_place_that_can_t_hold_a_file_is_unwritable(
    path: Path, place: Callable[[Path], Path]
) -> None:
    with pytest.raises(StateUnwritable) as raised:
        Store.open(place(path))
    assert raised.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("what", ["the file", "the directory"])
def test_without_permission_it_is_unwritable(path: Path, what: str) -> None:
    fill(path)
    target = path if what == "the file" else path.parent
    target.chmod(0o500)
    try:
        with pytest.raises(StateUnwritable), Store.open(path) as store:
            store.record_poll(fired("1.1"))
    finally:
        target.chmod(0o700)


@pytest.mark.parametrize("replaced", [False, True], ids=["moved away", "replaced"])
def test_a_file_that_others_no_longer_find_in_its_place_is_not_written(
    replaced: bool, path: Path, tmp_path: Path
) -> None:
    """What is written into a file that was deleted would be lost with the process."""
    elsewhere = tmp_path / "elsewhere"
    with Store.open(path) as store:
        store.record_poll(baseline("1.0"))
        path.rename(elsewhere)
        if replaced:
            fill(tmp_path / "new.db")
            (tmp_path / "new.db").rename(path)
        with pytest.raises(StateUnwritable, match="moved, deleted or replaced") as raised:
            store.record_poll(fired("1.1"))
        assert raised.value.hint
        elsewhere.rename(path)
        store.record_poll(fired("1.1"))
        assert len(store.executions()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_makes_in_the_directory_of_a_service_belongs_to_that(path: Path) -> None:
    service = 54321
    os.chown(path.parent, service, service)
    with StateLock(path, command="watcher run --once"), Store.open(path) as store:
        store.record_poll(baseline("1.0"))
        assert {file.name: file.stat().st_uid for file in path.parent.iterdir()} == dict.fromkeys(
            ("watcher.db", "watcher.db-shm", "watcher.db-wal", "watcher.db.lock"), service
        )


FILLER = """
import resource, sys
from pathlib import Path
from tests.store.builders import ACCOUNT, REPOSITORY, baseline, fired
from watcher.errors import StateUnwritable
from watcher.store.sqlite import Store

path = Path(sys.argv[1])
with Store.open(path) as store:
    store.record_poll(baseline("1.0"))
    size = (path.with_name(path.name + "-wal")).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
    try:
        store.record_poll(fired(*(f"2.{n}" for n in range(500))))
    except StateUnwritable as error:
        print("unwritable:", bool(error.hint))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert store.known(ACCOUNT, REPOSITORY).tags.keys() == {"1.0"}
    assert store.executions() == []
    store.record_poll(fired("2.0"))
    print("went on:", len(store.executions()))
"""


def test_a_disk_that_is_full_loses_nothing_and_the_store_goes_on_afterwards(path: Path) -> None:
    """The kernel refuses to let the file grow, as a full disk does."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split("\n")[:2] == ["unwritable: True", "went on: 1"]


def test_a_file_that_may_not_grow_any_more_is_unwritable(path: Path) -> None:
    with Store.open(path) as store:
        store.record_poll(baseline("1.0"))
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StateUnwritable):
            store.record_poll(fired(*(f"2.{n}" for n in range(500))))
        store._db.execute("PRAGMA max_page_count = 100000")
        store.record_poll(fired("2.0"))


def test_a_writer_that_never_ends_is_named_as_the_cause(path: Path, store: Store) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store._db.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(StateLocked) as raised:
            store.record_poll(baseline("1.0"))
        other.execute("ROLLBACK")
    assert raised.value.temporary
    store.record_poll(baseline("1.0"))


def test_the_file_is_kept_in_wal_with_full_sync_and_foreign_keys(store: Store) -> None:
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
        assert store._db.execute(f"PRAGMA {pragma}").fetchone() == (value,)
    store.flush([], {})
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_two_processes_that_make_the_file_at_once_make_one(path: Path) -> None:
    script = "import sys; from pathlib import Path; from watcher.store.sqlite import Store\n"
    script += "Store.open(Path(sys.argv[1])).set_enabled(sys.argv[2], True)"
    makers = [subprocess.Popen([sys.executable, "-c", script, str(path), str(n)]) for n in range(3)]
    assert [maker.wait() for maker in makers] == [0, 0, 0]
    with Store.open(path) as store:
        assert store.enabled_overrides().keys() == {"0", "1", "2"}
    assert [left for left in path.parent.iterdir() if left.name.endswith(".new")] == []


def killed_while_it_wrote(path: Path) -> None:
    """What it wrote last stands in the log alone."""
    script = "import os, sys; from pathlib import Path; from watcher.store.sqlite import Store\n"
    script += "Store.open(Path(sys.argv[1])).set_enabled('t', True); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -9


def test_no_new_file_is_made_beside_the_log_of_another(path: Path, tmp_path: Path) -> None:
    killed_while_it_wrote(path)
    log = tmp_path / "watcher.db-wal"
    moved = path.rename(tmp_path / "old.db")
    with pytest.raises(StateError, match="log of a file that stood there before"):
        Store.open(path)
    with pytest.raises(StateError, match="log of a file that stood there before"):
        backup_state(moved, path)
    assert not path.exists()
    log.rename(tmp_path / "old.db-wal")
    with Store.open(path) as new, Store.open(moved) as old:
        assert new.enabled_overrides() == {}
        assert old.enabled_overrides() == {"t": True}


def test_a_copy_put_beside_the_log_of_another_file_is_refused(path: Path, tmp_path: Path) -> None:
    """Who restores it has to move the log away: SQLite would write it into the copy."""
    fill(path)
    backup_state(path, tmp_path / "copy")
    killed_while_it_wrote(path)
    (tmp_path / "copy").replace(path)
    with pytest.raises(StateCorrupt, match="log of another file") as raised:
        Store.open(path)
    assert raised.value.hint == "move watcher.db-wal and watcher.db-shm away"
    for log in ("watcher.db-wal", "watcher.db-shm"):
        (tmp_path / log).unlink()
    with Store.open(path) as store:
        assert store.enabled_overrides() == {}


def test_the_store_imports_little() -> None:
    script = "import sys; import watcher.store.sqlite, watcher.store.threaded, watcher.store.lock\n"
    script += "print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    heavy = {"httpx", "jinja2", "pydantic", "structlog", "rich", "re2", "yaml", "tenacity"}
    assert heavy & set(done.stdout.split()) == set()

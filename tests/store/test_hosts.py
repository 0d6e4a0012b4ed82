"""What the state file keeps of hosts: until when they are parked, what they are and still allow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.store.builders import ACCOUNT
from watcher.core.account import DialectName
from watcher.core.host import Counted, Counts, Quota, Recognition
from watcher.store.maintenance import export_state, import_state
from watcher.store.sqlite import Store

HOST = "index.docker.io"
BLOCKED = {HOST: 77.0, f"{HOST}/{ACCOUNT}": 78.5, f"{HOST} (native)": 79.0}
RECOGNISED = {
    "harbor.example": Recognition(DialectName.HARBOR, "v2.11.0", 5.5),
    "other.example": Recognition(None, None, 6.5),
}
QUOTAS = {
    Counted(f"{HOST}/{ACCOUNT}", Counts.PULLS): Quota(100.0, 76.0, 21_600.25, 3.5),
    Counted(HOST, Counts.NATIVE): Quota(None, 0.0, 60.0, 3.5),
}


def flushed(path: Path) -> Store:
    store = Store.open(path)
    store.flush([], BLOCKED, recognised=RECOGNISED, quotas=QUOTAS)
    return store


def test_what_is_known_of_hosts_comes_back_as_it_was(tmp_path: Path) -> None:
    flushed(tmp_path / "watcher.db").close()
    with closing(Store.open(tmp_path / "watcher.db")) as store:
        assert store.blocked() == BLOCKED
        assert store.recognised() == RECOGNISED
        assert store.quotas() == QUOTAS


def test_parks_and_quotas_are_replaced_what_was_recognised_is_kept(tmp_path: Path) -> None:
    with closing(flushed(tmp_path / "watcher.db")) as store:
        seen = {"harbor.example": Recognition(DialectName.HARBOR, "v2.12.0", 9.5)}
        store.flush([], {}, recognised=seen)
        assert store.blocked() == {}
        assert store.quotas() == {}
        assert store.recognised() == {**RECOGNISED, **seen}


def test_what_is_known_of_hosts_survives_export_and_import(tmp_path: Path) -> None:
    flushed(tmp_path / "watcher.db").close()
    import_state(export_state(tmp_path / "watcher.db"), tmp_path / "copy.db")
    with closing(Store.open(tmp_path / "copy.db")) as store:
        assert (store.blocked(), store.recognised(), store.quotas()) == (
            BLOCKED,
            RECOGNISED,
            QUOTAS,
        )


def test_words_of_a_later_version_of_ours_do_no_harm(tmp_path: Path) -> None:
    flushed(tmp_path / "watcher.db").close()
    with closing(sqlite3.connect(tmp_path / "watcher.db")) as db, db:
        db.execute("UPDATE host SET dialect = 'quay-2' WHERE name = 'harbor.example'")
        db.execute("UPDATE quota SET counted = 'layers' WHERE counted = 'pulls'")
    with closing(Store.open(tmp_path / "watcher.db")) as store:
        assert store.recognised()["harbor.example"].dialect is None
        assert {what for _, what in store.quotas()} == {"layers", "native"}

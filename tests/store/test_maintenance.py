"""The state file as a whole: checked, exported, imported and backed up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.builders import (
    ACCOUNT,
    NOW,
    REPOSITORY,
    baseline,
    fired,
    held,
    pipeline,
    run_of,
)
from watcher.core import stepping
from watcher.core.deployment import Bundle, Rejection
from watcher.core.pipeline import Done, ExecutionStatus, Json
from watcher.errors import StateCorrupt, StateError, UsageError, WatcherError
from watcher.store.backups import backup_state
from watcher.store.maintenance import check, export_state, import_state
from watcher.store.sqlite import EventSelector, Store

REJECTED = Rejection(
    pipeline="deploy",
    account=ACCOUNT,
    repository=REPOSITORY,
    tag="1.1",
    digest=None,
    execution="0123456789abcdef",
    reason="the rollout failed",
    time=NOW,
    number=1,
)


def bundle(execution: str) -> Bundle:
    return Bundle(
        objects=({"kind": "ConfigMap"},),
        cluster="prod",
        namespace="web",
        execution=execution,
        event_time=NOW,
    )


@pytest.fixture
def filled(path: Path, store: Store) -> Path:
    store.record_poll(baseline("1.0"))
    store.record_poll(fired("1.1"))
    store.record_poll(held("1.2", "1.3"))
    (execution,) = store.claim(NOW, (), 1).executions
    store.propose("deploy", "note-0", bundle(execution.id))
    store.reject(REJECTED)
    store.set_enabled("t", False)
    store.flush([], {"index.docker.io": 5.0})
    store.request("poll", {"said": "by the command line"})
    return path


def test_a_sound_file_is_reported_as_such(filled: Path) -> None:
    report = check(filled)
    assert report.ok
    assert report.rows["tag"] == 4
    assert json.loads(json.dumps(report.to_json()))["problems"] == []


def test_damage_inside_is_part_of_the_report(filled: Path, store: Store) -> None:
    store.close()
    with closing(sqlite3.connect(filled)) as connection:
        page = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'activity'"
        ).fetchone()[0]
        connection.execute("PRAGMA journal_mode = DELETE")
    data = bytearray(filled.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\x00" * 4096
    filled.write_bytes(data)
    report = check(filled)
    assert not report.ok
    assert report.to_json()["problems"]


def test_a_row_without_its_parent_is_a_problem(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as connection, connection:
        connection.execute("DELETE FROM activity")
    report = check(filled)
    assert report.problems[0] == "decision: a row refers to a missing row of activity"


def test_checking_what_is_no_state_file_is_an_error(path: Path) -> None:
    with pytest.raises(StateError):
        check(path)
    path.write_text("no state")
    with pytest.raises(StateCorrupt):
        check(path)


def test_an_export_can_be_imported_and_is_the_same_again(filled: Path, tmp_path: Path) -> None:
    document = json.loads(json.dumps(export_state(filled)))
    copy = tmp_path / "copy.db"
    counts = import_state(document, copy)
    assert counts["execution"] == 1
    assert export_state(copy) == document
    with Store.open(copy) as store, Store.open(filled) as original:
        assert store.known(ACCOUNT, REPOSITORY) == original.known(ACCOUNT, REPOSITORY)
        assert store.executions() == original.executions()
        assert store.repository_statuses() == original.repository_statuses()
        assert len(store.release(EventSelector.parse("t"))) == 2
        assert store.rejections() == [REJECTED]
        (run,) = [run for run in store.executions() if run.tag == "1.1"]
        finished = stepping.finish(
            stepping.conclude(run, 0, Done(), NOW), ExecutionStatus.SUCCEEDED, None, NOW
        )
        store.save(finished, 0, None)
        assert store.last_good("deploy", "note-0") == bundle(run.id)


def test_of_bundles_under_way_the_later_one_is_so_after_an_import(
    path: Path, store: Store, tmp_path: Path
) -> None:
    for tag in ("1.0", "1.1"):
        store.submit(run_of(tag, of=pipeline(most=2)))
    claimed = store.claim(NOW, (), 2).executions
    earlier, later = sorted(claimed, key=lambda run: run.id, reverse=True)
    for run in (earlier, later):
        store.propose("deploy", "note-0", bundle(run.id))
    import_state(export_state(path), tmp_path / "copy.db")
    with Store.open(tmp_path / "copy.db") as copy:
        for run in (later, earlier):
            begun = copy.save_start(stepping.begin(run, 0, NOW), 0)
            ended = stepping.conclude(begun, 0, Done(), NOW)
            copy.save(stepping.finish(ended, ExecutionStatus.SUCCEEDED, None, NOW), 0, None)
        assert copy.last_good("deploy", "note-0") == bundle(later.id)


def test_numbers_that_people_copy_are_not_given_again_after_an_import(
    path: Path, store: Store, tmp_path: Path
) -> None:
    store.reject(REJECTED)
    (before,) = store.rejections()
    store.clear_rejections([before.number])
    import_state(export_state(path), tmp_path / "copy.db")
    with Store.open(tmp_path / "copy.db") as copy:
        copy.reject(REJECTED)
        (after,) = copy.rejections()
    assert after.number > before.number


def test_every_table_but_that_of_requests_is_exported(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        names = {name for (name,) in tables if not name.startswith("sqlite_")}
    assert set(export_state(filled)["tables"]) == names - {"request"}


def test_an_export_leaves_out_what_was_only_asked_of_a_daemon(filled: Path) -> None:
    assert "by the command line" not in json.dumps(export_state(filled))


def test_an_import_never_touches_a_file_that_is_there(filled: Path) -> None:
    document, before = export_state(filled), filled.read_bytes()
    with pytest.raises(UsageError) as raised:
        import_state(document, filled)
    assert raised.value.hint
    assert filled.read_bytes() == before


def without_tags(document: Json) -> Json:
    del document["tables"]["tag"]
    return document


def newer(document: Json) -> Json:
    return {**document, "schema": 99}


def with_odd_column(document: Json) -> Json:
    document["tables"]["repository"][0]["id) VALUES (1); --"] = 1
    return document


def with_orphan(document: Json) -> Json:
    document["tables"]["repository"] = []
    return document


def with_list_in_a_column(document: Json) -> Json:
    document["tables"]["repository"][0]["name"] = ["a"]
    return document


def with_wrong_type(document: Json) -> Json:
    document["tables"]["tag"][0]["first_seen"] = "yesterday"
    return document


def with_too_large_a_number(document: Json) -> Json:
    document["tables"]["repository"][0]["tags"] = 2**63
    return document


@pytest.mark.parametrize(
    "spoil",
    [
        without_tags,
        newer,
        with_odd_column,
        with_orphan,
        with_list_in_a_column,
        with_wrong_type,
        with_too_large_a_number,
        pytest.param(lambda document: {**document, "numbers": {}, "tables": {}}, id="no tables"),
        pytest.param(lambda document: {**document, "numbers": None}, id="no numbers"),
        pytest.param(lambda document: {**document, "numbers": {"message": 2**63}}, id="too many"),
        pytest.param(lambda _: [], id="a list"),
        pytest.param(lambda _: {"accounts": []}, id="another document"),
    ],
)
def test_a_document_that_is_no_good_export_makes_no_file(
    filled: Path, tmp_path: Path, spoil: Callable[[Json], Json]
) -> None:
    target = tmp_path / "new" / "copy.db"
    target.parent.mkdir()
    with pytest.raises(WatcherError):
        import_state(spoil(export_state(filled)), target)
    assert list(target.parent.iterdir()) == []


def test_a_backup_is_a_state_file_made_while_others_write(filled: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    with Store.open(filled) as writer:
        backup_state(filled, target)
        writer.set_enabled("u", True)
    with Store.open(target) as copy:
        assert copy.known(ACCOUNT, REPOSITORY).tags.keys() == {"1.0", "1.1", "1.2", "1.3"}
        assert copy.enabled_overrides() == {"t": False}
    with pytest.raises(UsageError):
        backup_state(filled, target)

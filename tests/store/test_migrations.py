"""State files of earlier versions: opened, brought up to date, and nothing lost."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.builders import ACCOUNT, NOW, REPOSITORY, digest, run_of
from watcher.core import stepping
from watcher.core.deployment import Bundle, Rejection
from watcher.core.pipeline import Done, ExecutionStatus, StageStatus
from watcher.store.maintenance import check
from watcher.store.schema import MIGRATIONS
from watcher.store.sqlite import EventSelector, Store

FIRST = Path(__file__).with_name("first_schema.sql")

# A released migration is never edited: files that were made by it would differ from new ones.
RELEASED = ["1c09198e", "1a9ea2e7", "55ca0509"]


def schema_of(path: Path) -> dict[str, set[str]]:
    """The columns of every table."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for (name,) in names.fetchall()
        }


@pytest.fixture
def old(path: Path) -> Path:
    """A state file as the first schema's version wrote it: tags, a run under way, a queued one,
    a held event, a switch."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FIRST.read_text())
    return path


@pytest.mark.parametrize("number", range(len(RELEASED)))
def test_a_released_migration_is_as_it_was(number: int) -> None:
    text = "\n".join(MIGRATIONS[number])
    assert hashlib.sha256(text.encode()).hexdigest()[:8] == RELEASED[number]


def test_an_old_file_keeps_what_it_held(old: Path) -> None:
    with Store.open(old) as store:
        assert store.known(ACCOUNT, REPOSITORY).present.keys() == {"1.0", "1.1", "1.2", "1.3"}
        assert [(run.tag, run.status.value) for run in store.executions()] == [
            ("1.2", "QUEUED"),
            ("1.1", "RUNNING"),
        ]
        assert [event["outcome"] for event in store.events()] == ["fired", "fired", "held"]
        assert store.enabled_overrides() == {"t": False}
    assert check(old).ok


def test_an_old_file_becomes_what_a_new_one_is(old: Path) -> None:
    with Store.open(old), Store.open(old.with_name("new.db")):
        pass
    assert schema_of(old) == schema_of(old.with_name("new.db"))


def test_a_backup_of_the_old_file_stays_beside_it(old: Path) -> None:
    with Store.open(old):
        pass
    backup = old.with_name(f"{old.name}.before-2")
    assert "rejection" not in schema_of(backup)
    with Store.open(backup) as store:
        assert len(store.executions()) == 2


def test_a_run_of_an_old_file_goes_on_and_can_be_taken_back(old: Path) -> None:
    with Store.open(old) as store:
        (execution,) = store.claim(NOW, (), 1).executions
        stage = execution.stages[0]
        assert (execution.tag, stage.log, stage.undo, stage.undo_starts) == (
            "1.1",
            "half way\n",
            None,
            0,
        )
        store.remember(execution.id, 0, {"at": 1}, {"before": 1})
        store.propose("deploy", "note-0", bundle(execution.id))
        kept = store.execution(execution.id)
        assert kept is not None
        assert (kept.stages[0].resumed, kept.stages[0].undo) == ({"at": 1}, {"before": 1})
        done = stepping.conclude(kept, 0, Done(), NOW)
        ended = stepping.finish(done, ExecutionStatus.SUCCEEDED, None, NOW)
        assert store.save(ended, 0, None).stages[0].status is StageStatus.SUCCEEDED
        assert store.last_good("deploy", "note-0") == bundle(execution.id)


def test_held_events_of_an_old_file_can_be_released_and_rejected(old: Path) -> None:
    with Store.open(old) as store:
        store.reject(
            Rejection(
                pipeline="deploy",
                account=ACCOUNT,
                repository=REPOSITORY,
                tag="1.3",
                digest=digest("a"),
                execution=run_of("1.1").id,
                reason="no",
                time=NOW,
            )
        )
        assert store.release(EventSelector(batch="b3")) == ()
        store.clear_rejections([1])
        store.replay(3)
        assert [run.tag for run in store.executions()] == ["1.3", "1.2", "1.1"]


def bundle(execution: str) -> Bundle:
    return Bundle(objects=(), cluster="prod", namespace="web", execution=execution, event_time=NOW)

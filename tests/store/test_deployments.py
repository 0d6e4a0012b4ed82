"""The last good bundle of each stage: what a run applied well and did not take back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.store.builders import NOW, digest, pipeline, run_of
from watcher.core import stepping
from watcher.core.deployment import Bundle
from watcher.core.pipeline import FINAL_STATUSES, Execution, ExecutionStatus, StageStatus
from watcher.store.sqlite import Store

SUCCEEDED, FAILED = StageStatus.SUCCEEDED, StageStatus.FAILED
STAGES = ("note-0", "note-1")


def begun(store: Store, number: int, name: str = "deploy") -> Execution:
    """A run of two stages that has begun."""
    new = run_of("1.0", number=number, of=pipeline("note", "note", name=name, most=9))
    store.submit(new)
    store.claim(NOW, {run.id for run in store.executions()} - {new.id}, 1)
    execution = store.execution(new.id)
    assert execution is not None
    return execution


def bundle(execution: Execution, word: str = "web", **values: Any) -> Bundle:
    kept = Bundle(
        objects=({"kind": "ConfigMap", "metadata": {"name": word}},),
        cluster="prod",
        namespace="web",
        execution=execution.id,
        event_time=NOW,
        tag="1.0",
        digest=digest("a"),
    )
    return replace(kept, **values)


def propose(store: Store, execution: Execution, stage: str = "note-0", word: str = "web") -> Bundle:
    kept = bundle(execution, word)
    store.propose(execution.pipeline.name, stage, kept)
    return kept


def end(
    store: Store,
    execution: Execution,
    *stages: dict[str, Any],
    status: ExecutionStatus = ExecutionStatus.SUCCEEDED,
) -> Execution:
    """Save each stage as given, then the run's end."""
    for index, values in enumerate(stages):
        runs = list(execution.stages)
        runs[index] = replace(runs[index], **values)
        execution = store.save(replace(execution, stages=tuple(runs)), index, None)
    return store.save(stepping.finish(execution, status, None, NOW), None, None)


def rows(store: Store) -> int:
    count: int = store._db.execute("SELECT count(*) FROM deployment").fetchone()[0]
    return count


WELL: dict[str, Any] = {"status": SUCCEEDED}


def test_a_bundle_is_the_last_good_one_only_when_its_run_has_ended(store: Store) -> None:
    execution = begun(store, 1)
    kept = propose(store, execution)
    assert store.last_good("deploy", "note-0") is None
    end(store, execution, WELL, WELL)
    assert store.last_good("deploy", "note-0") == kept


@pytest.mark.parametrize(
    ("values", "good"),
    [
        pytest.param({"status": SUCCEEDED}, True, id="it went well"),
        pytest.param({"status": FAILED}, False, id="it failed"),
        pytest.param({"status": StageStatus.CANCELED}, False, id="superseded"),
        pytest.param({"status": SUCCEEDED, "undone": NOW}, False, id="taken back"),
        pytest.param(
            {"status": SUCCEEDED, "undone": NOW, "undo_error": "gone"}, False, id="not well"
        ),
        pytest.param({"status": SUCCEEDED, "undo_starts": 1}, False, id="taken back in part"),
    ],
)
@pytest.mark.parametrize("status", sorted(FINAL_STATUSES))
def test_what_becomes_of_a_bundle_at_the_end(
    store: Store, values: dict[str, Any], good: bool, status: ExecutionStatus
) -> None:
    """How the stage went decides, however the run ended."""
    before = begun(store, 1)
    old = propose(store, before, word="old")
    end(store, before, WELL, WELL)
    execution = begun(store, 2)
    new = propose(store, execution, word="new")
    end(store, execution, values, status=status)
    assert store.last_good("deploy", "note-0") == (new if good else old)
    assert rows(store) == 1


def test_each_stage_of_each_pipeline_has_its_own(store: Store) -> None:
    kept: dict[tuple[str, str], Bundle] = {}
    for number, name in enumerate(("deploy", "other"), start=1):
        execution = begun(store, number, name)
        for stage in STAGES:
            kept[name, stage] = propose(store, execution, stage, f"{name}-{stage}")
        end(store, execution, WELL, WELL)
    assert {place: store.last_good(*place) for place in kept} == kept


def test_one_stage_may_stay_while_another_is_taken_back(store: Store) -> None:
    execution = begun(store, 1)
    first = propose(store, execution, "note-0", "first")
    propose(store, execution, "note-1", "second")
    end(store, execution, WELL, {"status": FAILED}, status=ExecutionStatus.FAILED)
    assert store.last_good("deploy", "note-0") == first
    assert store.last_good("deploy", "note-1") is None


def test_a_stage_that_runs_again_proposes_anew(store: Store) -> None:
    execution = begun(store, 1)
    propose(store, execution, word="before the crash")
    again = propose(store, execution, word="after it")
    end(store, execution, WELL, WELL)
    assert (store.last_good("deploy", "note-0"), rows(store)) == (again, 1)


def test_runs_side_by_side_do_not_disturb_each_other(store: Store) -> None:
    first, second = begun(store, 1), begun(store, 2)
    propose(store, first, word="first")
    kept = propose(store, second, word="second")
    end(store, second, WELL, WELL)
    assert store.last_good("deploy", "note-0") == kept
    end(store, first, {"status": FAILED}, status=ExecutionStatus.FAILED)
    assert (store.last_good("deploy", "note-0"), rows(store)) == (kept, 1)


def test_of_runs_side_by_side_the_one_that_applied_last_counts(store: Store) -> None:
    """Whichever ends last."""
    first, second = begun(store, 1), begun(store, 2)
    propose(store, first, word="first")
    kept = propose(store, second, word="second")
    end(store, second, WELL, WELL)
    end(store, first, WELL, WELL)
    assert (store.last_good("deploy", "note-0"), rows(store)) == (kept, 1)


def test_what_is_applied_again_after_a_newer_run_counts(store: Store) -> None:
    first, second = begun(store, 1), begun(store, 2)
    propose(store, first, word="first")
    propose(store, second, word="second")
    end(store, second, WELL, WELL)
    kept = propose(store, first, word="first again")
    end(store, first, WELL, WELL)
    assert (store.last_good("deploy", "note-0"), rows(store)) == (kept, 1)


def test_what_a_retry_takes_back_was_not_good(store: Store) -> None:
    execution = begun(store, 1)
    propose(store, execution)
    end(store, execution, WELL, {"status": FAILED}, status=ExecutionStatus.FAILED)
    assert store.last_good("deploy", "note-0") is not None
    assert store.retry(execution.id)
    (again,) = store.claim(NOW, (), 1).executions
    taken_back = {"status": SUCCEEDED, "undone": NOW}
    end(store, again, taken_back, {"status": FAILED}, status=ExecutionStatus.FAILED)
    assert (store.last_good("deploy", "note-0"), rows(store)) == (None, 0)


def test_a_retry_that_ends_well_makes_its_bundle_good(store: Store) -> None:
    execution = begun(store, 1)
    first = propose(store, execution, "note-0", "first")
    propose(store, execution, "note-1", "broken")
    end(store, execution, WELL, {"status": FAILED}, status=ExecutionStatus.FAILED)
    assert store.retry(execution.id)
    (again,) = store.claim(NOW, (), 1).executions
    second = propose(store, again, "note-1", "mended")
    end(store, again, {}, WELL)
    assert [store.last_good("deploy", stage) for stage in STAGES] == [first, second]


def test_a_run_that_was_canceled_before_it_began_leaves_the_last_good_one(store: Store) -> None:
    before = begun(store, 1)
    kept = propose(store, before)
    end(store, before, WELL, WELL)
    new = run_of("2.0", number=2)
    store.submit(new)
    store.request_cancel(new.id)
    assert store.last_good("deploy", "note-0") == kept


def test_a_bundle_comes_back_as_it_was_also_by_another_process(path: Path, store: Store) -> None:
    execution = begun(store, 1)
    kept = bundle(
        execution,
        objects=({"data": {"text": "Grüße\n", "n": 1.5, "none": None, "list": [True]}}, {}),
        event_time=NOW + timedelta(microseconds=1),
        tag=None,
        digest=None,
    )
    store.propose("deploy", "note-0", kept)
    end(store, execution, WELL, WELL)
    with Store.open(path) as other:
        assert other.last_good("deploy", "note-0") == kept


def test_there_is_none_before_the_first(store: Store) -> None:
    assert store.last_good("deploy", "note-0") is None

"""A poll's result is one transaction: all of it, once, and only on what it was computed from."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.store.builders import (
    ACCOUNT,
    NOW,
    REPOSITORY,
    baseline,
    change,
    digest,
    fired,
    polled,
    run_of,
)
from watcher.core.change import ChangeKind, KnownRepository, Quarantine, TriggerState
from watcher.core.poll import PollRecord, RepositoryStatus
from watcher.core.verdict import Decision, Verdict
from watcher.errors import StateChanged
from watcher.store.sqlite import Store


def known(store: Store) -> KnownRepository:
    return store.known(ACCOUNT, REPOSITORY)


def test_a_repository_never_seen_is_known_to_hold_nothing(store: Store) -> None:
    assert known(store) == KnownRepository(account=ACCOUNT, repository=REPOSITORY, baselined=False)


def test_a_baseline_is_tags_and_one_line_of_activity(store: Store) -> None:
    assert store.record_poll(baseline("1.0", "1.1")) == ()
    seen = known(store)
    assert seen.baselined
    assert [(name, tag.sequence, tag.change_number) for name, tag in seen.tags.items()] == [
        ("1.0", 1, 0),
        ("1.1", 2, 0),
    ]
    assert seen.tags["1.0"].first_seen == NOW
    assert [line["change"] for line in store.activity()] == ["baseline"]
    assert store.executions() == []


def test_a_firing_poll_writes_tag_activity_decision_and_execution(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    assert store.record_poll(fired("1.1")) == (run_of("1.1").id,)
    assert known(store).tags["1.1"].digest == digest("a")
    assert store.activity(limit=1) == [
        {
            "time": "2026-03-01T12:00:00.123Z",
            "account": ACCOUNT,
            "repository": REPOSITORY,
            "tag": "1.1",
            "digest": digest("a"),
            "change": "new",
            "triggers": [
                {
                    "name": "t",
                    "outcome": "fired",
                    "reason": "as the test says",
                    "execution": run_of("1.1").id,
                }
            ],
        }
    ]
    assert [execution.tag for execution in store.executions()] == ["1.1"]


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(fired("1.1"), id="by change numbers"),
        pytest.param(
            replace(fired("1.1", generation=1), changes=(), executions=()), id="by generation"
        ),
        pytest.param(baseline("1.0"), id="a second baseline"),
    ],
)
def test_a_result_computed_from_an_outdated_state_writes_nothing(
    store: Store, again: PollRecord
) -> None:
    store.record_poll(baseline("1.0"))
    store.record_poll(fired("1.1", generation=1))
    before, commits = store.activity(), store.commits
    with pytest.raises(StateChanged):
        store.record_poll(again)
    assert (store.activity(), store.commits) == (before, commits)
    assert len(store.executions()) == 1


def test_two_processes_that_saw_the_same_change_queue_one_run(path: Path, store: Store) -> None:
    store.record_poll(baseline("1.0"))
    with Store.open(path) as other:
        assert other.record_poll(fired("1.1")) == (run_of("1.1").id,)
        with pytest.raises(StateChanged):
            store.record_poll(fired("1.1"))
    assert len(store.executions()) == 1


def test_a_deleted_tag_keeps_its_change_number_and_comes_back_as_new(store: Store) -> None:
    store.record_poll(baseline("1.0", "1.1"))
    gone = change("1.0", ChangeKind.DELETED, number=1)
    store.record_poll(polled([gone], Verdict.UNWANTED_CHANGE))
    assert known(store).present.keys() == {"1.1"}
    later = replace(fired("1.0"), at=NOW + timedelta(days=1), changes=(change("1.0", number=2),))
    store.record_poll(later)
    back = known(store).tags["1.0"]
    assert (back.change_number, back.present, back.sequence) == (2, True, 3)
    assert back.first_seen == NOW + timedelta(days=1)


def test_digests_that_become_known_are_recorded_without_activity(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    store.record_poll(replace(polled([], Verdict.FIRED), digests={"1.0": digest("b")}))
    assert known(store).tags["1.0"].digest == digest("b")
    assert len(store.activity()) == 1


def test_a_moved_tag_gets_its_digest_and_keeps_its_first_sight(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    moved = change("1.0", ChangeKind.MOVED, letter="c")
    store.record_poll(replace(polled([moved], Verdict.NO_MATCH), at=NOW + timedelta(hours=1)))
    tag = known(store).tags["1.0"]
    assert (tag.digest, tag.first_seen, tag.sequence) == (digest("c"), NOW, 1)


def test_the_state_of_triggers_is_kept_by_repository(store: Store) -> None:
    store.record_poll(replace(baseline(), triggers={"t": TriggerState(), "u": TriggerState()}))
    store.record_poll(replace(fired("2.0"), triggers={"t": TriggerState(highest="2.0")}))
    assert known(store).triggers == {"t": TriggerState(highest="2.0"), "u": TriggerState()}


def test_a_quarantine_is_kept_until_a_poll_says_otherwise(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    doubt = Quarantine(since=NOW, fingerprint="f", listed=0)
    store.record_poll(replace(polled([], Verdict.FIRED), quarantine=doubt, fingerprint=None))
    assert known(store).quarantine == doubt
    assert [status.quarantined for status in store.repository_statuses()] == [True]
    store.record_poll(polled([], Verdict.FIRED))
    assert known(store).quarantine is None


def test_a_backfilled_tag_gets_an_activity_of_its_own(store: Store) -> None:
    there = change("1.0", number=0)
    record = replace(
        baseline("1.0"),
        decisions=(Decision(trigger="t", change=there, verdict=Verdict.FIRED, reason="backfill"),),
        executions=(run_of("1.0", number=0),),
    )
    assert store.record_poll(record) == (run_of("1.0", number=0).id,)
    newest, first = store.activity()
    assert (newest["change"], newest["tag"]) == ("new", "1.0")
    assert newest["triggers"][0]["execution"] == run_of("1.0", number=0).id
    assert first["change"] == "baseline"


@pytest.mark.parametrize("point", ["poll.before_commit", "poll.after_commit"])
def test_a_fault_around_the_commit_leaves_all_or_nothing(path: Path, point: str) -> None:
    class Stop(Exception):
        pass

    def fault(where: str) -> None:
        if where == point and armed:
            raise Stop

    armed: list[bool] = []
    with Store.open(path, fault=fault) as store:
        store.record_poll(baseline("1.0"))
        armed.append(True)
        with pytest.raises(Stop):
            store.record_poll(fired("1.1"))
        armed.clear()
        there = point == "poll.after_commit"
        assert ("1.1" in known(store).tags) is there
        assert bool(store.executions()) is there
        assert len(store.activity()) == (2 if there else 1)


def test_reading_commits_nothing(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    before = store.commits
    known(store)
    store.repository_statuses()
    store.activity()
    store.data_version()
    store.claim(NOW, (), 5)
    assert store.commits == before


def test_bookkeeping_of_many_repositories_is_one_commit(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    before = store.commits
    statuses = [
        RepositoryStatus(
            account=ACCOUNT,
            repository=name,
            tags=1,
            last_check=5.5,
            last_error="no answer",
            failures=2,
            next_check=9.0,
            fingerprint=b"f",
        )
        for name in (REPOSITORY, "acme/other")
    ]
    store.flush(statuses, {"index.docker.io": 77.0})
    assert store.commits == before + 1
    first, second = store.repository_statuses(ACCOUNT)
    assert (first.repository, first.known, first.failures) == (REPOSITORY, True, 2)
    assert (second.repository, second.known, second.fingerprint) == ("acme/other", False, b"f")
    assert store.blocked() == {"index.docker.io": 77.0}
    store.flush([], {})
    assert store.blocked() == {}
    assert store.repository_statuses("quay") == []


def test_a_recorded_poll_ends_the_failures_before_it(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    (status,) = store.repository_statuses()
    status.failures, status.last_error = 3, "no answer"
    store.flush([status], {})
    store.record_poll(fired("1.1"))
    (after,) = store.repository_statuses()
    assert (after.failures, after.last_error) == (0, None)


def test_a_repository_known_by_bookkeeping_alone_still_gets_its_baseline(store: Store) -> None:
    store.flush([RepositoryStatus(account=ACCOUNT, repository=REPOSITORY, failures=1)], {})
    assert not known(store).baselined
    store.record_poll(replace(baseline("1.0"), generation=known(store).generation))
    assert known(store).baselined


def test_activity_can_be_narrowed(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    store.record_poll(fired("1.1", "1.2"))
    assert [line["tag"] for line in store.activity(limit=2)] == ["1.2", "1.1"]
    assert len(store.activity(limit=None, account=ACCOUNT, repository=REPOSITORY)) == 3
    assert store.activity(account="quay") == []


def test_bookkeeping_brings_no_fingerprint_from_before_a_recorded_poll(store: Store) -> None:
    store.record_poll(baseline("1.0"))
    (stale,) = store.repository_statuses()
    store.record_poll(replace(fired("1.1"), fingerprint=b"second"))
    store.flush([stale], {})
    (status,) = store.repository_statuses()
    assert status.fingerprint == b"second"
    status.fingerprint = b"third"
    store.flush([status], {})
    assert store.repository_statuses()[0].fingerprint == b"third"

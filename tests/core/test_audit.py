"""Which followed tags a poll looks at: the moving ones always, the fixed ones in their turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.audit import AuditClock, gap_of, is_due, looks_fixed
from watcher.core.change import KnownTag

NOW = 1_800_000_000.0
MINUTE = timedelta(minutes=1)
LONGEST = timedelta(hours=6)
DAY = 86_400.0


def tag(age: float, *, stands_still: bool = True) -> KnownTag:
    first_seen = datetime.fromtimestamp(NOW - age, UTC)
    return KnownTag(
        digest=None, first_seen=first_seen, sequence=1, change_number=1, stands_still=stands_still
    )


def clock(now: float, last_success: float | None) -> AuditClock:
    return AuditClock(now, last_success, MINUTE, LONGEST)


def looks(name: str, known: KnownTag, seconds: float, step: float = 60.0) -> int:
    """How many of the polls in a row look at the tag."""
    moments = [NOW + step * number for number in range(int(seconds / step))]
    return sum(is_due(name, known, clock(now, now - step)) for now in moments)


@pytest.mark.parametrize(
    "name",
    ["1.4.2", "v1.4.2", "1.4.2-alpine", "2.0.0+build.7", "20260131", "2026-01-31",
     "nightly-20260131", "20260131093000", "3f4ff3c", "sha-3f4ff3c", "9b1d" * 10],
)  # fmt: skip
def test_versions_dates_and_commits_look_fixed(name: str) -> None:
    assert looks_fixed(name)


@pytest.mark.parametrize(
    "name",
    ["latest", "stable", "main", "1", "1.4", "v2", "node-20", "master-29", "edge", "deadbeef"[:6],
     "12345678901", "release"],
)  # fmt: skip
def test_names_that_people_move_do_not(name: str) -> None:
    assert not looks_fixed(name)


def test_a_moving_tag_is_looked_at_in_every_poll_however_old() -> None:
    assert looks("latest", tag(1000 * DAY), 3600) == 60


def test_a_fixed_tag_that_moved_once_is_looked_at_in_every_poll() -> None:
    assert looks("1.4.2", tag(1000 * DAY, stands_still=False), 3600) == 60


def test_a_young_fixed_tag_is_looked_at_in_every_poll() -> None:
    assert looks("1.4.2", tag(600), 600) == 10


def test_an_old_fixed_tag_is_looked_at_once_in_the_longest_gap() -> None:
    six_hours_by_doubling = 60 * 2**8
    assert looks("1.4.2", tag(100 * DAY), 10 * six_hours_by_doubling) == 10


def test_the_first_poll_of_a_repository_looks_at_everything() -> None:
    assert is_due("1.4.2", tag(100 * DAY), clock(NOW, None))


def test_after_a_long_rest_everything_is_looked_at() -> None:
    assert is_due("1.4.2", tag(100 * DAY), clock(NOW, NOW - DAY))


def test_many_fixed_tags_take_turns() -> None:
    old = tag(100 * DAY)
    by_poll = [
        sum(is_due(f"1.0.{n}", old, clock(now, now - 60)) for n in range(1000))
        for now in (NOW + 60 * poll for poll in range(256))
    ]
    assert sum(by_poll) == 1000
    assert max(by_poll) < 20


@given(
    age=st.floats(min_value=0, max_value=3000 * DAY),
    step=st.floats(min_value=10, max_value=7200),
    name=st.sampled_from(["1.4.2", "v10.0.1", "20260131", "sha-3f4ff3c"]),
)
def test_no_fixed_tag_goes_longer_than_promised(age: float, step: float, name: str) -> None:
    known, last = tag(age), NOW
    longest = LONGEST.total_seconds() + step
    now = NOW
    for _ in range(int(2 * longest / step) + 2):
        now += step
        if is_due(name, known, clock(now, now - step)):
            last = now
        assert now - last <= longest


@given(age=st.floats(min_value=0, max_value=3000 * DAY))
def test_the_gap_is_the_interval_doubled_and_at_most_what_is_promised(age: float) -> None:
    gap = gap_of(age, MINUTE, LONGEST)
    assert 60 <= gap <= LONGEST.total_seconds()
    assert (gap / 60).is_integer()

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from tests.core.builders import EARLIER, NOW, digest, known, known_tag
from watcher.core.change import ChangeKind, KnownRepository, KnownTag, Quarantine
from watcher.core.diff import assess, diff, is_artifact_tag, recorded_digests

MINUTE = timedelta(minutes=1)
A, B = digest("a"), digest("b")


@pytest.mark.parametrize(
    ("before", "listed", "digests", "expected"),
    [
        pytest.param({}, ["a"], {}, [("new", "a", None, 1)], id="new"),
        pytest.param({}, ["a"], {"a": A}, [("new", "a", A, 1)], id="new with its digest"),
        pytest.param({"a": known_tag()}, ["a"], {}, [], id="known"),
        pytest.param({"a": known_tag(digest=A)}, ["a"], {"a": A}, [], id="same digest"),
        pytest.param(
            {"a": known_tag(digest=A)}, ["a"], {}, [], id="a failed lookup keeps the digest"
        ),
        pytest.param(
            {"a": known_tag()}, ["a"], {"a": A}, [], id="tracking just switched on fires nothing"
        ),
        pytest.param(
            {"a": known_tag(digest=A, number=4)},
            ["a"],
            {"a": B},
            [("moved", "a", B, 5)],
            id="moved",
        ),
        pytest.param({"a": known_tag(digest=A)}, [], {}, [("deleted", "a", None, 1)], id="deleted"),
        pytest.param(
            {"a": known_tag(present=False)}, [], {}, [], id="a deleted tag is not deleted again"
        ),
        pytest.param(
            {"a": known_tag(present=False, digest=A, number=1)},
            ["a"],
            {"a": B},
            [("new", "a", B, 2)],
            id="a deleted tag that comes back is new, not moved",
        ),
        pytest.param({}, ["a", "a"], {}, [("new", "a", None, 1)], id="listed twice"),
        pytest.param(
            {"x": known_tag(), "m": known_tag(digest=A)},
            ["b10", "b9", "m"],
            {"m": B},
            [
                ("new", "b9", None, 1),
                ("new", "b10", None, 1),
                ("moved", "m", B, 1),
                ("deleted", "x", None, 1),
            ],
            id="natural order, new before moved before deleted",
        ),
    ],
)
def test_changes(
    before: dict[str, KnownTag],
    listed: list[str],
    digests: dict[str, str],
    expected: list[tuple[str, str, str | None, int]],
) -> None:
    changes = diff(known(before), listed, digests)
    assert [(c.kind.value, c.tag, c.digest, c.number) for c in changes] == expected


def test_a_moved_and_a_deleted_tag_name_the_digest_that_was() -> None:
    before = known({"m": known_tag(digest=A), "d": known_tag(digest=A)})
    assert [change.previous_digest for change in diff(before, ["m"], {"m": B})] == [A, A]


def test_only_digests_of_present_tags_without_one_are_recorded() -> None:
    before = known({"a": known_tag(), "b": known_tag(digest=A), "gone": known_tag(present=False)})
    assert recorded_digests(before, {"a": A, "b": B, "gone": A, "new": A}) == {"a": A}


@pytest.mark.parametrize(
    ("tag", "is_artifact"),
    [
        (f"sha256-{'0' * 64}", True),
        (f"sha256-{'f' * 64}.sig", True),
        (f"sha256__{'f' * 64}", True),
        (f"sha256__{'f' * 63}", False),
        (f"sha256-{'f' * 64}.att", True),
        (f"sha256-{'f' * 64}.sbom", True),
        (f"sha256-{'f' * 64}.other", False),
        (f"sha256-{'f' * 63}", False),
        (f"sha256-{'F' * 64}", False),
        ("sha256-short", False),
        ("v1", False),
    ],
)
def test_tags_that_carry_signatures(tag: str, *, is_artifact: bool) -> None:
    assert is_artifact_tag(tag) is is_artifact


def tags(count: int, prefix: str = "t") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("before", "listed", "believed"),
    [
        pytest.param(tags(20), tags(20), True, id="nothing lost"),
        pytest.param(tags(20), tags(10), True, id="exactly half is left"),
        pytest.param(tags(20), tags(9), False, id="fewer than half are left"),
        pytest.param(tags(18), tags(9), True, id="nine fewer"),
        pytest.param(tags(15), tags(6), True, id="fewer than half, but nine fewer"),
        pytest.param(tags(19), tags(9), False, id="fewer than half and ten fewer"),
        pytest.param(tags(3), tags(1), True, id="few tags may shrink"),
        pytest.param(tags(1), [], False, id="none where there was one"),
        pytest.param([], [], True, id="none where there were none"),
        pytest.param(tags(20), tags(20, "other"), False, id="none of the known is left"),
        pytest.param(tags(1), tags(1, "other"), True, id="one replaced by another"),
    ],
)
def test_a_listing_that_lost_too_much_is_not_believed(
    before: list[str], listed: list[str], *, believed: bool
) -> None:
    assert (assess(known(before), listed, now=NOW, interval=MINUTE) is None) is believed


def quarantined(before: list[str], listed: list[str]) -> KnownRepository:
    quarantine = assess(known(before), listed, now=NOW, interval=MINUTE)
    assert quarantine is not None
    return known(before, quarantine=quarantine)


def test_deleted_tags_count_neither_as_known_nor_as_lost() -> None:
    rows = {tag: known_tag(present=False) for tag in tags(30)} | {"a": known_tag()}
    assert assess(known(rows), ["a"], now=NOW, interval=MINUTE) is None


@pytest.mark.parametrize(
    ("second", "after", "believed"),
    [
        pytest.param([], timedelta(seconds=59), False, id="the same, too early"),
        pytest.param([], MINUTE, True, id="the same, an interval later"),
        pytest.param(["pushed"], MINUTE, True, id="the same, and a tag was pushed meanwhile"),
        pytest.param(["t3"], MINUTE, False, id="something else"),
        pytest.param(tags(30), timedelta(0), True, id="all there again"),
    ],
)
def test_the_second_poll_decides(second: list[str], after: timedelta, *, believed: bool) -> None:
    doubted = quarantined(tags(30), [])
    assert (assess(doubted, second, now=NOW + after, interval=MINUTE) is None) is believed


def test_another_doubtful_listing_starts_a_new_quarantine() -> None:
    doubted = quarantined(tags(30), [])
    later = assess(doubted, ["t3"], now=NOW + MINUTE, interval=MINUTE)
    assert later is not None
    assert (later.since, later.listed) == (NOW + MINUTE, 1)


def test_the_same_doubt_keeps_the_quarantine_as_it_is() -> None:
    doubted = quarantined(tags(30), [])
    again = assess(doubted, [], now=NOW + timedelta(seconds=1), interval=MINUTE)
    assert again == doubted.quarantine


def test_an_empty_listing_is_never_a_baseline() -> None:
    unseen = known(baselined=False)
    quarantine = assess(unseen, [], now=EARLIER, interval=MINUTE)
    assert isinstance(quarantine, Quarantine)
    again = assess(known(baselined=False, quarantine=quarantine), [], now=NOW, interval=MINUTE)
    assert again == quarantine
    assert assess(unseen, ["a"], now=NOW, interval=MINUTE) is None


def test_one_new_tag_among_50_000_is_cheap() -> None:
    many = {tag: known_tag() for tag in tags(50_000)}
    listed = [*many, "one-more"]
    repository = known(many)
    began = time.process_time()
    assert assess(repository, listed, now=NOW, interval=MINUTE) is None
    (change,) = diff(repository, listed, {})
    assert time.process_time() - began < 0.5
    assert (change.kind, change.tag) == (ChangeKind.NEW, "one-more")


def test_a_clock_that_was_set_back_does_not_prolong_a_quarantine() -> None:
    doubted = quarantined(tags(30), [])
    earlier = NOW - timedelta(days=30)
    anew = assess(doubted, [], now=earlier, interval=MINUTE)
    assert anew is not None
    assert anew.since == earlier
    again = known(tags(30), quarantine=anew)
    assert assess(again, [], now=earlier + MINUTE, interval=MINUTE) is None

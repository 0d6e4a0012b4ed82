from __future__ import annotations

import time

import pytest

from watcher.core.patterns import check_pattern
from watcher.core.selector import (
    Ordering,
    OrderKind,
    TagRule,
    check_rule,
    matches,
    no_value,
    sort_key,
)


@pytest.mark.parametrize(
    ("rule", "tag", "kept", "reason"),
    [
        pytest.param(
            TagRule(),
            "latest",
            False,
            "is exactly 'latest', which an empty rule leaves out",
            id="an empty rule leaves out latest",
        ),
        pytest.param(
            TagRule(),
            "latest-1",
            True,
            "is not exactly 'latest', all that an empty rule asks for",
            id="an empty rule leaves out nothing else",
        ),
        pytest.param(
            TagRule(matches="  "),
            "latest",
            False,
            "is exactly 'latest', which an empty rule leaves out",
            id="a blank pattern is none",
        ),
        pytest.param(
            TagRule(matches="master"),
            "master-10",
            False,
            "does not match 'master'",
            id="a pattern has to match in full",
        ),
        pytest.param(
            TagRule(matches=" master-.* "),
            "master-10",
            True,
            "matches 'master-.*'",
            id="a pattern is trimmed",
        ),
        pytest.param(
            TagRule(matches="a|ab"), "ab", True, "matches 'a|ab'", id="in full, any branch"
        ),
        pytest.param(
            TagRule(matches="l.*"), "latest", True, "matches 'l.*'", id="a pattern may take latest"
        ),
        pytest.param(
            TagRule(excludes=".*-rc.*"), "1-rc1", False, "is excluded by '.*-rc.*'", id="excludes"
        ),
        pytest.param(
            TagRule(excludes=".*-rc.*"),
            "latest",
            True,
            "is not excluded by '.*-rc.*'",
            id="any key at all lets latest in",
        ),
        pytest.param(TagRule(equals="a"), "a", True, "equals 'a'", id="equals"),
        pytest.param(TagRule(equals="a"), "A", False, "does not equal 'a'", id="case counts"),
        pytest.param(
            TagRule(starts_with="v", ends_with="-x"),
            "v1-x",
            True,
            "starts with 'v' and ends with '-x'",
            id="all keys that held are named",
        ),
        pytest.param(
            TagRule(starts_with="v", ends_with="-x"),
            "v1-y",
            False,
            "does not end with '-x'",
            id="the first key that fails is named",
        ),
        pytest.param(TagRule(contains="rc"), "1rc1", True, "contains 'rc'", id="contains"),
        pytest.param(TagRule(one_of=("a", "b")), "c", False, "is none of `one_of`", id="one_of"),
        pytest.param(
            TagRule(not_one_of=("a",)), "a", False, "is one of `not_one_of`", id="not_one_of"
        ),
        pytest.param(TagRule(one_of=()), "a", False, "is none of `one_of`", id="none of an empty"),
        pytest.param(
            TagRule(semver="^1.2"), "1.3", True, "is a version in '^1.2'", id="semver inside"
        ),
        pytest.param(
            TagRule(semver="^1.2"), "2.0", False, "is a version outside '^1.2'", id="semver outside"
        ),
        pytest.param(
            TagRule(semver="^1.2"),
            "main",
            False,
            "is not a version, so not in '^1.2'",
            id="semver of no version",
        ),
        pytest.param(
            TagRule(glob="v[0-9].?"), "v1.2", True, "matches the glob 'v[0-9].?'", id="glob"
        ),
        pytest.param(
            TagRule(glob="v[!0-9]*"),
            "v12",
            False,
            "does not match the glob 'v[!0-9]*'",
            id="glob with a negated class",
        ),
        pytest.param(
            TagRule(glob="a.b"),
            "axb",
            False,
            "does not match the glob 'a.b'",
            id="a dot in a glob is a dot",
        ),
        pytest.param(
            TagRule(glob="a[b"),
            "a[b",
            True,
            "matches the glob 'a[b'",
            id="an open bracket in a glob stands for itself",
        ),
    ],
)
def test_a_rule_keeps_or_leaves_out_and_says_why(
    rule: TagRule, tag: str, *, kept: bool, reason: str
) -> None:
    match = matches(rule, tag)
    assert (match.ok, match.reason) == (kept, reason)


@pytest.mark.parametrize(
    ("rule", "ordering", "sentence"),
    [
        pytest.param(
            TagRule(matches="(?=a)b"),
            None,
            "RE2 can't take .*RE2 has no look-around",
            id="look-ahead",
        ),
        pytest.param(TagRule(matches=r"(a)\1"), None, "RE2 has no .*back-ref", id="back-reference"),
        pytest.param(TagRule(excludes="a("), None, "RE2 can't take the pattern 'a\\('", id="open"),
        pytest.param(TagRule(glob="[z-a]"), None, "RE2 can't take", id="glob with a bad range"),
        pytest.param(TagRule(semver="new"), None, "'new' is not a range", id="range"),
        pytest.param(
            TagRule(), Ordering(extract=r"(\d+)"), r"has no group \(\?P<value>", id="extract"
        ),
    ],
)
def test_what_cant_be_compiled_is_told_early(
    rule: TagRule, ordering: Ordering | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_rule(rule, ordering)


def test_a_sound_rule_passes() -> None:
    rule = TagRule(matches="v.*", excludes="x", glob="*", semver="^1", one_of=("a",))
    check_rule(rule, Ordering(kind=OrderKind.NUMERIC, extract=r"(?P<value>\d+)"))
    check_pattern(r"(?<value>\d+)", group="value")


def test_a_catastrophic_pattern_costs_nothing() -> None:
    began = time.process_time()
    assert not matches(TagRule(matches="(a+)+$"), "a" * 127 + "!").ok
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("ordering", "lower", "higher"),
    [
        pytest.param(Ordering(kind=OrderKind.SEMVER), "1.9", "1.10", id="semver"),
        pytest.param(Ordering(kind=OrderKind.NUMERIC), "9", "10", id="numeric"),
        pytest.param(Ordering(kind=OrderKind.NUMERIC), "1.25", "1.3", id="numeric, decimals"),
        pytest.param(Ordering(kind=OrderKind.ALPHABETICAL), "10", "9", id="alphabetical"),
        pytest.param(Ordering(), "build-9", "build-10", id="first_seen, within one listing"),
        pytest.param(
            Ordering(kind=OrderKind.NUMERIC, extract=r"master-(?P<value>\d+)"),
            "master-9",
            "master-10",
            id="extract from the whole tag",
        ),
        pytest.param(
            Ordering(kind=OrderKind.NUMERIC, extract=r"-(?P<value>\d+)$"),
            "z-9",
            "a-10",
            id="extract from a part of it",
        ),
        pytest.param(
            Ordering(extract=r".*-(?P<value>\d+)"), "z-9", "a-10", id="extract with first_seen"
        ),
    ],
)
def test_order(ordering: Ordering, lower: str, higher: str) -> None:
    low, high = sort_key(ordering, lower, 1), sort_key(ordering, higher, 1)
    assert low is not None
    assert high is not None
    assert low < high


def test_first_sight_comes_before_the_name() -> None:
    early, late = sort_key(Ordering(), "z", 1), sort_key(Ordering(), "a", 2)
    assert early is not None
    assert late is not None
    assert early < late


@pytest.mark.parametrize(
    ("ordering", "tag", "reason"),
    [
        (
            Ordering(kind=OrderKind.SEMVER),
            "main",
            "is not a version, so it can't be ordered (semver)",
        ),
        (
            Ordering(kind=OrderKind.NUMERIC),
            "v1",
            "is not a number, so it can't be ordered (numeric)",
        ),
        (
            Ordering(kind=OrderKind.NUMERIC, extract="v(?P<value>.*)"),
            "v1a",
            "has '1a' to compare, which is not a number, so it can't be ordered (numeric)",
        ),
        (
            Ordering(kind=OrderKind.ALPHABETICAL, extract="v(?P<value>.*)"),
            "x",
            "has nothing that `extract` 'v(?P<value>.*)' finds, so it can't be ordered",
        ),
    ],
)
def test_a_tag_without_a_comparable_value_says_so(
    ordering: Ordering, tag: str, reason: str
) -> None:
    assert sort_key(ordering, tag, 0) is None
    assert no_value(ordering, tag) == reason

from __future__ import annotations

from itertools import pairwise

import pytest

from watcher.core.version import check_range, in_range, natural_key, parse_version


@pytest.mark.parametrize(
    "rising",
    [
        pytest.param(
            [
                "1.0.0-alpha",
                "1.0.0-alpha.1",
                "1.0.0-alpha.beta",
                "1.0.0-beta",
                "1.0.0-beta.2",
                "1.0.0-beta.11",
                "1.0.0-rc.1",
                "1.0.0",
            ],
            id="the example of semver 2.0.0 section 11",
        ),
        pytest.param(["1", "1.1", "v1.2", "1.10", "V2"], id="parts left out, and a v"),
        pytest.param(["1.2.3", "1.2.3.1", "1.2.3.10", "1.2.4"], id="a fourth part"),
        pytest.param(["2024.01.05", "2024.1.10", "2024.02.01"], id="dates with leading zeros"),
        pytest.param(["2024-01-31", "2024-02-01", "2024-10-01"], id="dates with hyphens"),
        pytest.param(["1.2.3-rc2", "1.2.3-rc10", "1.2.3"], id="numbers inside an identifier"),
        pytest.param(["3.9b2", "3.9rc1", "3.9"], id="a pre-release without a hyphen"),
        pytest.param(["1.2.3-alpine", "1.2.3", "1.2.4-alpine"], id="variants"),
        pytest.param(["1.2.3", "1.2.3_1", "1.2.3_10", "1.2.4"], id="builds"),
    ],
)
def test_versions_rise(rising: list[str]) -> None:
    keys = []
    for tag in rising:
        version = parse_version(tag)
        assert version is not None, tag
        keys.append(version.key)
    assert all(lower < higher for lower, higher in pairwise(keys))


@pytest.mark.parametrize("same", [("1.2", "v1.2.0"), ("01.02", "1.2"), ("0", "0.0.0")])
def test_spellings_of_one_version_are_equal(same: tuple[str, str]) -> None:
    one, other = (parse_version(tag) for tag in same)
    assert one is not None
    assert other is not None
    assert one.key == other.key


@pytest.mark.parametrize(
    "tag", ["latest", "1e5f3ab", "v", "master-29", "1.2-", "1.2_", "", "-1", "1.2.", "sha256-00"]
)
def test_what_is_no_version(tag: str) -> None:
    assert parse_version(tag) is None


@pytest.mark.parametrize(
    ("tag", "version_range", "inside"),
    [
        ("1.4.2", "^1.2", True),
        ("v1.4.2", "^v1.2", True),
        ("1.4", ">= 1.2, < 2", True),
        ("2.0.0", ">=1.2 <2", False),
        ("1.2.3.4", "~1.2.3", True),
        ("1.2.3_4", "~1.2.3", True),
        ("3.0", "1.x || 3.x", True),
        ("1.2.3-alpine", "^1.2", False),
        ("1.2.3-rc.01", ">=1.2.3-0 <2", True),
        ("1.2.5", "1.2 - 1.4", True),
        ("2024.01.05", "2024.x", True),
        ("latest", "*", False),
        ("1.0", "", True),
    ],
)
def test_range(tag: str, version_range: str, *, inside: bool) -> None:
    assert in_range(tag, version_range) is inside


@pytest.mark.parametrize("version_range", ["bogus", "^^1", "latest", "1.2.3.4"])
def test_a_range_that_cant_be_read_is_an_error_with_an_example(version_range: str) -> None:
    with pytest.raises(ValueError, match="not a range of versions such as"):
        check_range(version_range)


def test_natural_order_counts_numbers_as_numbers() -> None:
    tags = ["build-10", "build-9", "build-09", "build", "a1b2", "a1b10"]
    assert sorted(tags, key=natural_key) == [
        "a1b2",
        "a1b10",
        "build",
        "build-09",
        "build-9",
        "build-10",
    ]

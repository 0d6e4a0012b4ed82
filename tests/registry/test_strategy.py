"""Which way of looking is chosen under which circumstances, and what it is predicted to cost."""

from __future__ import annotations

import pytest

from watcher.core.account import DialectName, Strategy
from watcher.registry.quirks import PLAIN, Dialect, named
from watcher.registry.strategy import (
    MANY_REPOSITORIES,
    Circumstances,
    choose,
    forecast,
    seconds_between_walks,
    words_for,
)

AUTO, V2, NATIVE = Strategy.AUTO, Strategy.V2, Strategy.NATIVE
DIALECTS = (*(named(name) for name in DialectName), PLAIN)
HARBOR = "v2.15.2-abc"
MANY = MANY_REPOSITORIES + 1


def words(dialect: Dialect, given: Circumstances) -> str:
    return words_for(choose(dialect, given), dialect)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: str(dialect.name))
@pytest.mark.parametrize("wants_digests", [False, True])
@pytest.mark.parametrize("tags", [0, 50_000])
def test_v2_is_v2_everywhere(dialect: Dialect, wants_digests: bool, tags: int) -> None:
    given = Circumstances(V2, wants_digests, False, tags, 100, 1000, HARBOR)  # noqa: FBT003
    assert words(dialect, given) == "v2"


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        (DialectName.QUAY, Circumstances(), "v2"),
        (DialectName.QUAY, Circumstances(wants_digests=True), "native (Quay)"),
        (DialectName.QUAY, Circumstances(tags=101, page_size=100), "native (Quay)"),
        (DialectName.QUAY, Circumstances(tags=100, page_size=100), "v2"),
        (DialectName.QUAY, Circumstances(strategy=NATIVE), "native (Quay)"),
        (DialectName.QUAY, Circumstances(wants_digests=True, wants_deletions=True), "v2"),
        (DialectName.QUAY, Circumstances(strategy=NATIVE, wants_deletions=True), "v2"),
        (DialectName.DOCKER_HUB, Circumstances(wants_digests=True), "native (Docker Hub)"),
        (DialectName.DOCKER_HUB, Circumstances(tags=50_000, page_size=0), "v2"),
        (DialectName.GITLAB, Circumstances(wants_digests=True), "native (GitLab)"),
        (DialectName.ACR, Circumstances(tags=5000), "native (ACR)"),
        (DialectName.GHCR, Circumstances(wants_digests=True), "v2"),
        (DialectName.GHCR, Circumstances(tags=1001), "tail"),
        (DialectName.GHCR, Circumstances(tags=1001, wants_deletions=True), "v2"),
        (DialectName.GHCR, Circumstances(strategy=NATIVE), "v2"),
        (DialectName.GCR, Circumstances(), "v2"),
        (DialectName.GCR, Circumstances(wants_digests=True), "v2 with digests"),
        (DialectName.GCR, Circumstances(strategy=NATIVE), "v2 with digests"),
        (
            DialectName.ARTIFACT_REGISTRY,
            Circumstances(wants_digests=True, wants_deletions=True),
            "v2 with digests",
        ),
        (DialectName.ECR, Circumstances(strategy=NATIVE, wants_digests=True, tags=5000), "v2"),
        (DialectName.NEXUS, Circumstances(strategy=NATIVE, wants_digests=True), "v2"),
        (DialectName.HARBOR, Circumstances(watched=MANY), "v2"),
        (
            DialectName.HARBOR,
            Circumstances(watched=MANY, version=HARBOR),
            "native (Harbor's changed list)",
        ),
        (DialectName.HARBOR, Circumstances(watched=MANY, version="v2.15.1"), "v2"),
        (DialectName.HARBOR, Circumstances(watched=MANY - 1, version=HARBOR), "v2"),
        (
            DialectName.HARBOR,
            Circumstances(strategy=NATIVE, version=HARBOR),
            "native (Harbor's changed list)",
        ),
        (
            DialectName.HARBOR,
            Circumstances(watched=MANY, version=HARBOR, wants_deletions=True),
            "native (Harbor's changed list)",
        ),
    ],
)
def test_a_way_is_taken_where_it_saves_requests(
    name: DialectName, given: Circumstances, expected: str
) -> None:
    assert words(named(name), given) == expected


@pytest.mark.parametrize(
    ("name", "given", "requests", "tells_digests"),
    [
        (DialectName.ECR, Circumstances(tags=100), 1, False),
        (DialectName.ECR, Circumstances(tags=50_000), 50, False),
        (DialectName.GCR, Circumstances(tags=5000, wants_digests=True), 5, True),
        (DialectName.QUAY, Circumstances(tags=100, page_size=100, wants_digests=True), 1, True),
        (DialectName.QUAY, Circumstances(tags=50_000, page_size=100), 1 + 500 / 360, True),
        (DialectName.GHCR, Circumstances(tags=50_000), 1 + 50 / 360, False),
        (DialectName.HARBOR, Circumstances(watched=1000, version=HARBOR), 0.001, True),
    ],
)
def test_a_forecast_counts_the_requests_of_an_idle_look(
    name: DialectName, given: Circumstances, requests: float, tells_digests: bool
) -> None:
    found = forecast(named(name), given, 60.0)
    walk = given.pages / 360 if "v2" not in found.words else 0
    assert found.words == words(named(name), given)
    assert requests <= found.requests <= requests + walk + 1e-9
    assert found.tells_digests is tells_digests


@pytest.mark.parametrize(
    ("interval", "seconds"), [(5, 6 * 3600), (60, 6 * 3600), (900, 6 * 3600), (3600, 24 * 3600)]
)
def test_a_complete_walk_comes_after_24_looks_or_six_hours(interval: float, seconds: float) -> None:
    assert seconds_between_walks(interval) == seconds

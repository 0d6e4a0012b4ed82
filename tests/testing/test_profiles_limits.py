"""The kinds of registry, as the fake plays them: quotas, and how each says that one is used up."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from tests.testing.playing import MANIFEST, SCOPE, TAGS, WEB, Clock, played, token
from watcher.testing.limits import RateLimit, Telling, go_duration
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind

START = 1_700_000_000.0
HUB = "/v2/namespaces/acme/repositories/web/tags"


async def test_no_quota_is_in_force_unless_a_test_asks_for_one() -> None:
    for name in PROFILES:
        async with played(name) as (registry, _):
            assert registry.limits == ()


async def test_docker_hub_counts_gets_of_manifests_and_tells_what_is_left() -> None:
    clock = Clock(START)
    limits = RateLimit(requests=2, per=21_600)
    async with played("docker-hub", clock=clock, limits=limits) as (registry, client):
        headers = await token(client, SCOPE, user=None)
        head = await client.head(MANIFEST, headers=headers)
        assert head.headers["ratelimit-limit"] == "2;w=21600"
        assert head.headers["ratelimit-remaining"] == "2;w=21600"
        first = await client.get(MANIFEST, headers=headers)
        assert first.headers["ratelimit-remaining"] == "1;w=21600"
        assert (await client.get(MANIFEST, headers=headers)).status_code == 200
        refused = await client.get(MANIFEST, headers=headers)
        assert refused.status_code == 429
        assert refused.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
        assert refused.headers["ratelimit-remaining"] == "0;w=21600"
        assert (await client.head(MANIFEST, headers=headers)).status_code == 429
        tags = await client.get(TAGS, headers=headers)
        assert (tags.status_code, "ratelimit-limit" in tags.headers) == (200, False)
        clock.now += 21_600
        headers = await token(client, SCOPE, user=None)
        assert (await client.get(MANIFEST, headers=headers)).status_code == 200
        assert registry.count(Kind.MANIFEST) == 6


async def test_docker_hubs_api_has_a_quota_of_its_own() -> None:
    limits = RateLimit(requests=1, per=60, kinds=frozenset({Kind.NATIVE}))
    async with played("docker-hub", clock=Clock(START), limits=limits) as (_, client):
        first = await client.get(HUB)
        assert first.headers["X-RateLimit-Limit"] == "1"
        assert first.headers["X-RateLimit-Remaining"] == "0"
        assert first.headers["X-RateLimit-Reset"] == str(int(START) + 60)
        refused = await client.get(HUB)
        assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (429, "0")
        assert "Retry-After" not in refused.headers


async def test_two_quotas_may_be_in_force_together() -> None:
    limits = [
        RateLimit(requests=1, kinds=frozenset({Kind.NATIVE})),
        RateLimit(requests=1, kinds=frozenset({Kind.MANIFEST})),
    ]
    async with played("docker-hub", limits=limits) as (_, client):
        headers = await token(client, SCOPE, user=None)
        statuses = [
            (await client.get(path, headers=sent)).status_code
            for path, sent in [(HUB, {}), (MANIFEST, headers), (HUB, {}), (MANIFEST, headers)]
        ]
        assert statuses == [200, 200, 429, 429]


async def test_ghcr_says_it_in_a_message_only() -> None:
    clock = Clock(START)
    async with played("ghcr", clock=clock) as (registry, client):
        headers = await token(client, SCOPE, user=None)
        registry.limits = [RateLimit(requests=1, per=0.5)]
        assert (await client.get(TAGS, headers=headers)).status_code == 200
        clock.now += 0.25
        refused = await client.get(TAGS, headers=headers)
        assert (refused.status_code, "Retry-After" in refused.headers) == (429, False)
        message = refused.json()["errors"][0]["message"]
        assert message == "retry-after: 250ms, allowed: 120/minute"


@pytest.mark.parametrize("name", ["quay", "ecr"])
async def test_some_say_nothing_of_when(name: str) -> None:
    async with played(name) as (registry, client):
        headers = {} if name == "ecr" else await token(client, SCOPE, user=None)
        registry.limits = [RateLimit(requests=1)]
        await client.get(TAGS, headers=headers)
        refused = await client.get(TAGS, headers=headers)
        assert (refused.status_code, "Retry-After" in refused.headers) == (429, False)


async def test_others_say_it_in_seconds_or_as_a_date() -> None:
    clock = Clock(START)
    async with played("acr", clock=clock, limits=RateLimit(requests=1, per=30)) as (_, client):
        await client.get("/v2/")
        assert (await client.get("/v2/")).headers["Retry-After"] == "30"
    async with played("artifactory", clock=clock, limits=RateLimit(requests=1, per=30)) as it:
        await it[1].get("/v2/")
        after = (await it[1].get("/v2/")).headers["Retry-After"]
        assert parsedate_to_datetime(after).timestamp() == START + 30


async def test_a_quota_may_be_told_otherwise_than_the_kind_does_and_for_other_kinds() -> None:
    limit = RateLimit(
        requests=1, kinds=frozenset({Kind.TAGS}), telling=Telling.SECONDS, counts=frozenset({"GET"})
    )
    async with played("quay", limits=limit) as (registry, client):
        headers = await token(client, SCOPE, user=None)
        assert (await client.head(TAGS, headers=headers)).status_code == 200
        assert (await client.get(TAGS, headers=headers)).status_code == 200
        refused = await client.get(TAGS, headers=headers)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
        assert (await client.get(MANIFEST, headers=headers)).status_code == 200
        assert registry.count(Kind.TAGS, WEB) == 3
        assert registry.counters.statuses[429] == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.000880092, "880.092µs"),
        (0.0125, "12.5ms"),
        (1.5, "1.5s"),
        (90, "1m30s"),
        (3600, "1h0m0s"),
        (3723.25, "1h2m3.25s"),
    ],
)
def test_a_duration_is_written_as_go_does(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text

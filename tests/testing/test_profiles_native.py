"""The kinds of registry, as the fake plays them: their own APIs, which tell what changed."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from tests.testing.playing import (
    METADATA_SCOPE,
    SCOPE,
    TAGS,
    USERS,
    WEB,
    Clock,
    bearer,
    challenge,
    following,
    played,
    raw,
    status,
    token,
)
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind

START = 1_700_000_000.25
USER = ("acme", "secret")
QUAY = f"/api/v1/repository/{WEB}/tag/?onlyActiveTags=true"
HUB = "/v2/namespaces/acme/repositories/web/tags"
GITLAB = f"/gitlab/v1/repositories/{WEB}/tags/list/"
ACR = f"/acr/v1/{WEB}/_tags"
OAUTH = {"$oauthtoken": "oauth", "acme+robot": "robot"}
NEWEST = {
    "quay": f"{QUAY}&limit=100&page=1",
    "docker-hub": f"{HUB}?page_size=100&ordering=last_updated",
    "gitlab": f"{GITLAB}?sort=-published_at&n=100",
    "acr": f"{ACR}?orderby=timedesc&n=100",
}


async def access(name: str, client: httpx.AsyncClient) -> dict[str, str]:
    """What a stranger sends to the native API, where there are no users."""
    if name in ("gitlab", "acr"):
        return await token(client, METADATA_SCOPE if name == "acr" else SCOPE, user=None)
    return {}


def tags_of(document: Any) -> list[dict[str, Any]]:
    listed = document if isinstance(document, list) else document.get("tags")
    return list(listed or document["results"])


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [tag["name"] for tag in tags_of(answer.json())]


@pytest.mark.parametrize("name", NEWEST)
async def test_the_newest_tag_comes_first_also_when_it_was_moved(name: str) -> None:
    clock = Clock(START)
    async with played(name, "a", "b", "c", clock=clock) as (registry, client):
        headers = await access(name, client)
        assert names(await client.get(NEWEST[name], headers=headers)) == ["c", "b", "a"]
        clock.now += 10
        registry.move(WEB, "a")
        clock.now += 10
        registry.push(WEB, "d")
        registry.delete_tag(WEB, "c")
        answer = await client.get(NEWEST[name], headers=headers)
        assert names(answer) == ["d", "a", "b"]
        key = "manifest_digest" if name == "quay" else "digest"
        for tag in tags_of(answer.json()):
            manifest = registry.manifest(WEB, tag["name"])
            assert manifest is not None
            assert tag[key] == manifest.digest


@pytest.mark.parametrize("name", NEWEST)
async def test_native_requests_are_counted_and_faults_can_name_them(name: str) -> None:
    async with played(name) as (registry, client):
        headers = await access(name, client)
        registry.fault(Fault(match=Match(kind=Kind.NATIVE), times=1, action=Respond(503)))
        assert await status(client, NEWEST[name], headers=headers) == 503
        assert await status(client, NEWEST[name], headers=headers) == 200
        assert registry.count(Kind.NATIVE, WEB) == 2
        assert registry.count(Kind.TAGS) == 0


@pytest.mark.parametrize("name", NEWEST)
async def test_a_native_answer_for_a_repository_that_is_not_there(name: str) -> None:
    async with played(name) as (_, client):
        scope = "repository:acme/gone:pull,metadata_read" if name == "acr" else None
        headers = await access(name, client)
        if name in ("acr", "gitlab"):
            headers = await token(client, scope or "repository:acme/gone:pull", user=None)
        path = NEWEST[name].replace("acme/web", "acme/gone").replace("/web/", "/gone/")
        assert await status(client, path, headers=headers) == 404


@pytest.mark.parametrize("name", sorted(set(PROFILES) - {"quay"}))
async def test_another_kind_knows_nothing_of_quays_api(name: str) -> None:
    async with played(name) as (_, client):
        assert await status(client, "/health/instance") == 404


async def test_quays_tags_have_seconds_and_pages_of_at_most_a_hundred() -> None:
    tags = [f"1.{number}" for number in range(120)]
    async with played("quay", *tags, clock=Clock(START)) as (registry, client):
        registry.push(WEB, "index", platforms=["linux/amd64"])
        first = (await client.get(f"{QUAY}&limit=1000&page=1")).json()
        assert (len(first["tags"]), first["page"], first["has_additional"]) == (100, 1, True)
        second = (await client.get(f"{QUAY}&limit=100&page=2")).json()
        assert (len(second["tags"]), second["page"], second["has_additional"]) == (21, 2, False)
        assert len((await client.get(QUAY)).json()["tags"]) == 50
        assert first["tags"][0] == {
            "name": "index",
            "reversion": False,
            "start_ts": 1_700_000_000,
            "manifest_digest": first["tags"][0]["manifest_digest"],
            "is_manifest_list": True,
            "size": first["tags"][0]["size"],
            "last_modified": "Tue, 14 Nov 2023 22:13:20 -0000",
        }
        one = (await client.get(f"{QUAY}&specificTag=1.7")).json()
        assert [tag["name"] for tag in one["tags"]] == ["1.7"]


@pytest.mark.parametrize(
    ("repository", "how", "expected"),
    [
        pytest.param(WEB, {"headers": bearer("oauth")}, 200, id="oauth-token"),
        pytest.param(WEB, {}, 401, id="nobody"),
        pytest.param("acme/open", {}, 200, id="nobody-public"),
        pytest.param(WEB, {"auth": ("acme+robot", "robot")}, 401, id="robot"),
        pytest.param("acme/open", {"auth": ("acme+robot", "robot")}, 401, id="robot-public"),
        pytest.param(WEB, {"headers": bearer("robot")}, 401, id="robot-as-token"),
        pytest.param("acme/gone", {"headers": bearer("oauth")}, 404, id="missing"),
    ],
)
async def test_quays_api_takes_oauth_tokens_and_no_robots(
    repository: str, how: dict[str, Any], expected: int
) -> None:
    async with played("quay", users=OAUTH, public=["acme/open"]) as (registry, client):
        registry.push("acme/open", "1.0")
        answer = await client.get(f"/api/v1/repository/{repository}/tag/", **how)
        assert answer.status_code == expected
        if expected == 401:
            assert answer.json()["error_type"] == "invalid_token"


async def test_quays_api_takes_no_token_of_its_v2_api() -> None:
    async with played("quay", users=OAUTH) as (_, client):
        headers = await token(client, SCOPE, user=("acme+robot", "robot"))
        assert await status(client, TAGS, headers=headers) == 200
        assert await status(client, QUAY, headers=headers) == 401


async def test_quay_tells_its_health() -> None:
    async with played("quay", users=OAUTH) as (registry, client):
        answer = await client.get("/health/instance")
        assert answer.json()["status_code"] == 200
        assert answer.json()["data"]["services"]["registry_gunicorn"] is True
        assert registry.count(Kind.PROBE) == 1


async def test_docker_hubs_pages_are_capped_and_linked_from_the_body() -> None:
    tags = [f"1.{number}" for number in range(120)]
    async with played("docker-hub", *tags, clock=Clock(START)) as (registry, client):
        first = (await client.get(f"{HUB}?page_size=1000&ordering=last_updated")).json()
        assert (first["count"], len(first["results"]), first["previous"]) == (120, 100, None)
        assert first["next"].startswith(f"{registry.url}{HUB}?")
        second = (await client.get(first["next"])).json()
        assert (len(second["results"]), second["next"]) == (20, None)
        assert second["results"][-1]["name"] == "1.0"
        newest = first["results"][0]
        assert newest["last_updated"] == "2023-11-14T22:13:20.250000Z"
        assert len({tag["id"] for tag in first["results"]}) == 100
        assert len((await client.get(HUB)).json()["results"]) == 10
        assert await status(client, f"{HUB}?page_size=100&page=3") == 404
        oldest = await client.get(f"{HUB}?ordering=-last_updated")
        assert names(oldest)[0] == "1.0"


async def test_docker_hubs_api_has_a_login_of_its_own() -> None:
    users = {"acme": "dckr_pat_1"}
    async with played("docker-hub", users=users, public=["acme/open"]) as (registry, client):
        registry.push("acme/open", "1.0")
        assert await status(client, HUB.replace("web", "open")) == 200
        assert await status(client, HUB) == 404
        right = {"identifier": "acme", "secret": "dckr_pat_1"}
        wrong = await client.post("/v2/auth/token", json=right | {"secret": "other"})
        assert wrong.status_code == 401
        answer = await client.post("/v2/auth/token", json=right)
        headers = bearer(answer.json()["access_token"])
        assert await status(client, HUB, headers=headers) == 200
        assert await status(client, TAGS, headers=headers) == 401
        pulling = await token(client, SCOPE, user=("acme", "dckr_pat_1"))
        assert await status(client, HUB, headers=pulling) == 401
        assert registry.count(Kind.LOGIN) == 2
        assert "dckr_pat_1" not in str(registry.requests_of(Kind.LOGIN))


async def test_docker_hubs_login_wants_json() -> None:
    async with played("docker-hub", users=USERS) as (_, client):
        assert (await client.post("/v2/auth/token", content=b"{")).status_code == 400
        assert (await client.get("/v2/auth/token")).status_code == 405


async def test_gitlab_lists_by_time_of_publishing_with_the_previous_page_first() -> None:
    clock = Clock(START)
    async with played("gitlab", "a", "b", "c", "d", clock=clock) as (registry, client):
        headers = await access("gitlab", client)
        clock.now += 60
        registry.move(WEB, "a")
        path = f"{GITLAB}?sort=-published_at&n=2"
        first = await raw(registry, path, headers=headers)
        assert names(first) == ["a", "d"]
        assert first.json()[0]["published_at"] == "2023-11-14T22:14:20.250+00:00"
        assert first.json()[0]["created_at"] == "2023-11-14T22:13:20.250+00:00"
        assert "updated_at" not in first.json()[1]
        target = following(first)
        last = httpx.URL(target).params["last"]
        assert base64.b64decode(last).decode() == "2023-11-14T22:13:20.250000Z|d"
        second = await raw(registry, target, headers=headers)
        assert (names(second), following(second)) == (["c", "b"], "")
        assert second.headers["Link"].endswith('rel="previous"')
        one = await raw(registry, f"{GITLAB}?sort=-published_at&n=1", headers=headers)
        two = await raw(registry, following(one), headers=headers)
        previous, following_one = two.headers["Link"].split(", ")
        assert 'rel="previous"' in previous
        assert 'rel="next"' in following_one
        back = previous.removeprefix("<").partition(">")[0]
        assert names(await raw(registry, back, headers=headers)) == ["a"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [("?sort=name", ["a", "b"]), ("?sort=-name", ["b", "a"]), ("?sort=published_at", ["b", "a"])],
)
async def test_gitlab_lists_in_other_orders_too(query: str, expected: list[str]) -> None:
    async with played("gitlab", "b", "a", clock=Clock(START)) as (_, client):
        headers = await access("gitlab", client)
        assert names(await client.get(f"{GITLAB}{query}", headers=headers)) == expected


@pytest.mark.parametrize("query", ["?n=1001", "?n=0", "?n=many", "?sort=size", "?last=bm8="])
async def test_gitlab_refuses_what_it_does_not_know(query: str) -> None:
    async with played("gitlab") as (_, client):
        headers = await access("gitlab", client)
        assert await status(client, f"{GITLAB}{query}", headers=headers) == 400


async def test_gitlabs_own_api_takes_the_token_of_v2_and_says_its_version() -> None:
    async with played("gitlab", users=USERS) as (registry, client):
        assert f'scope="{SCOPE}"' in await challenge(client, GITLAB)
        assert (await challenge(client, "/gitlab/v1/")).startswith("Bearer ")
        headers = await token(client, SCOPE)
        assert await status(client, GITLAB, headers=headers) == 200
        root = await client.get("/gitlab/v1/", headers=headers)
        assert root.headers["Gitlab-Container-Registry-Version"] == "4.15.2-gitlab"
        assert registry.count(Kind.PROBE) == 2


async def test_acrs_own_api_wants_metadata_read_or_user_and_password() -> None:
    async with played("acr", users=USERS) as (_, client):
        assert f'scope="{METADATA_SCOPE}"' in await challenge(client, ACR)
        assert await status(client, ACR, headers=await token(client, SCOPE)) == 401
        assert await status(client, ACR, headers=await token(client, METADATA_SCOPE)) == 200
        assert await status(client, ACR, auth=USER) == 200


async def test_acrs_cursor_has_an_escaped_ampersand_and_is_followed_as_it_came() -> None:
    async with played("acr", "b", "a", "c", users=USERS, clock=Clock(START)) as (registry, _):
        sent: Any = {"auth": USER}
        first = await raw(registry, f"{ACR}?orderby=timedesc&n=2", **sent)
        assert names(first) == ["c", "a"]
        assert (first.json()["registry"], first.json()["imageName"]) == (registry.address, WEB)
        assert first.json()["tags"][0]["lastUpdateTime"] == "2023-11-14T22:13:20.2500000Z"
        target = following(first)
        assert target.startswith(f"{ACR}?last=")
        assert target.endswith("%26a&n=2&orderby=timedesc")
        second = await raw(registry, target, **sent)
        assert (names(second), following(second)) == (["b"], "")
        broken = await raw(registry, target.replace("%26", "&"), **sent)
        assert broken.status_code == 400
        assert names(await raw(registry, ACR, **sent)) == ["a", "b", "c"]
        assert names(await raw(registry, f"{ACR}?orderby=timeasc", **sent)) == ["b", "a", "c"]


async def test_seeded_tags_have_times_too_and_later_ones_stand_before_them() -> None:
    clock = Clock(START)
    async with played("quay", clock=clock) as (registry, client):
        registry.seed([WEB], ["1", "2", "3"])
        assert names(await client.get(QUAY)) == ["3", "2", "1"]
        registry.push(WEB, "4")
        registry.move(WEB, "1")
        assert names(await client.get(QUAY)) == ["1", "4", "3", "2"]

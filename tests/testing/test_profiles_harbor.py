"""Harbor, as the fake plays it: which repositories changed, for whom, and what version it is."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.testing.playing import USERS, WEB, Clock, following, played
from watcher.testing.records import Kind

START = 1_700_000_000.25
USER = ("acme", "secret")
HARBOR = "/api/v2.0/repositories"


async def changed(client: httpx.AsyncClient, query: str = "?sort=-update_time") -> list[str]:
    answer = await client.get(f"{HARBOR}{query}", auth=USER)
    return [repository["name"] for repository in answer.json()]


async def test_harbor_tells_which_repositories_changed_last() -> None:
    clock = Clock(START)
    async with played("harbor", users=USERS, clock=clock) as (registry, client):
        for name in ("acme/b", "acme/c"):
            clock.now += 1
            registry.push(name, "1.0")
        assert await changed(client) == ["acme/c", "acme/b", WEB]
        clock.now += 1
        registry.move(WEB, "1.0")
        assert (await changed(client))[0] == WEB
        clock.now += 1
        registry.delete_tag("acme/b", "1.0")
        assert (await changed(client))[0] == "acme/b"
        answer = await client.get(f"{HARBOR}?sort=-update_time&page_size=2&page=1", auth=USER)
        assert answer.headers["X-Total-Count"] == "3"
        assert following(answer) == f"{HARBOR}?page=2&page_size=2&sort=-update_time"
        assert answer.json()[0] == {
            "id": answer.json()[0]["id"],
            "project_id": answer.json()[0]["project_id"],
            "name": "acme/b",
            "artifact_count": 1,
            "pull_count": 0,
            "creation_time": "2023-11-14T22:13:21.250Z",
            "update_time": "2023-11-14T22:13:24.250Z",
        }


async def test_an_older_harbor_does_not_note_that_a_tag_moved() -> None:
    clock = Clock(START)
    async with played("harbor", users=USERS, clock=clock, version="v2.15.1-abc") as it:
        registry, client = it
        clock.now += 1
        registry.push("acme/b", "1.0")
        clock.now += 1
        registry.move(WEB, "1.0")
        assert await changed(client) == ["acme/b", WEB]


@pytest.mark.parametrize(
    ("how", "expected", "listed"),
    [
        pytest.param({"auth": USER}, 200, [WEB, "acme/open"], id="administrator"),
        pytest.param({"auth": ("robot$ci", "pw")}, 403, None, id="robot-without-the-right"),
        pytest.param({"auth": ("acme", "wrong")}, 401, None, id="wrong-password"),
        pytest.param({}, 200, ["acme/open"], id="nobody-sees-what-is-public"),
        pytest.param({"auth": USER, "params": {"page_size": 101}}, 422, None, id="page-too-large"),
        pytest.param({"auth": USER, "params": {"sort": "size"}}, 400, None, id="unknown-order"),
    ],
)
async def test_harbors_api_is_for_those_with_the_right(
    how: dict[str, Any], expected: int, listed: list[str] | None
) -> None:
    users = USERS | {"robot$ci": "pw"}
    async with played("harbor", users=users, admins=["acme"], public=["acme/open"]) as it:
        registry, client = it
        registry.push("acme/open", "1.0")
        answer = await client.get(HARBOR, **how)
        assert answer.status_code == expected
        if listed is not None:
            assert sorted(one["name"] for one in answer.json()) == sorted(listed)


@pytest.mark.parametrize(
    ("version", "how", "told"),
    [
        pytest.param("v2.15.2-abc", {"auth": USER}, "v2.15.2-abc", id="to-a-user"),
        pytest.param("v2.15.2-abc", {}, None, id="to-nobody"),
        pytest.param("v2.12.2-abc", {}, "v2.12.2-abc", id="to-everyone-before-2.13"),
    ],
)
async def test_harbor_tells_its_version_in_systeminfo(
    version: str, how: dict[str, Any], told: str | None
) -> None:
    async with played("harbor", users=USERS, version=version) as (registry, client):
        document = (await client.get("/api/v2.0/systeminfo", **how)).json()
        assert document["auth_mode"] == "db_auth"
        assert document.get("harbor_version") == told
        assert registry.count(Kind.PROBE) == 1

"""The kinds of registry, as the fake plays them: who may read, and how one logs in."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from tests.testing.playing import (
    CATALOG_SCOPE,
    MANIFEST,
    METADATA_SCOPE,
    SCOPE,
    TAGS,
    USERS,
    WEB,
    asked,
    bearer,
    challenge,
    encoded,
    played,
    status,
    token,
)
from watcher.testing.access import BasicAuth
from watcher.testing.profiles import ACR_TOKEN_USER, PROFILES
from watcher.testing.records import Kind

BASIC_ONLY = ("distribution-2.8", "ecr")
FULL = dict.fromkeys(PROFILES, SCOPE) | {"acr": f"{SCOPE},metadata_read"}
USER = ("acme", "secret")


@pytest.mark.parametrize("name", PROFILES)
async def test_without_users_everyone_reads_a_registry_as_its_kind_lets_strangers(
    name: str,
) -> None:
    async with played(name) as (_, client):
        headers = {} if name in BASIC_ONLY else await token(client, FULL[name], user=None)
        answer = await client.get(TAGS, headers=headers)
        assert (answer.status_code, answer.json()["name"]) == (200, WEB)
        assert "1.0" in answer.json()["tags"]


async def test_quays_catalog_is_empty_for_those_who_did_not_log_in() -> None:
    async with played("quay", users=USERS) as (_, client):
        catalog = "/v2/_catalog"
        assert (await client.get(catalog)).json() == {"repositories": []}
        stranger = await token(client, user=None)
        assert (await client.get(catalog, headers=stranger)).json() == {"repositories": []}
        headers = await token(client)
        assert (await client.get(catalog, headers=headers)).json() == {"repositories": [WEB]}


@pytest.mark.parametrize("name", ["docker-hub", "quay"])
async def test_a_repository_that_does_not_exist_is_refused_with_401(name: str) -> None:
    async with played(name, users=USERS) as (_, client):
        headers = await token(client, "repository:acme/missing:pull")
        assert await status(client, "/v2/acme/missing/tags/list", headers=headers) == 401


@pytest.mark.parametrize("name", ["docker-hub", "gcr", "quay", "harbor", "gitlab", "ecr-public"])
async def test_strangers_read_what_is_public_and_nothing_else(name: str) -> None:
    async with played(name, users=USERS, public=["acme/open"]) as (registry, client):
        registry.push("acme/open", "1.0")
        headers = await token(client, "repository:acme/open:pull", user=None)
        assert await status(client, "/v2/acme/open/tags/list", headers=headers) == 200
        headers = await token(client, SCOPE, user=None)
        assert await status(client, headers=headers) == 401


@pytest.mark.parametrize("name", ["acr", "artifactory", "nexus", "distribution-3"])
async def test_some_kinds_give_strangers_no_token(name: str) -> None:
    async with played(name, users=USERS, public=[WEB]) as (_, client):
        assert (await asked(client, SCOPE, user=None)).status_code == 401


@pytest.mark.parametrize(
    ("repository", "user", "expected"),
    [
        pytest.param("acme/open", None, 200, id="public"),
        pytest.param(WEB, None, 403, id="private"),
        pytest.param("acme/missing", None, 403, id="missing"),
        pytest.param(WEB, USER, 200, id="own"),
        pytest.param("acme/missing", USER, 403, id="missing-for-a-user"),
    ],
)
async def test_ghcr_refuses_at_its_token_server(
    repository: str, user: tuple[str, str] | None, expected: int
) -> None:
    async with played("ghcr", users=USERS, public=["acme/open"]) as (registry, client):
        registry.push("acme/open", "1.0")
        answer = await asked(client, f"repository:{repository}:pull", user=user)
        assert answer.status_code == expected
        if expected == 403:
            assert answer.json()["errors"][0]["code"] == "DENIED"


async def test_ghcr_takes_an_encoded_password_for_a_token() -> None:
    async with played("ghcr", users=USERS) as (registry, client):
        headers = bearer(encoded("secret"))
        assert await status(client, headers=headers) == 200
        assert await status(client, MANIFEST, headers=headers) == 200
        assert await status(client, headers=bearer("secret")) == 401
        assert await status(client, headers=bearer(encoded("wrong"))) == 401
        assert registry.count(Kind.TOKEN) == 0


@pytest.mark.parametrize("name", ["gcr", "artifact-registry"])
async def test_google_takes_an_access_token_directly(name: str) -> None:
    users = {"oauth2accesstoken": "ya29.token"}
    async with played(name, users=users) as (_, client):
        assert await status(client, headers=bearer("ya29.token")) == 200
        assert await status(client, headers=bearer("ya29.old")) == 401


@pytest.mark.parametrize("name", ["gcr", "acr", "harbor", "artifactory", "nexus", *BASIC_ONLY])
async def test_some_kinds_take_user_and_password_directly(name: str) -> None:
    async with played(name, users=USERS) as (registry, client):
        assert await status(client, auth=USER) == 200
        assert await status(client, auth=("acme", "wrong")) == 401
        assert registry.count(Kind.TOKEN) == 0


@pytest.mark.parametrize("name", ["docker-hub", "quay", "gitlab", "ghcr", "ecr-public"])
async def test_others_want_a_token(name: str) -> None:
    async with played(name, users=USERS) as (_, client):
        assert (await challenge(client, auth=USER)).startswith("Bearer ")


async def test_acr_wants_metadata_read_for_lists_and_pull_for_manifests() -> None:
    async with played("acr", users=USERS) as (_, client):
        pull, metadata = await token(client, SCOPE), await token(client, METADATA_SCOPE)
        assert await status(client, MANIFEST, headers=pull) == 200
        assert await status(client, headers=pull) == 401
        assert await status(client, headers=metadata) == 200
        assert await status(client, MANIFEST, headers=metadata) == 401


async def test_acrs_refresh_token_is_for_its_token_server_only() -> None:
    user = (ACR_TOKEN_USER, "refresh")
    async with played("acr", users=dict([user])) as (_, client):
        assert await status(client, auth=user) == 401
        assert await status(client, headers=await token(client, METADATA_SCOPE, user=user)) == 200
        form = {"grant_type": "refresh_token", "refresh_token": "refresh", "scope": METADATA_SCOPE}
        answer = await client.post("/oauth2/token", data=form)
        assert await status(client, headers=bearer(answer.json()["access_token"])) == 200
        wrong = await client.post("/oauth2/token", data=form | {"refresh_token": "other"})
        assert wrong.status_code == 401


async def test_harbor_challenges_for_basic_whoever_sent_an_authorization() -> None:
    async with played("harbor", users=USERS) as (_, client):
        assert await challenge(client, headers=bearer("old")) == 'Basic realm="harbor"'
        assert await challenge(client, auth=("acme", "wrong")) == 'Basic realm="harbor"'
        assert (await challenge(client)).startswith("Bearer ")


async def test_harbors_catalog_opens_to_basic_of_an_administrator_only() -> None:
    users = USERS | {"robot$web": "secret-of-robot"}
    async with played("harbor", users=users, admins=["acme"]) as (_, client):
        catalog = "/v2/_catalog"
        assert await challenge(client, catalog) == 'Basic realm="harbor"'
        headers = await token(client, CATALOG_SCOPE)
        assert await status(client, catalog, headers=headers) == 401
        assert await status(client, catalog, auth=USER) == 200
        assert await status(client, catalog, auth=("robot$web", "secret-of-robot")) == 401


@pytest.mark.parametrize(
    ("name", "expected"),
    [("docker-hub", 401), ("gitlab", 401), ("ghcr", 404), ("ecr-public", 404), ("acr", 200)],
)
async def test_the_catalog_is_closed_missing_or_open(name: str, expected: int) -> None:
    async with played(name, users=USERS) as (_, client):
        headers = await token(client, CATALOG_SCOPE)
        assert await status(client, "/v2/_catalog", headers=headers) == expected


async def test_gitlabs_catalog_opens_to_administrators() -> None:
    async with played("gitlab", users=USERS, admins=["acme"]) as (_, client):
        headers = await token(client, CATALOG_SCOPE)
        assert await status(client, "/v2/_catalog", headers=headers) == 200


@pytest.mark.parametrize("expected", [403, 400])
async def test_ecrs_password_ends_without_a_challenge_and_the_new_one_is_accepted(
    expected: int,
) -> None:
    async with played("ecr", users={"AWS": "monday"}) as (registry, client):
        assert isinstance(registry.auth, BasicAuth)
        registry.auth = replace(registry.auth, expired_status=expected)
        assert await status(client, auth=("AWS", "monday")) == 200
        registry.rotate_password("AWS", "tuesday")
        old = await client.get(TAGS, auth=("AWS", "monday"))
        assert (old.status_code, "WWW-Authenticate" in old.headers) == (expected, False)
        assert "has expired" in old.text
        assert await status(client, auth=("AWS", "tuesday")) == 200
        assert await status(client, auth=("AWS", "never")) == 401


@pytest.mark.parametrize(
    "user",
    [
        pytest.param(("robot$web+ci", "pw:with:colons"), id="harbor-robot"),
        pytest.param(("acme+robot", "pw"), id="quay-robot"),
        pytest.param(("_json_key", '{\n  "type": "service_account",\n  "key": "ü"\n}\n'), id="key"),
        pytest.param(("$oauthtoken", "pw"), id="oauth"),
    ],
)
@pytest.mark.parametrize("name", ["harbor", "gcr", "quay", "ecr"])
async def test_odd_names_and_passwords_of_many_lines_work(name: str, user: tuple[str, str]) -> None:
    async with played(name, users=dict([user])) as (_, client):
        if name == "ecr":
            assert await status(client, auth=httpx.BasicAuth(*user)) == 200
        else:
            assert await status(client, headers=await token(client, SCOPE, user=user)) == 200


async def test_artifactory_and_nexus_say_on_every_answer_what_they_are() -> None:
    async with played("artifactory", users=USERS, version="7.90.1") as (_, client):
        answer = await client.get("/v2/")
        assert answer.headers["X-JFrog-Version"] == "Artifactory/7.90.1"
        assert "X-Artifactory-Id" in answer.headers
    async with played("nexus", users=USERS) as (_, client):
        assert (await client.get("/v2/")).headers["Server"] == "Nexus/3.64.0-04 (OSS)"


async def test_an_own_way_to_log_in_takes_the_place_of_the_profiles() -> None:
    auth = BasicAuth(users=USERS, denied=frozenset({WEB}))
    async with played("quay", auth=auth) as (_, client):
        assert await status(client, auth=USER) == 403

"""The kinds of registry, as the fake plays them: their challenges, and the tokens they give."""

from __future__ import annotations

import base64
import json

import pytest

from tests.testing.playing import (
    CATALOG_SCOPE,
    MANIFEST,
    METADATA_SCOPE,
    SCOPE,
    USERS,
    WEB,
    Clock,
    asked,
    challenge,
    played,
    status,
    token,
)
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind

BEARER = sorted(set(PROFILES) - {"distribution-2.8", "ecr"})
FULL = dict.fromkeys(PROFILES, SCOPE) | {"acr": f"{SCOPE},metadata_read"}


def test_there_are_fourteen_kinds() -> None:
    assert len(PROFILES) == 14
    assert all(name == profile.name for name, profile in PROFILES.items())


@pytest.mark.parametrize(
    ("name", "ping", "tags"),
    [
        ("distribution-2.8", 'Basic realm="Registry Realm"', 'Basic realm="Registry Realm"'),
        (
            "distribution-3",
            'Bearer realm="{url}/token",service="registry"',
            'Bearer realm="{url}/token",service="registry",scope="{scope}"',
        ),
        (
            "docker-hub",
            'Bearer realm="{url}/token",service="registry.docker.io"',
            'Bearer realm="{url}/token",service="registry.docker.io",scope="{scope}"',
        ),
        (
            "gcr",
            'Bearer realm="{url}/v2/token",service="{host}"',
            'Bearer realm="{url}/v2/token",service="{host}",scope="{scope}"',
        ),
        (
            "artifact-registry",
            'Bearer realm="{url}/v2/token"',
            'Bearer realm="{url}/v2/token"',
        ),
        (
            "ecr",
            'Basic realm="{url}/",service="ecr.amazonaws.com"',
            'Basic realm="{url}/",service="ecr.amazonaws.com"',
        ),
        (
            "ecr-public",
            'Bearer realm="{url}/token/",service="{host}",scope="aws"',
            'Bearer realm="{url}/token/",service="{host}",scope="aws"',
        ),
        (
            "quay",
            'Bearer realm="{url}/v2/auth",service="{host}"',
            'Bearer realm="{url}/v2/auth",service="{host}",scope="{scope}"',
        ),
        (
            "ghcr",
            'Bearer realm="{url}/token",service="ghcr.io",scope="repository:user/image:pull"',
            'Bearer realm="{url}/token",service="ghcr.io",scope="{scope}"',
        ),
        (
            "acr",
            'Bearer realm="{url}/oauth2/token",service="{host}"',
            'Bearer realm="{url}/oauth2/token",service="{host}",'
            f'scope="repository:{WEB}:metadata_read"',
        ),
        (
            "harbor",
            'Bearer realm="{url}/service/token",service="harbor-registry"',
            'Bearer realm="{url}/service/token",service="harbor-registry",scope="{scope}"',
        ),
        (
            "gitlab",
            'Bearer realm="{url}/jwt/auth",service="container_registry"',
            'Bearer realm="{url}/jwt/auth",service="container_registry",scope="{scope}"',
        ),
        (
            "artifactory",
            'Bearer realm="{url}/v2/token",service="{host}"',
            'Bearer realm="{url}/v2/token",service="{host}"',
        ),
        (
            "nexus",
            'Bearer realm="{url}/v2/token",service="{url}/v2/token"',
            'Bearer realm="{url}/v2/token",service="{url}/v2/token"',
        ),
    ],
)
async def test_each_kind_writes_its_challenge(name: str, ping: str, tags: str) -> None:
    async with played(name, users=USERS) as (registry, client):
        words = {"url": registry.url, "host": registry.address, "scope": SCOPE}
        assert await challenge(client, "/v2/") == ping.format(**words)
        assert await challenge(client) == tags.format(**words)


@pytest.mark.parametrize("name", BEARER)
async def test_a_token_for_the_scope_opens_the_list_and_the_manifest(name: str) -> None:
    async with played(name, users=USERS) as (_, client):
        headers = await token(client, FULL[name])
        assert await status(client, headers=headers) == 200
        assert await status(client, MANIFEST, headers=headers) == 200


@pytest.mark.parametrize("name", BEARER)
async def test_a_wrong_password_gets_no_token(name: str) -> None:
    async with played(name, users=USERS) as (registry, client):
        answer = await asked(client, SCOPE, user=("acme", "wrong"))
        assert answer.status_code == (403 if name == "ghcr" else 401)
        assert registry.counters.tokens == 0


@pytest.mark.parametrize(
    ("name", "life"),
    [
        *[(name, 300) for name in ("distribution-3", "docker-hub", "ghcr", "gitlab")],
        *[(name, 3600) for name in ("gcr", "artifact-registry", "quay", "artifactory", "nexus")],
        *[("harbor", 1800), ("acr", 4500), ("ecr-public", 43_200)],
    ],
)
async def test_a_token_ends_when_its_life_is_over(name: str, life: int) -> None:
    clock = Clock()
    async with played(name, users=USERS, clock=clock) as (_, client):
        headers = await token(client, SCOPE)
        clock.now += life - 1
        assert await status(client, MANIFEST, headers=headers) == 200
        clock.now += 1
        late = await client.get(MANIFEST, headers=headers)
        assert late.status_code == (400 if name == "ecr-public" else 401)
        assert ("WWW-Authenticate" in late.headers) is (name != "ecr-public")


@pytest.mark.parametrize(
    ("name", "keys", "is_jwt"),
    [
        ("distribution-3", {"token", "access_token", "expires_in", "issued_at"}, True),
        ("docker-hub", {"token", "access_token", "expires_in", "issued_at"}, True),
        ("gcr", {"token", "expires_in", "issued_at"}, False),
        ("artifact-registry", {"token", "expires_in", "issued_at"}, False),
        ("ecr-public", {"token"}, False),
        ("quay", {"token"}, True),
        ("ghcr", {"token"}, False),
        ("acr", {"access_token"}, True),
        ("harbor", {"token", "expires_in", "issued_at"}, True),
        ("gitlab", {"token"}, True),
        ("artifactory", {"token", "expires_in", "issued_at"}, False),
        ("nexus", {"token"}, False),
    ],
)
async def test_each_kind_has_its_own_token_answer(name: str, keys: set[str], is_jwt: bool) -> None:
    async with played(name, users=USERS) as (registry, client):
        document = (await asked(client, SCOPE)).json()
        assert set(document) == keys
        value = document.get("token") or document["access_token"]
        parts = value.split(".")
        assert value.startswith("DockerToken.") is (name == "nexus")
        assert (len(parts) == 3) is is_jwt
        if is_jwt:
            payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
            assert payload["exp"] - payload["iat"] >= 300
        assert registry.count(Kind.TOKEN) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *[(name, 404) for name in ("gcr", "artifact-registry", "gitlab")],
        *[(name, 405) for name in ("ecr-public", "quay", "ghcr", "harbor", "nexus")],
        *[(name, 200) for name in ("distribution-3", "docker-hub")],
        ("acr", 400),
        ("artifactory", 401),
    ],
)
async def test_a_password_by_post_is_taken_or_refused_as_the_kind_does(
    name: str, expected: int
) -> None:
    async with played(name, users=USERS) as (_, client):
        realm = (await challenge(client)).partition('realm="')[2].partition('"')[0]
        form = {"grant_type": "password", "username": "acme", "password": "secret"}
        answer = await client.post(realm, data=form | {"scope": SCOPE})
        assert answer.status_code == expected


@pytest.mark.parametrize("name", ["distribution-3", "docker-hub", "harbor", "quay"])
async def test_some_kinds_give_one_token_for_several_scopes(name: str) -> None:
    async with played(name, users=USERS) as (registry, client):
        registry.push("acme/other", "1.0")
        headers = await token(client, SCOPE, "repository:acme/other:pull")
        assert await status(client, headers=headers) == 200
        assert await status(client, "/v2/acme/other/tags/list", headers=headers) == 200


async def test_gitlab_takes_one_scope_in_a_request() -> None:
    async with played("gitlab", users=USERS) as (_, client):
        assert (await asked(client, SCOPE)).status_code == 200
        assert (await asked(client, SCOPE, "repository:acme/other:pull")).status_code == 400


@pytest.mark.parametrize("scope", [CATALOG_SCOPE, METADATA_SCOPE])
async def test_quay_refuses_scopes_that_it_does_not_know(scope: str) -> None:
    async with played("quay", users=USERS) as (_, client):
        assert (await asked(client, scope)).status_code == 400
        assert (await asked(client, SCOPE, scope)).status_code == 400


@pytest.mark.parametrize("name", ["ecr-public", "nexus"])
async def test_some_tokens_are_for_all_that_their_user_may_read(name: str) -> None:
    async with played(name, users=USERS) as (registry, client):
        registry.push("acme/other", "1.0")
        headers = await token(client)
        assert await status(client, headers=headers) == 200
        assert await status(client, "/v2/acme/other/tags/list", headers=headers) == 200

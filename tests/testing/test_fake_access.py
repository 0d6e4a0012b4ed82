"""The fake registry asks for Basic credentials or Bearer tokens as real ones do."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from watcher.testing.access import Auth, BasicAuth, BearerAuth
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

USERS = {"acme": "secret"}
TAGS = "/v2/acme/web/tags/list"
SCOPE = "repository:acme/web:pull"


def client_of(registry: FakeRegistry) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=registry.url, trust_env=False)


async def get_token(
    client: httpx.AsyncClient, scope: str = SCOPE, user: str | None = "acme:secret"
) -> httpx.Response:
    auth = httpx.BasicAuth(*user.split(":")) if user else None
    return await client.get("/token", params={"scope": scope}, auth=auth)


def bearer(token: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def with_auth(registry: FakeRegistry, auth: Auth) -> None:
    registry.auth = auth
    registry.push("acme/web", "1")
    registry.push("acme/secret", "1")


async def test_basic_lets_the_right_password_in_and_no_other(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    await with_auth(registry, BasicAuth(users=USERS, denied=frozenset({"acme/secret"})))
    refused = await client.get(TAGS)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (
        401,
        'Basic realm="Registry"',
    )
    assert (await client.get(TAGS, auth=("acme", "wrong"))).status_code == 401
    assert (await client.get(TAGS, auth=("acme", "secret"))).status_code == 200
    denied = await client.get("/v2/acme/secret/tags/list", auth=("acme", "secret"))
    assert denied.status_code == 403


async def test_a_token_is_good_for_its_scope_until_it_ends_or_is_revoked() -> None:
    now = [1_000_000.0]
    async with (
        FakeRegistry(auth=BearerAuth(users=USERS), clock=lambda: now[0]) as registry,
        client_of(registry) as client,
    ):
        registry.push("acme/web", "1")
        challenge = (await client.get(TAGS)).headers["WWW-Authenticate"]
        assert challenge == (
            f'Bearer realm="{registry.url}/token",service="fake-registry",scope="{SCOPE}"'
        )
        answer = (await get_token(client)).json()
        headers = bearer(answer["token"])
        assert answer["expires_in"] == 300
        assert (await client.get(TAGS, headers=headers)).status_code == 200
        other = await client.get("/v2/acme/other/tags/list", headers=headers)
        assert 'error="insufficient_scope"' in other.headers["WWW-Authenticate"]
        now[0] += 300
        late = await client.get(TAGS, headers=headers)
        assert 'error="invalid_token"' in late.headers["WWW-Authenticate"]
        headers = bearer((await get_token(client)).json()["token"])
        registry.revoke_tokens()
        assert (await client.get(TAGS, headers=headers)).status_code == 401
        assert registry.counters.tokens == 2


@pytest.mark.parametrize(
    ("auth", "user", "status"),
    [
        pytest.param(BearerAuth(users=USERS), "acme:secret", 200, id="right"),
        pytest.param(BearerAuth(users=USERS), "acme:wrong", 401, id="wrong-password"),
        pytest.param(BearerAuth(users=USERS), None, 401, id="nobody"),
        pytest.param(BearerAuth(users=USERS, anonymous=True), None, 200, id="anonymous-too"),
        pytest.param(BearerAuth(), None, 200, id="anonymous-only"),
    ],
)
async def test_tokens_go_to_those_who_may_have_them(
    registry: FakeRegistry, client: httpx.AsyncClient, auth: Auth, user: str | None, status: int
) -> None:
    await with_auth(registry, auth)
    assert (await get_token(client, user=user)).status_code == status


async def test_a_denied_repository_gives_a_token_that_does_not_open_it(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    await with_auth(registry, BearerAuth(users=USERS, denied=frozenset({"acme/secret"})))
    token = (await get_token(client, "repository:acme/secret:pull")).json()["token"]
    answer = await client.get("/v2/acme/secret/tags/list", headers=bearer(token))
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


async def test_post_takes_passwords_and_identity_tokens_and_the_log_keeps_neither(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    await with_auth(registry, BearerAuth(users=USERS, identity_tokens={"idt": "acme"}))
    password = {"grant_type": "password", "username": "acme", "password": "secret"}
    identity = {"grant_type": "refresh_token", "refresh_token": "idt", "scope": SCOPE}
    assert (await client.post("/token", data=password)).status_code == 200
    token = (await client.post("/token", data=identity)).json()["token"]
    assert (await client.get(TAGS, headers=bearer(token))).status_code == 200
    wrong = identity | {"refresh_token": "other"}
    assert (await client.post("/token", data=wrong)).status_code == 401
    forms = [entry.form for entry in registry.requests_of(Kind.TOKEN)]
    assert forms[0]["password"] == forms[1]["refresh_token"] == "***"
    assert forms[1]["scope"] == SCOPE


async def test_post_can_be_refused(registry: FakeRegistry, client: httpx.AsyncClient) -> None:
    await with_auth(registry, BearerAuth(users=USERS, post_status=405))
    assert (await client.post("/token", data={})).status_code == 405


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        pytest.param(BearerAuth(token_keys=("access_token",)), {"access_token"}, id="other-key"),
        pytest.param(
            BearerAuth(token_keys=("token", "access_token"), tells_expiry=True),
            {"token", "access_token", "expires_in", "issued_at"},
            id="both-keys",
        ),
        pytest.param(BearerAuth(tells_expiry=False), {"token"}, id="no-expiry"),
    ],
)
async def test_the_keys_of_the_token_answer_can_be_chosen(
    registry: FakeRegistry, client: httpx.AsyncClient, auth: Auth, expected: set[str]
) -> None:
    registry.auth = auth
    assert expected <= set((await get_token(client, user=None)).json())
    if expected == {"token"}:
        assert expected == set((await get_token(client, user=None)).json())


async def test_a_jwt_tells_when_it_ends(registry: FakeRegistry, client: httpx.AsyncClient) -> None:
    registry.auth = BearerAuth(jwt=True, ttl=3600, tells_expiry=False)
    token = (await get_token(client, user=None)).json()["token"]
    payload = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert payload["exp"] - payload["iat"] == 3600


@pytest.mark.parametrize("expires_in", ["300", 1, -5, 1e12, 0])
async def test_what_is_told_of_the_expiry_can_be_absurd(
    registry: FakeRegistry, client: httpx.AsyncClient, expires_in: object
) -> None:
    registry.auth = BearerAuth(expires_in=expires_in)
    assert (await get_token(client, user=None)).json()["expires_in"] == expires_in


async def test_a_stale_token_is_answered_400_without_a_challenge_where_ecr_public_is_played(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    registry.auth = BearerAuth(stale_status=400)
    stale = await client.get(TAGS, headers=bearer("old"))
    assert (stale.status_code, "WWW-Authenticate" in stale.headers) == (400, False)


async def test_the_catalog_scope_can_be_unknown_as_on_quay(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    registry.auth = BearerAuth(grants_catalog=False)
    assert (await get_token(client, "registry:catalog:*", None)).status_code == 400
    token = (await client.get("/token")).json()["token"]
    assert (await client.get("/v2/_catalog", headers=bearer(token))).status_code == 200


async def test_challenges_can_be_written_word_for_word(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    registry.auth = BearerAuth(challenges=('Bearer realm="{url}/token"', "Negotiate"))
    challenges = (await client.get(TAGS)).headers.get_list("WWW-Authenticate")
    assert challenges == [f'Bearer realm="{registry.url}/token"', "Negotiate"]

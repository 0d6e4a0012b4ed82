"""Logging in as each kind of registry wants it: what goes with the first request, what happens
when that is refused, and which scopes are asked for."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.registry.accounts import Clock, Passwords, account_for
from tests.registry.clients import connect
from watcher.core.account import Catalog, Credential, DialectName
from watcher.core.host import Recognition
from watcher.errors import AccessDenied, AuthenticationFailed, RegistryError
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import Listing, RegistryClient
from watcher.testing.access import Auth, BasicAuth, BearerAuth, PasswordBearer
from watcher.testing.faults import Exchange, Fault, Match, Respond
from watcher.testing.profiles import ACR_TOKEN_USER, PROFILES
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

NAME = "acme/web"
PASSWORD = "s3cret-of-acme"
GITHUB_TOKEN = "ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"


@dataclass
class Place:
    """A registry of a kind, and a client whose account knows the kind."""

    registry: FakeRegistry
    client: RegistryClient
    passwords: Passwords
    clock: Clock

    async def tags(self, repository: str = NAME) -> tuple[str, ...]:
        listing = await self.client.list_tags(repository)
        assert isinstance(listing, Listing)
        return listing.tags

    def asked(self) -> list[tuple[Kind, int]]:
        """Kind and status of all requests since the last time."""
        found = [(entry.kind, entry.status) for entry in self.registry.requests]
        self.registry.reset_log()
        return found

    def token_queries(self) -> list[str]:
        return [entry.query for entry in self.registry.requests_of(Kind.TOKEN)]


@asynccontextmanager
async def place(
    kind: str,
    user: str = "acme",
    password: str = PASSWORD,
    *,
    sent: Credential | None = None,
    auth: dict[str, Any] | None = None,
    dialect: str | None = "",
    account: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Place]:
    """`sent`: another credential than the right one. `auth`: what the registry does otherwise than
    its kind. `dialect`: as what the account knows it; None: as nothing known."""
    clock = Clock()
    passwords = Passwords(sent if sent is not None else Credential(user, password))
    registry = FakeRegistry(profile=PROFILES[kind], users={user: password}, clock=clock, **settings)
    if auth is not None:
        registry.auth = changed(registry.auth, auth)
    async with registry:
        registry.push(NAME, "1.0")
        name = None if dialect is None else DialectName(dialect or kind)
        more = {"dialect": name, **(account or {})}
        async with connect(registry, passwords, clock=clock, **more) as client:
            yield Place(registry, client, passwords, clock)


def changed(auth: Auth, changes: dict[str, Any]) -> Auth:
    assert isinstance(auth, BasicAuth | BearerAuth)
    return replace(auth, **changes)


LET_IN = [(Kind.TAGS, 200)]
BY_TOKEN = [(Kind.TAGS, 401), (Kind.TOKEN, 200), (Kind.TAGS, 200)]


@pytest.mark.parametrize(
    ("kind", "user", "password"),
    [
        pytest.param("ecr", "AWS", "eyJwYXlsb2FkIjoi" * 100, id="ECR"),
        pytest.param("acr", "acme", PASSWORD, id="ACR, an admin or a service principal"),
        pytest.param("harbor", "robot$acme+ci", PASSWORD, id="Harbor, a robot of a project"),
        pytest.param("artifactory", "acme", PASSWORD, id="Artifactory"),
        pytest.param("nexus", "acme", PASSWORD, id="Nexus"),
        pytest.param("ghcr", "acme", GITHUB_TOKEN, id="GHCR, a classic personal token"),
        pytest.param("ghcr", "acme", GITHUB_TOKEN.replace("ghp", "ghs"), id="GHCR, one of Actions"),
    ],
)
async def test_where_a_password_will_do_it_goes_with_the_first_request(
    kind: str, user: str, password: str
) -> None:
    async with place(kind, user, password) as it:
        await it.tags()
        await it.tags()
        assert it.asked() == LET_IN * 2


@pytest.mark.parametrize(
    ("kind", "user", "password"),
    [
        pytest.param("acr", ACR_TOKEN_USER, "refresh-token", id="ACR, a refresh token"),
        pytest.param("ghcr", "acme", "a password", id="GHCR, what is no token of GitHub's"),
        pytest.param("ghcr", "acme", "github_pat_11AB", id="GHCR, a fine-grained token"),
        pytest.param("quay", "acme+robot", PASSWORD, id="Quay"),
        pytest.param("gitlab", "acme", PASSWORD, id="GitLab"),
        pytest.param("docker-hub", "acme", PASSWORD, id="Docker Hub"),
        pytest.param("gcr", "_json_key", '{\n  "type": "service_account"\n}\n', id="GCR, a key"),
    ],
)
async def test_elsewhere_it_waits_for_a_challenge_and_goes_to_the_token_server(
    kind: str, user: str, password: str
) -> None:
    async with place(kind, user, password) as it:
        await it.tags()
        await it.tags()
        assert it.asked() == [*BY_TOKEN, (Kind.TAGS, 200)]


async def test_the_scope_of_the_ping_is_not_taken_for_that_of_a_hidden_repository() -> None:
    """GHCR's names `repository:user/image:pull`, and no token is given out for that."""
    async with place("ghcr") as it:
        not_found = Fault(match=Match(kind=Kind.TAGS), times=1, action=Respond(404))
        it.registry.fault(not_found)
        assert await it.tags() == ("1.0",)
        assert all("user/image" not in query for query in it.token_queries())


@pytest.mark.parametrize("kind", ["ghcr", "harbor", "gcr", "quay", "docker-hub"])
async def test_who_is_anonymous_takes_a_token_where_the_password_would_do(kind: str) -> None:
    async with place(kind, sent=Credential(), public=[NAME]) as it:
        assert await it.tags() == ("1.0",)
        assert it.asked() == BY_TOKEN


async def test_an_identity_token_goes_to_the_token_server_alone() -> None:
    sent = Credential(ACR_TOKEN_USER, identity_token="refresh-token")
    async with place("acr", ACR_TOKEN_USER, "refresh-token", sent=sent) as it:
        await it.tags()
        assert [entry.method for entry in it.registry.requests_of(Kind.TOKEN)] == ["POST"]
        assert it.asked() == BY_TOKEN


@pytest.mark.parametrize(
    ("kind", "password", "auth"),
    [
        pytest.param("harbor", PASSWORD, {"accepts_basic": False, "basic_realm": None}, id="Basic"),
        pytest.param(
            "ghcr", GITHUB_TOKEN, {"password_bearer": PasswordBearer.REFUSED}, id="GitHub's token"
        ),
    ],
)
async def test_a_password_that_is_refused_directly_and_let_in_by_a_token_is_not_sent_so_again(
    kind: str, password: str, auth: dict[str, Any]
) -> None:
    async with place(kind, password=password, auth=auth) as it:
        assert await it.tags() == ("1.0",)
        assert it.asked() == BY_TOKEN
        it.registry.revoke_tokens()
        await it.tags()
        assert it.asked() == BY_TOKEN, "no direct try, which would be refused once more"
        assert it.passwords.renewals == 0


async def test_without_a_challenge_to_what_went_directly_one_is_asked_for() -> None:
    auth = {"password_bearer": PasswordBearer.REFUSED}
    async with place("ghcr", password=GITHUB_TOKEN, auth=auth) as it:
        direct = Match(kind=Kind.TAGS, authorized=True)
        it.registry.fault(Fault(action=Respond(403), match=direct, times=1))
        assert await it.tags() == ("1.0",)
        assert it.asked() == [(Kind.TAGS, 403), *BY_TOKEN]


async def test_another_password_is_tried_directly_again() -> None:
    auth = {"accepts_basic": False, "basic_realm": None}
    async with place("harbor", auth=auth) as it:
        await it.tags()
        it.registry.auth = changed(
            it.registry.auth, {"users": {"acme": "new"}} | {"accepts_basic": True}
        )
        it.passwords.rotate(Credential("acme", "new"))
        it.registry.revoke_tokens()
        it.asked()
        await it.tags()
        assert it.asked()[-1:] == LET_IN
        await it.tags()
        assert it.asked() == LET_IN


@pytest.mark.parametrize("kind", ["ecr", "harbor", "nexus", "acr", "ghcr"])
async def test_a_wrong_password_is_sent_twice_at_most_and_rests_until_it_changes(kind: str) -> None:
    right = GITHUB_TOKEN if kind == "ghcr" else PASSWORD
    auth = {"bad_login_status": 401} if kind == "ghcr" else None
    wrong = Credential("acme", f"{right[:-3]}xyz")
    async with place(kind, password=right, sent=wrong, auth=auth) as it:
        for _ in range(3):
            with pytest.raises(AuthenticationFailed):
                await it.tags()
        with_password = [one for one in it.registry.requests if "authorization" in one.headers]
        assert len(with_password) == 2
        assert it.passwords.renewals == 1
        it.passwords.rotate(Credential("acme", right))
        assert await it.tags() == ("1.0",)


@pytest.mark.parametrize("kind", ["harbor", "acr", "artifactory", "nexus"])
async def test_one_forbidden_repository_stops_no_other(kind: str) -> None:
    # Harbor says of a forbidden repository what it says of a wrong password.
    async with place(kind, auth={"denied": frozenset({"acme/secret"})}) as it:
        for _ in range(2):
            with pytest.raises(AccessDenied, match="acme/secret"):
                await it.tags("acme/secret")
            assert "1.0" in await it.tags()


async def test_a_ping_that_is_in_doubt_condemns_no_password() -> None:
    async with place("harbor", sent=Credential("acme", "wrong")) as it:
        it.registry.fault(Fault(action=Respond(500), match=Match(kind=Kind.PING)))
        with pytest.raises(AccessDenied):
            await it.tags()
        it.registry.clear_faults()
        with pytest.raises(AuthenticationFailed):
            await it.tags()


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_an_expired_password_of_ecr_is_renewed_once_and_the_poll_goes_on(status: int) -> None:
    async with place("ecr", "AWS", "old", auth={"expired_status": status}) as it:
        await it.tags()
        it.registry.rotate_password("AWS", "new")
        it.passwords.queue(Credential("AWS", "new"))
        it.asked()
        assert await it.tags() == ("1.0",)
        assert it.asked() == [(Kind.TAGS, status), (Kind.TAGS, 200)]
        assert it.passwords.renewals == 1


@pytest.mark.parametrize(("status", "error"), [(400, AuthenticationFailed), (403, AccessDenied)])
async def test_an_expired_password_that_is_not_renewed_is_an_error(
    status: int, error: type[RegistryError]
) -> None:
    async with place("ecr", "AWS", "old", auth={"expired_status": status}) as it:
        await it.tags()
        it.registry.rotate_password("AWS", "new")
        with pytest.raises(error, match=str(status)):
            await it.tags()
        assert it.passwords.renewals == 1


async def test_a_token_of_github_that_expired_is_renewed() -> None:
    # GHCR's token server says of it what it says of a repository that is not there: 403.
    async with place("ghcr", password=GITHUB_TOKEN) as it:
        await it.tags()
        it.registry.rotate_password("acme", GITHUB_TOKEN.lower())
        it.passwords.queue(Credential("acme", GITHUB_TOKEN.lower()))
        assert await it.tags() == ("1.0",)
        assert it.passwords.renewals == 1
        it.asked()
        await it.tags()
        assert it.asked() == LET_IN, "it is sent directly, as the one before"


async def test_a_stale_token_of_ecr_public_is_replaced_though_nothing_challenges() -> None:
    async with place("ecr-public") as it:
        await it.tags()
        it.registry.revoke_tokens()
        it.asked()
        assert await it.tags() == ("1.0",)
        assert it.asked() == [(Kind.TAGS, 400), (Kind.TOKEN, 200), (Kind.TAGS, 200)]


async def test_a_harbor_that_is_not_known_as_one_is_asked_by_tokens_for_good() -> None:
    # It answers a stale token with a Basic challenge.
    async with place("harbor", dialect=None) as it:
        await it.tags()
        it.registry.revoke_tokens()
        it.asked()
        for expected in ([*BY_TOKEN], LET_IN):
            await it.tags()
            assert it.asked() == expected


async def test_a_harbor_that_is_recognised_later_gets_the_password_at_once_from_then_on() -> None:
    hosts = HostLimits()
    async with FakeRegistry(profile=PROFILES["harbor"], users={"acme": PASSWORD}) as registry:
        registry.push(NAME, "1.0")
        passwords = Passwords(Credential("acme", PASSWORD))
        async with connect(registry, passwords, hosts=hosts) as client:
            await client.list_tags(NAME)
            facts = hosts.lane(account_for(registry.address)).facts
            facts.recognition = Recognition(DialectName.HARBOR, "v2.15.2", 0.0)
            registry.revoke_tokens()
            registry.reset_log()
            await client.list_tags(NAME)
            assert [entry.status for entry in registry.requests] == [200]


async def test_the_catalog_of_harbor_is_asked_with_the_password() -> None:
    async with place("harbor", account={"catalog": Catalog()}) as it:
        assert await it.client.catalog() == (NAME,)
        assert it.asked() == [(Kind.CATALOG, 200)]


async def test_quay_is_asked_for_no_scope_of_the_catalog() -> None:
    async with place("quay", account={"catalog": Catalog()}) as it:
        assert await it.client.catalog() == (NAME,)
        assert "scope=" not in it.token_queries()[0]
        assert it.asked() == [(Kind.PING, 401), (Kind.TOKEN, 200), (Kind.CATALOG, 200)]


async def test_a_quay_that_is_not_known_as_one_is_asked_again_without() -> None:
    async with place("quay", dialect=None, account={"catalog": Catalog()}) as it:
        assert await it.client.catalog() == (NAME,)
        assert ["scope=" in query for query in it.token_queries()] == [True, False]


async def test_acr_is_asked_for_the_right_to_list_at_once() -> None:
    async with place("acr", ACR_TOKEN_USER, "refresh-token") as it:
        await it.tags()
        await it.client.head(NAME, "1.0")
        (query,) = it.token_queries()
        assert f"scope=repository:{NAME}:pull,metadata_read&" in query


async def test_what_goes_directly_gets_into_no_error() -> None:
    coded = b64encode(GITHUB_TOKEN.encode()).decode()

    class Echo:
        async def play(self, exchange: Exchange) -> None:
            said = f"no: {exchange.request.headers['authorization']} {GITHUB_TOKEN}"
            body = f'{{"errors": [{{"code": "TEAPOT", "message": "{said}"}}]}}'
            json = (("Content-Type", "application/json"),)
            exchange.respond(Respond(418, json, body.encode()).response(exchange))

    async with place("ghcr", password=GITHUB_TOKEN) as it:
        it.registry.fault(Fault(action=Echo(), match=Match(kind=Kind.TAGS)))
        with pytest.raises(RegistryError, match=r"\*\*\*") as caught:
            await it.tags()
        assert GITHUB_TOKEN not in str(caught.value)
        assert coded not in str(caught.value)

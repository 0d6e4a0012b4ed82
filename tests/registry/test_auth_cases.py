"""Logging in: each odd way that registries were seen to go, and the right behaviour.

The rows are 1 to 30 of the field notes' table of edge cases (registries.md section 5), in order;
what concerns parsing alone stands in test_auth_challenges.py and test_auth_tokens.py, password
commands (row 25) in tests/credentials.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.registry.accounts import (
    ACME,
    ANONYMOUS,
    Clock,
    Passwords,
    account_for,
    client_of,
    public_names,
)
from tests.registry.certificates import Authority
from watcher.core.account import Account, Catalog, Credential, Limits, Tls
from watcher.errors import (
    AccessDenied,
    AuthenticationFailed,
    CredentialError,
    ProtocolError,
    RateLimited,
    RegistryError,
)
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import Listing, RegistryClient
from watcher.testing.access import Auth, BasicAuth, BearerAuth, NoAuth
from watcher.testing.faults import Exchange, Fault, Match, Respond
from watcher.testing.paging import Paging
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

NAME = "acme/web"
USERS = {"acme": "s3cret-of-acme"}
JSON = ("Content-Type", "application/json")


@dataclass
class Place:
    """A running fake registry with one tag, and a client of it; both live by the same clock."""

    registry: FakeRegistry
    client: RegistryClient
    clock: Clock
    hosts: HostLimits
    account: Account

    async def tags(self, repository: str = NAME) -> tuple[str, ...]:
        listing = await self.client.list_tags(repository)
        assert isinstance(listing, Listing)
        return listing.tags

    def count(self, kind: Kind) -> int:
        return self.registry.count(kind)

    def token_queries(self) -> list[str]:
        return [entry.query for entry in self.registry.requests_of(Kind.TOKEN)]


@asynccontextmanager
async def place(
    auth: Auth,
    passwords: Passwords | None = None,
    *,
    paging: Paging | None = None,
    address: str = "{address}",
    resolve: Any = None,
    **settings: Any,
) -> AsyncIterator[Place]:
    clock = Clock()
    async with FakeRegistry(auth=auth, paging=paging, clock=clock) as registry:
        registry.push(NAME, "1.0")
        account = account_for(address.replace("{address}", registry.address), **settings)
        hosts = HostLimits(clock=clock, sleep=clock.sleep)
        more = {"resolve": resolve} if resolve else {}
        async with client_of(account, passwords, clock=clock, hosts=hosts, **more) as client:
            yield Place(registry, client, clock, hosts, account)


def known() -> Passwords:
    return Passwords(ACME)


def refusal(status: int, *challenges: str, **fault: Any) -> Fault:
    """Requests for tags are refused with these WWW-Authenticate lines."""
    headers = tuple(("WWW-Authenticate", line) for line in challenges)
    match = Match(kind=Kind.TAGS, authorized=fault.pop("authorized", None))
    return Fault(action=Respond(status, headers), match=match, **fault)


def token_answer(status: int, document: object = None, **headers: str) -> Fault:
    """Requests for tokens are answered so."""
    body = b"" if document is None else json.dumps(document).encode()
    pairs = (JSON, *((name.replace("_", "-"), value) for name, value in headers.items()))
    return Fault(action=Respond(status, pairs, body), match=Match(kind=Kind.TOKEN))


async def test_row_1_a_ping_that_is_open_says_nothing_about_repositories() -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        it.registry.fault(Fault(action=Respond(200), match=Match(kind=Kind.PING)))
        assert await it.tags() == ("1.0",)
        assert it.count(Kind.PING) == 0


async def test_row_2_without_a_challenge_the_ping_is_asked_for_one_once() -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        it.registry.fault(refusal(401, times=1))
        assert await it.tags() == ("1.0",)
        assert it.count(Kind.PING) == 1


async def test_row_2_without_any_challenge_the_account_fails_and_nothing_loops() -> None:
    async with place(NoAuth(), known()) as it:
        it.registry.fault(Fault(action=Respond(401)))
        with pytest.raises(AuthenticationFailed, match="without saying how to log in"):
            await it.tags()
        assert (it.count(Kind.TAGS), it.count(Kind.PING)) == (1, 1)


async def test_row_3_of_negotiate_and_basic_on_two_lines_basic_is_taken() -> None:
    async with place(BasicAuth(users=USERS), known()) as it:
        it.registry.fault(refusal(401, "Negotiate", 'Basic realm="x"', times=1))
        assert await it.tags() == ("1.0",)


async def test_row_3_when_nothing_known_is_offered_the_error_names_what_is() -> None:
    async with place(NoAuth(), known()) as it:
        it.registry.fault(refusal(401, "Negotiate", "NTLM"))
        with pytest.raises(AuthenticationFailed, match="no login but negotiate, ntlm"):
            await it.tags()


ODD_CHALLENGES = {
    "row 4: Bearer and Basic in one line, as Codeberg": (
        'Bearer realm="{url}/token",service="a,b",scope="{scope}",Basic realm="a, b"'
    ),
    "row 5: odd case and blanks": 'bEaReR  Realm = "{url}/token" , SERVICE= "x" ,Scope="{scope}"',
    "row 5: escaped quotes": r'Bearer realm="{url}/token",service="my \"q\" one",scope="{scope}"',
    "row 5: unquoted": "Bearer realm={url}/token,service=x,scope={scope}",
    "row 5: trailing comma": 'Bearer realm="{url}/token",service="x",scope="{scope}",',
    "row 6: no service": 'Bearer realm="{url}/token",scope="{scope}"',
    "row 6: empty service": 'Bearer realm="{url}/token",service="",scope="{scope}"',
    "row 7: no scope": 'Bearer realm="{url}/token",service="x"',
    "row 8: relative realm": 'Bearer realm="/token",service="x",scope="{scope}"',
    "row 8: realm with a query": 'Bearer realm="{url}/token?tenant=a%2Fb",service="x"',
    "Basic first": 'Basic realm="x", Bearer realm="{url}/token",service="x"',
}


@pytest.mark.parametrize("challenge", ODD_CHALLENGES.values(), ids=ODD_CHALLENGES.keys())
async def test_rows_4_to_8_odd_challenges_are_read(challenge: str) -> None:
    async with place(BearerAuth(users=USERS, challenges=[challenge]), known()) as it:
        assert await it.tags() == ("1.0",)
        assert it.count(Kind.TOKEN) == 1


async def test_row_6_without_a_service_none_is_sent() -> None:
    async with place(BearerAuth(users=USERS, service=None), known()) as it:
        await it.tags()
        assert it.token_queries() == [f"scope=repository:{NAME}:pull&account=acme"]


async def test_row_7_without_a_scope_the_request_says_it() -> None:
    async with place(BearerAuth(users=USERS, names_scope=False), known()) as it:
        await it.tags()
        assert f"scope=repository:{NAME}:pull" in it.token_queries()[0]


async def test_row_8_a_query_of_the_realm_is_kept_as_it_is() -> None:
    async with place(BearerAuth(users=USERS, realm="{url}/token?tenant=a%2Fb"), known()) as it:
        await it.tags()
        assert it.token_queries()[0].startswith("tenant=a%2Fb&service=fake-registry&scope=")


async def test_row_9_a_plain_token_server_of_an_https_registry_gets_no_request(
    tmp_path: Path,
) -> None:
    tls = Authority(tmp_path, now=datetime.now(UTC))
    async with FakeRegistry() as thief:
        auth = BearerAuth(users=USERS, realm=f"{thief.url}/token")
        async with FakeRegistry(auth=auth, tls=tls.server_context("127.0.0.1")) as registry:
            registry.push(NAME, "1.0")
            account = account_for(
                registry.address, plain_http=False, tls=Tls(ca_file=tls.certificate)
            )
            async with client_of(account, known()) as client:
                with pytest.raises(AuthenticationFailed, match="plain http"):
                    await client.list_tags(NAME)
        assert thief.requests == []


@pytest.mark.parametrize(
    "realm",
    [
        pytest.param("http://169.254.169.254/token", id="cloud metadata"),
        pytest.param("http://[fe80::1]/token", id="link-local"),
        pytest.param("http://0.0.0.0/token", id="unspecified"),
        pytest.param("http://[::ffff:169.254.169.254]/token", id="metadata as mapped IPv6"),
        pytest.param("file:///etc/passwd", id="a file"),
        pytest.param("http://user@127.0.0.1/token", id="a user in the URL"),
        pytest.param("http://[::1/token", id="no URL"),
        pytest.param("http://127.0.0.1:99999/token", id="no port"),
    ],
)
async def test_row_10_a_token_server_that_no_registry_may_name_is_refused(realm: str) -> None:
    async with place(BearerAuth(users=USERS, realm=realm), known()) as it:
        with pytest.raises(AuthenticationFailed, match="token server"):
            await it.tags()


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.7", "192.168.1.1", "[fd00::1]"])
async def test_row_10_a_public_registry_may_not_name_a_private_token_server(host: str) -> None:
    # The client's checks see a public address for the name; the connection itself is local.
    auth = BearerAuth(users=USERS, realm=f"http://{host}/token")
    resolve = public_names()
    async with FakeRegistry(auth=auth) as registry:
        port = registry.address.rpartition(":")[2]
        account = account_for(f"localhost:{port}")
        async with client_of(account, known(), resolve=resolve) as client:
            with pytest.raises(AuthenticationFailed, match="a private address"):
                await client.list_tags(NAME)
        assert registry.count(Kind.TOKEN) == 0


async def test_row_10_a_name_that_resolves_to_this_machine_is_refused_too() -> None:
    async def resolve(host: str) -> Sequence[str]:
        return ["93.184.216.34"] if host == "localhost" else ["93.184.216.34", "127.0.0.1"]

    auth = BearerAuth(users=USERS, realm="http://tokens.example/token")
    async with FakeRegistry(auth=auth) as registry:
        account = account_for(f"localhost:{registry.address.rpartition(':')[2]}")
        async with client_of(account, known(), resolve=resolve) as client:
            with pytest.raises(AuthenticationFailed, match=r"tokens\.example, a private address"):
                await client.list_tags(NAME)


async def test_row_11_a_token_server_that_moves_gets_no_password() -> None:
    async with (
        FakeRegistry(auth=BearerAuth(users=USERS), host="127.0.0.2") as other,
        place(BearerAuth(users=USERS), known()) as it,
    ):
        await it.tags()
        it.registry.auth = BearerAuth(users=USERS, realm=f"{other.url}/token")
        with pytest.raises(AuthenticationFailed, match="the password was not sent"):
            await it.tags()
        assert other.requests == []


async def test_row_11_who_is_anonymous_may_follow_a_token_server_that_moves() -> None:
    async with (
        FakeRegistry(auth=BearerAuth(), host="127.0.0.2") as other,
        place(BearerAuth()) as it,
    ):
        await it.tags()
        it.registry.auth = BearerAuth(realm=f"{other.url}/token")
        with pytest.raises(AccessDenied):  # the other one's tokens are nothing worth here
            await it.tags()
        assert other.count(Kind.TOKEN) == 1


@pytest.mark.parametrize("keys", [("access_token",), ("token",), ("token", "access_token")])
async def test_row_12_either_name_of_the_token_will_do(keys: tuple[str, ...]) -> None:
    async with place(BearerAuth(users=USERS, token_keys=keys), known()) as it:
        assert await it.tags() == ("1.0",)


async def polls(it: Place, *, every: float, during: float) -> int:
    """Poll for a time; gives the number of tokens that were asked for."""
    end = it.clock.now + during
    while it.clock.now < end:
        await it.tags()
        it.clock.now += every
    return it.count(Kind.TOKEN)


async def test_row_13_without_expires_in_the_jwt_says_how_long() -> None:
    auth = BearerAuth(users=USERS, jwt=True, ttl=3600, tells_expiry=False)
    async with place(auth, known()) as it:
        assert await polls(it, every=300, during=3000) == 1


async def test_row_13_without_expires_in_an_opaque_token_lives_a_minute() -> None:
    async with place(BearerAuth(users=USERS, ttl=3600, tells_expiry=False), known()) as it:
        assert await polls(it, every=20, during=240) == 4


@pytest.mark.parametrize("expires_in", [1, "300", -5, 1e12, 0, None, "soon", [], True, 299.5])
async def test_row_14_whatever_expires_in_says_polls_go_on(expires_in: object) -> None:
    async with place(BearerAuth(users=USERS, expires_in=expires_in), known()) as it:
        assert 1 <= await polls(it, every=30, during=300) <= 10


@pytest.mark.parametrize("issued_at", ["2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "today"])
async def test_row_15_a_clock_that_is_wrong_is_not_believed(issued_at: str) -> None:
    async with place(BearerAuth(users=USERS, issued_at=issued_at, ttl=300), known()) as it:
        assert await polls(it, every=30, during=240) == 1


async def test_row_16_fifty_requests_at_once_need_one_token() -> None:
    async with place(BearerAuth(users=USERS), known(), limits=Limits(concurrency=50)) as it:
        results = await asyncio.gather(*(it.tags() for _ in range(50)))
        assert set(results) == {("1.0",)}
        assert it.count(Kind.TOKEN) == 1


async def test_row_16_fifty_requests_share_the_error_of_one_wrong_password() -> None:
    passwords = Passwords(Credential("acme", "wrong"))
    async with place(BearerAuth(users=USERS), passwords, limits=Limits(concurrency=50)) as it:
        wishes = (it.client.list_tags(f"acme/app-{number}") for number in range(50))
        results = await asyncio.gather(*wishes, return_exceptions=True)
        assert all(isinstance(result, AuthenticationFailed) for result in results)
        assert it.count(Kind.TOKEN) == 1


async def test_row_16_when_the_one_who_asks_gives_up_another_asks() -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        asking = asyncio.Event()

        class Stuck:
            async def play(self, exchange: Exchange) -> None:
                asking.set()
                await asyncio.Event().wait()

        it.registry.fault(Fault(action=Stuck(), match=Match(kind=Kind.TOKEN), times=1))
        first = asyncio.create_task(it.tags())
        await asking.wait()
        second = asyncio.create_task(it.tags())
        await asyncio.sleep(0)  # it starts, and waits for the first one's token
        first.cancel()
        assert await second == ("1.0",)
        assert it.count(Kind.TOKEN) == 2


async def test_row_17_a_token_that_ends_between_pages_loses_no_page() -> None:
    async with place(BearerAuth(users=USERS), known(), paging=Paging(cap=2)) as it:
        for number in range(6):
            it.registry.push(NAME, f"2.{number}")

        class Revoke:
            async def play(self, exchange: Exchange) -> None:
                it.registry.revoke_tokens()
                exchange.respond(exchange.answer())

        third_page = Match(kind=Kind.TAGS, query="last=2.2")
        it.registry.fault(Fault(action=Revoke(), match=third_page, times=1))
        assert len(await it.tags()) == 7
        assert it.count(Kind.TOKEN) == 2


async def test_row_18_a_scope_that_is_not_enough_is_widened_once() -> None:
    wanted = f"repository:{NAME}:metadata_read,pull"
    challenge = (
        f'Bearer realm="/token",service="fake-registry",scope="{wanted}",error="insufficient_scope"'
    )
    async with place(BearerAuth(users=USERS), known()) as it:
        it.registry.fault(refusal(401, challenge, authorized=True, times=1))
        assert await it.tags() == ("1.0",)
        assert [f"scope={wanted}&" in query for query in it.token_queries()] == [False, True]
        it.registry.revoke_tokens()
        await it.tags()
        assert f"scope={wanted}&" in it.token_queries()[-1], "what was learned is kept"


async def test_row_18_a_scope_that_is_never_enough_ends_in_denial() -> None:
    challenge = 'Bearer realm="/token",scope="repository:acme/web:all",error="insufficient_scope"'
    async with place(BearerAuth(users=USERS), known()) as it:
        it.registry.fault(refusal(401, challenge, authorized=True))
        with pytest.raises(AccessDenied):
            await it.tags()
        assert it.count(Kind.TAGS) <= 4


async def test_row_18_scopes_that_are_ever_others_do_not_pile_up() -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        for number in range(10):
            it.registry.clear_faults()
            wanted = f"repository:other/{number}:pull repository:another/{number}:pull"
            it.registry.fault(refusal(401, f'Bearer realm="/token",scope="{wanted}"'))
            with pytest.raises(AccessDenied):
                await it.tags()
        last = it.token_queries()[-1]
        assert f"repository:{NAME}:pull" in last
        assert last.count("scope=") <= 8


async def test_row_19_one_forbidden_repository_stops_no_other() -> None:
    auth = BearerAuth(users=USERS, denied=frozenset({"acme/secret"}))
    async with place(auth, known()) as it:
        with pytest.raises(AccessDenied, match="acme/secret"):
            await it.tags("acme/secret")
        assert await it.tags() == ("1.0",)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_row_20_a_stale_token_is_replaced_once(status: int) -> None:
    async with place(BearerAuth(users=USERS, stale_status=status), known()) as it:
        await it.tags()
        it.registry.revoke_tokens()
        assert await it.tags() == ("1.0",)
        assert it.count(Kind.TOKEN) == 2


async def test_row_20_a_second_400_is_an_error() -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        await it.tags()
        it.registry.reset_log()
        it.registry.fault(refusal(400, authorized=True))
        with pytest.raises(RegistryError, match="answered 400"):
            await it.tags()
        assert it.count(Kind.TOKEN) <= 1


async def test_row_21_a_basic_challenge_to_a_stale_token_as_harbor_sends_it() -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        await it.tags()
        it.registry.fault(refusal(401, 'Basic realm="harbor"', authorized=True, times=1))
        assert await it.tags() == ("1.0",)
        assert it.count(Kind.TOKEN) == 2, "a new token, for it is no Basic registry"
        await it.tags()
        assert it.count(Kind.TOKEN) == 2


async def test_row_21_where_only_basic_is_let_in_it_is_used_for_this_request() -> None:
    async with place(BasicAuth(users=USERS), known()) as it:
        bearer = 'Bearer realm="/token",service="harbor-registry"'
        it.registry.fault(refusal(401, bearer, authorized=False))
        it.registry.fault(token_answer(200, {"token": "not-for-this"}))
        assert await it.tags() == ("1.0",)


async def test_row_22_quay_gives_the_token_for_its_catalog_without_a_scope() -> None:
    auth = BearerAuth(users=USERS, grants_catalog=False)
    async with place(auth, known(), catalog=Catalog()) as it:
        assert await it.client.catalog() == (NAME,)
        assert ["scope=" in query for query in it.token_queries()] == [True, False]


async def test_row_22_a_catalog_is_asked_for_after_the_login() -> None:
    # Quay answers 200 and an empty list to who has not logged in.
    empty = Respond(200, (JSON,), b'{"repositories":[]}')
    auth = BearerAuth(users=USERS, grants_catalog=False)
    async with place(auth, known(), catalog=Catalog()) as it:
        it.registry.fault(Fault(action=empty, match=Match(kind=Kind.CATALOG, authorized=False)))
        assert await it.client.catalog() == (NAME,)


async def test_row_23_a_token_server_that_asks_for_patience_parks_the_account() -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        it.registry.fault(token_answer(429, retry_after="120"))
        with pytest.raises(RateLimited) as caught:
            await it.tags()
        assert caught.value.retry_after is not None
        assert caught.value.retry_after.total_seconds() == 120
        assert it.hosts.parking.blocked() == {f"{it.registry.address}/test": it.clock.now + 120}
        with pytest.raises(RateLimited):
            await it.tags()
        assert it.count(Kind.TOKEN) == 1, "nothing is sent while it is parked"
        it.registry.clear_faults()
        it.clock.now += 121
        assert await it.tags() == ("1.0",)


async def test_row_23_a_token_server_that_is_ill_is_no_wrong_password() -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        it.registry.fault(token_answer(500))
        with pytest.raises(RegistryError, match="answered 500") as caught:
            await it.tags()
        assert caught.value.temporary
        assert not isinstance(caught.value, AuthenticationFailed)
        assert it.hosts.blocked_until(it.account) is not None


async def test_row_23_a_token_server_that_stumbles_once_is_asked_again() -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        fault = token_answer(503)
        it.registry.fault(Fault(action=fault.action, match=fault.match, times=1))
        assert await it.tags() == ("1.0",)
        assert it.hosts.parking.blocked() == {}


@pytest.mark.parametrize("auth", [BasicAuth(users=USERS), BearerAuth(users=USERS)])
async def test_row_24_a_rotated_password_is_read_again_and_lets_in(auth: Auth) -> None:
    passwords = Passwords(Credential("acme", "of last year"), ACME)
    async with place(auth, passwords) as it:
        assert await it.tags() == ("1.0",)
        assert passwords.renewals == 1


@pytest.mark.parametrize("auth", [BasicAuth(users=USERS), BearerAuth(users=USERS)])
async def test_row_24_a_refused_password_rests_until_it_changes(auth: Auth) -> None:
    passwords = Passwords(Credential("acme", "wrong"))
    async with place(auth, passwords) as it:
        for _ in range(5):
            with pytest.raises(AuthenticationFailed):
                await it.tags()
        tries = it.count(Kind.TOKEN) or it.count(Kind.TAGS) - 1
        assert tries == 1, "the account could be locked otherwise"
        passwords.rotate(ACME)
        assert await it.tags() == ("1.0",)


@pytest.mark.parametrize(
    "passed",
    [
        pytest.param(61.0, id="a minute later"),
        pytest.param(-365 * 86_400.0, id="when the clock was a year ahead and is set right"),
    ],
)
async def test_row_24_a_refused_password_is_tried_again_later(passed: float) -> None:
    async with place(BearerAuth(users={"acme": "not yet set"}), known()) as it:
        with pytest.raises(AuthenticationFailed):
            await it.tags()
        it.registry.auth = BearerAuth(users=USERS)
        it.clock.now += passed
        assert await it.tags() == ("1.0",)


async def test_row_24_another_password_ends_the_tokens_of_the_old_one() -> None:
    passwords = known()
    async with place(BearerAuth(users={**USERS, "other": "pw-of-other"}), passwords) as it:
        await it.tags()
        passwords.rotate(Credential("other", "pw-of-other"))
        it.registry.push("acme/api", "1.0")
        await it.tags("acme/api")  # its token is asked for with the new credential
        await it.tags()
        accounts = [query.rpartition("account=")[2] for query in it.token_queries()]
        assert accounts == ["acme", "other", "other"]


async def test_row_25_a_source_of_passwords_that_fails_is_shown_and_nothing_is_sent() -> None:
    class Broken(Passwords):
        async def get(self) -> Credential:
            raise CredentialError("password_command exited with 1")

    async with place(BearerAuth(users=USERS), Broken()) as it:
        with pytest.raises(CredentialError, match="exited with 1"):
            await it.tags()
        assert it.count(Kind.TOKEN) == 0


async def test_row_26_an_identity_token_is_posted() -> None:
    auth = BearerAuth(users=USERS, identity_tokens={"long-lived": "acme"})
    async with place(auth, Passwords(Credential(identity_token="long-lived"))) as it:
        assert await it.tags() == ("1.0",)
        request = it.registry.requests_of(Kind.TOKEN)[0]
        assert request.method == "POST"
        assert dict(request.form) == {
            "grant_type": "refresh_token",
            "refresh_token": "***",
            "client_id": "registry-watcher",
            "service": "fake-registry",
            "scope": f"repository:{NAME}:pull",
        }


async def test_row_26_an_identity_token_that_expired_fails_the_account() -> None:
    passwords = Passwords(Credential(identity_token="expired"))
    async with place(BearerAuth(users=USERS), passwords) as it:
        with pytest.raises(AuthenticationFailed):
            await it.tags()
        assert it.count(Kind.TOKEN) == 1


@pytest.mark.parametrize("password", ["a:b:c", "Pässwörd€", " blanks ", "🔑", '{\n "key": 1\n}'])
@pytest.mark.parametrize("kind", [BasicAuth, BearerAuth])
async def test_row_27_a_password_is_sent_as_it_is(password: str, kind: Any) -> None:
    passwords = Passwords(Credential("robot$acme+ci", password))
    async with place(kind(users={"robot$acme+ci": password}), passwords) as it:
        assert await it.tags() == ("1.0",)


@pytest.mark.parametrize("status", [404, 405])
async def test_row_28_where_post_is_unknown_get_follows(status: int) -> None:
    auth = BearerAuth(users={"acme": "long-lived"}, post_status=status)
    passwords = Passwords(Credential(username="acme", identity_token="long-lived"))
    async with place(auth, passwords) as it:
        assert await it.tags() == ("1.0",)
        methods = [entry.method for entry in it.registry.requests_of(Kind.TOKEN)]
        assert methods == ["POST", "GET"]


@pytest.mark.parametrize("status", [400, 401])
async def test_row_28_a_password_helps_where_the_identity_token_is_refused(status: int) -> None:
    auth = BearerAuth(users=USERS, post_status=status)
    passwords = Passwords(Credential("acme", USERS["acme"], identity_token="expired"))
    async with place(auth, passwords) as it:
        assert await it.tags() == ("1.0",)


@pytest.mark.parametrize("auth", [BasicAuth(users=USERS), BearerAuth(users=USERS)])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_row_29_another_host_gets_no_authorization(auth: Auth, status: int) -> None:
    async with FakeRegistry(host="127.0.0.2") as other, place(auth, known()) as it:
        other.push(NAME, "from-the-mirror")
        await it.tags()
        location = ("Location", f"{other.url}/v2/{NAME}/tags/list")
        match = Match(kind=Kind.TAGS, authorized=True)
        it.registry.fault(Fault(action=Respond(status, (location,)), match=match))
        assert await it.tags() == ("from-the-mirror",)
        assert [sorted(entry.headers) for entry in other.requests] == [
            ["accept", "accept-encoding", "host", "user-agent"]
        ]


async def test_row_29_another_port_is_another_host() -> None:
    async with FakeRegistry() as other, place(BasicAuth(users=USERS), known()) as it:
        other.push(NAME, "2.0")
        await it.tags()
        location = ("Location", f"{other.url}/v2/{NAME}/tags/list")
        it.registry.fault(Fault(action=Respond(307, (location,))))
        await it.tags()
        assert "authorization" not in other.requests[0].headers


async def test_row_29_the_same_host_gets_authorization_again() -> None:
    async with place(BasicAuth(users=USERS), known()) as it:
        it.registry.push("acme/renamed", "2.0")
        here = Match(kind=Kind.TAGS, repository=NAME, authorized=True)
        location = ("Location", "/v2/acme/renamed/tags/list")
        it.registry.fault(Fault(action=Respond(301, (location,)), match=here))
        assert await it.tags() == ("2.0",)


async def test_row_29_from_https_to_http_is_refused(tmp_path: Path) -> None:
    tls = Authority(tmp_path, now=datetime.now(UTC))
    async with (
        FakeRegistry() as plain,
        FakeRegistry(tls=tls.server_context("127.0.0.1")) as registry,
    ):
        location = ("Location", f"{plain.url}/v2/{NAME}/tags/list")
        registry.fault(Fault(action=Respond(302, (location,))))
        account = account_for(registry.address, plain_http=False, tls=Tls(ca_file=tls.certificate))
        async with client_of(account) as client:
            with pytest.raises(ProtocolError, match="from https to something else"):
                await client.list_tags(NAME)
        assert plain.requests == []


async def test_row_29_a_redirect_to_the_metadata_service_is_refused() -> None:
    async with place(NoAuth()) as it:
        location = ("Location", "http://169.254.169.254/latest/meta-data/")
        it.registry.fault(Fault(action=Respond(302, (location,))))
        with pytest.raises(ProtocolError, match="metadata"):
            await it.tags()


async def test_row_29_a_mirror_that_wants_a_token_gets_an_anonymous_one() -> None:
    # registry.k8s.io redirects to Artifact Registry, which has a token server of its own.
    async with (
        FakeRegistry(host="127.0.0.2", auth=BearerAuth(anonymous=True)) as mirror,
        place(NoAuth(), known()) as it,
    ):
        mirror.push(NAME, "of-the-mirror")
        location = ("Location", f"{mirror.url}/v2/{NAME}/tags/list")
        it.registry.fault(Fault(action=Respond(307, (location,))))
        assert await it.tags() == ("of-the-mirror",)
        assert "authorization" not in mirror.requests_of(Kind.TOKEN)[0].headers
        await it.tags()
        assert mirror.count(Kind.TOKEN) == 1


async def test_row_30_redirects_end_after_five() -> None:
    async with place(NoAuth()) as it:
        for number in range(11):
            location = ("Location", f"/v2/{NAME}/tags/list?hop={number}")
            it.registry.fault(Fault(action=Respond(307, (location,)), times=1))
        with pytest.raises(ProtocolError, match="more than 5 times"):
            await it.tags()
        assert it.count(Kind.TAGS) == 6


async def test_row_30_a_circle_of_redirects_is_seen() -> None:
    async with place(NoAuth()) as it:
        location = ("Location", f"/v2/{NAME}/tags/list?n=1000")
        it.registry.fault(Fault(action=Respond(307, (location,))))
        with pytest.raises(ProtocolError, match="in a circle"):
            await it.tags()


async def test_a_public_registry_is_read_without_any_login() -> None:
    async with place(NoAuth(), known()) as it:
        await it.tags()
        assert [entry.path for entry in it.registry.requests] == [f"/v2/{NAME}/tags/list"]


async def test_who_is_anonymous_gets_an_anonymous_token() -> None:
    async with place(BearerAuth(anonymous=True), Passwords(ANONYMOUS)) as it:
        assert await it.tags() == ("1.0",)
        assert "authorization" not in it.registry.requests_of(Kind.TOKEN)[0].headers


async def test_what_is_hidden_from_strangers_is_asked_for_again_after_the_login() -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        hidden = Match(kind=Kind.TAGS, authorized=False)
        it.registry.fault(Fault(action=Respond(404), match=hidden))
        assert await it.tags() == ("1.0",)
        assert it.count(Kind.PING) == 1


async def test_basic_is_tried_where_the_token_server_fails_and_both_are_offered() -> None:
    challenge = 'Basic realm="x", Bearer realm="{url}/token"'
    async with place(BasicAuth(users=USERS), known()) as it:
        line = challenge.replace("{url}", it.registry.url)
        it.registry.fault(refusal(401, line, times=1))
        assert await it.tags() == ("1.0",), "its token server answers 404"


async def test_the_password_of_a_forbidden_repository_is_renewed_before_giving_up() -> None:
    # ECR answers 403 to a password that has expired.
    passwords = Passwords(Credential("acme", "expired"), ACME)
    async with place(BasicAuth(users=USERS), passwords) as it:
        challenge = 'Basic realm="x"'
        it.registry.fault(refusal(401, challenge, authorized=False, times=1))
        it.registry.fault(refusal(403, authorized=True, times=1))
        assert await it.tags() == ("1.0",)
        assert passwords.renewals == 1


async def test_a_400_to_a_renewed_password_fails_the_account() -> None:
    passwords = Passwords(Credential("acme", "rubbish"), Credential("acme", "more rubbish"))
    async with place(BasicAuth(users=USERS), passwords) as it:
        it.registry.fault(refusal(400, authorized=True))
        with pytest.raises(AuthenticationFailed, match="400"):
            await it.tags()
        assert passwords.renewals >= 1


@pytest.mark.parametrize("auth", [BasicAuth(users=USERS), BearerAuth(users=USERS)])
async def test_a_registry_that_repeats_the_secret_gets_it_into_no_error(auth: Auth) -> None:
    class Echo:
        async def play(self, exchange: Exchange) -> None:
            said = exchange.request.headers["authorization"] + " " + USERS["acme"]
            body = json.dumps({"errors": [{"code": "DENIED", "message": f"no: {said}"}]})
            exchange.respond(Respond(403, (JSON,), body.encode()).response(exchange))

    async with place(auth, known()) as it:
        await it.tags()
        it.registry.fault(Fault(action=Echo(), match=Match(kind=Kind.TAGS)))
        with pytest.raises(AccessDenied) as caught:
            await it.tags()
        shown = f"{caught.value} {caught.value!r} {caught.value.hint}"
        assert "***" in shown
        assert USERS["acme"] not in shown
        assert "opaque-" not in shown


async def test_a_token_server_that_repeats_the_password_gets_it_into_no_error() -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        message = f"wrong password {USERS['acme']}"
        it.registry.fault(token_answer(401, {"errors": [{"code": "X", "message": message}]}))
        with pytest.raises(AuthenticationFailed) as caught:
            await it.tags()
        assert USERS["acme"] not in str(caught.value)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("a\r\nX-Evil: 1", id="line break"),
        pytest.param("two words", id="blank"),
        pytest.param("a" * 16385, id="too long"),
        pytest.param("", id="empty"),
        pytest.param("tökén", id="not ASCII"),
        pytest.param(7, id="a number"),
        pytest.param(None, id="none"),
    ],
)
async def test_a_token_that_is_no_header_is_not_sent(token: object) -> None:
    async with place(BearerAuth(users=USERS), known()) as it:
        it.registry.fault(token_answer(200, {"token": token}))
        with pytest.raises(ProtocolError, match="no usable token"):
            await it.tags()


async def test_a_token_server_may_not_redirect_the_password() -> None:
    async with (
        FakeRegistry(host="127.0.0.2") as thief,
        place(BearerAuth(users=USERS), known()) as it,
    ):
        it.registry.fault(token_answer(307, location=f"{thief.url}/token"))
        with pytest.raises(AuthenticationFailed):
            await it.tags()
        assert thief.requests == []

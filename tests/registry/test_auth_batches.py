"""Tokens for groups of repositories: how many are asked for, and what ends it.

A group is worth having only as long as it costs nobody anything: one repository that is not to be
read must not take the others of its group with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.registry.accounts import Clock, Passwords
from tests.registry.clients import connect
from watcher.core.account import Credential, DialectName, Limits
from watcher.errors import AccessDenied, AuthenticationFailed, RateLimited, RegistryError
from watcher.registry.client import RegistryClient
from watcher.registry.login.batches import MAXIMUM_QUERY, Batches
from watcher.registry.login.token_server import Realm
from watcher.testing.access import BearerAuth
from watcher.testing.faults import Exchange, Fault, Match, Respond
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

PASSWORD = "s3cret-of-acme"
NAMES = tuple(f"acme/service-{number:03}" for number in range(200))
FEW = NAMES[:40]
SECRET = NAMES[3]
JSON = (("Content-Type", "application/json"),)


@dataclass
class Place:
    """A registry with many repositories, and a client that expects to be asked for all of them."""

    registry: FakeRegistry
    client: RegistryClient
    passwords: Passwords
    clock: Clock

    async def look(self, names: Sequence[str]) -> dict[str, type[RegistryError]]:
        """Look at each of them, eight at a time; those that failed, and how."""
        turns = asyncio.Semaphore(8)
        failed: dict[str, type[RegistryError]] = {}

        async def one(name: str) -> None:
            async with turns:
                try:
                    await self.client.list_tags(name)
                except AuthenticationFailed:
                    failed[name] = AuthenticationFailed
                except RegistryError as error:
                    failed[name] = type(error)

        await asyncio.gather(*(one(name) for name in names))
        return failed

    def tokens(self) -> list[int]:
        """Of how many scopes each token request since the last time was, in turn."""
        found = [one.query.count("scope=") for one in self.registry.requests_of(Kind.TOKEN)]
        self.registry.reset_log()
        return found


@asynccontextmanager
async def place(
    names: Sequence[str] = FEW,
    *,
    kind: str = "docker-hub",
    sent: Credential | None = None,
    scopes: int | None = None,
    **auth: Any,
) -> AsyncIterator[Place]:
    clock = Clock()
    passwords = Passwords(sent or Credential("acme", PASSWORD))
    async with FakeRegistry(
        profile=PROFILES[kind], users={"acme": PASSWORD}, public=names, clock=clock
    ) as registry:
        assert isinstance(registry.auth, BearerAuth)
        registry.auth = replace(registry.auth, **auth)
        registry.seed(names, ["1.0"])
        limits = Limits(scopes_per_token=scopes)
        dialect = DialectName(kind.removesuffix("-3"))
        async with connect(
            registry, passwords, clock=clock, dialect=dialect, limits=limits
        ) as client:
            client.expect(names)
            yield Place(registry, client, passwords, clock)


def token_refusal(status: int, *, groups_only: bool = True) -> Fault:
    """What asks for more than one scope is refused; or any."""

    class Refuse:
        async def play(self, exchange: Exchange) -> None:
            if groups_only and exchange.request.query.count("scope=") < 2:
                exchange.respond(exchange.answer())
            else:
                exchange.respond(Respond(status, JSON, b"{}").response(exchange))

    return Fault(action=Refuse(), match=Match(kind=Kind.TOKEN))


@pytest.mark.parametrize("sent", [None, Credential()], ids=["a user", "anonymous"])
async def test_two_hundred_repositories_need_ten_tokens(sent: Credential | None) -> None:
    async with place(NAMES, sent=sent) as it:
        assert await it.look(NAMES) == {}
        assert it.tokens() == [20] * 10
        assert await it.look(NAMES) == {}
        assert it.tokens() == []


async def test_they_are_asked_for_anew_as_groups_when_their_time_is_over() -> None:
    async with place() as it:
        await it.look(FEW)
        it.clock.now += 300
        await it.look(FEW)
        assert it.tokens() == [20] * 4


async def test_stale_tokens_of_groups_are_replaced_as_groups() -> None:
    async with place() as it:
        await it.look(FEW)
        it.registry.revoke_tokens()
        it.tokens()
        assert await it.look(FEW) == {}
        assert it.tokens() == [20, 20]


async def test_a_token_serves_digests_too() -> None:
    async with place() as it:
        await it.look(FEW)
        await it.client.head(FEW[-1], "1.0")
        assert it.tokens() == [20, 20]


@pytest.mark.parametrize(
    ("kind", "scopes", "expected"),
    [
        pytest.param("docker-hub", 1, 40, id="the account wants one"),
        pytest.param("distribution-3", None, 40, id="a kind that is not known to take more"),
        pytest.param("distribution-3", 50, 1, id="where the account wants it"),
        pytest.param("quay", 10, 4, id="Quay, where the account wants it"),
    ],
)
async def test_how_many_share_a_token_says_the_account_else_the_kind(
    kind: str, scopes: int | None, expected: int
) -> None:
    async with place(kind=kind, scopes=scopes) as it:
        assert await it.look(FEW) == {}
        assert len(it.tokens()) == expected


async def test_what_is_not_expected_is_asked_for_alone() -> None:
    async with place() as it:
        it.registry.push("acme/other", "1.0")
        await it.look(["acme/other"])
        assert it.tokens() == [1]


async def test_one_forbidden_repository_takes_no_other_with_it() -> None:
    async with place(denied=frozenset({SECRET})) as it:
        assert await it.look(FEW) == {SECRET: AccessDenied}
        groups = [scopes for scopes in it.tokens() if scopes > 1]
        assert set(groups) == {20}, "the others still share their tokens"
        assert len(groups) <= 3
        it.clock.now += 300
        assert await it.look(FEW) == {SECRET: AccessDenied}
        assert sorted(it.tokens()) == [1, 20, 20], "the forbidden one is asked for alone by now"


@pytest.mark.parametrize("status", [400, 401, 403, 414, 431])
async def test_a_realm_that_refuses_a_group_is_asked_for_none_any_more(status: int) -> None:
    async with place() as it:
        it.registry.fault(token_refusal(status))
        assert await it.look(FEW) == {}
        asked = it.tokens()
        assert asked.count(1) == 40
        assert asked.count(20) <= 2, "one for each group that was under way"
        it.clock.now += 300
        await it.look(FEW)
        assert it.tokens() == [1] * 40
        assert it.passwords.renewals == 0, "the password was not at fault"


async def test_a_token_server_that_reads_one_scope_alone_is_asked_so() -> None:
    async with place(kind="gitlab", scopes=20) as it:
        assert await it.look(FEW) == {}
        assert it.tokens().count(1) == 40


async def test_a_group_with_a_forbidden_one_that_is_refused_as_a_whole_ends_groups() -> None:
    # GHCR's token server refuses what is not to be read.
    async with place(kind="ghcr", scopes=20, denied=frozenset({SECRET})) as it:
        assert await it.look(FEW) == {SECRET: AccessDenied}
        it.tokens()
        it.clock.now += 60
        assert await it.look(FEW) == {SECRET: AccessDenied}
        assert set(it.tokens()) == {1}


async def test_a_group_whose_token_opens_less_than_single_ones_ends_groups() -> None:
    """Here a group's token does not open SECRET, a token of its own does."""
    async with place() as it:

        class Refuse:
            """The group's tokens, which are the first two."""

            async def play(self, exchange: Exchange) -> None:
                line = f'Bearer realm="{it.registry.url}/token",error="insufficient_scope"'
                headers = (("WWW-Authenticate", line),)
                exchange.respond(Respond(401, headers).response(exchange))

        await it.look(FEW)
        match = Match(kind=Kind.TAGS, repository=SECRET)
        it.registry.fault(Fault(action=Refuse(), match=match, times=2))
        it.tokens()
        assert await it.look([SECRET]) == {}
        assert it.tokens() == [20, 1]
        it.clock.now += 300
        await it.look(FEW)
        assert it.tokens() == [1] * 40


async def test_a_token_that_is_too_long_for_a_header_is_not_used() -> None:
    class Long:
        async def play(self, exchange: Exchange) -> None:
            answer = json.loads(exchange.answer().body)
            if exchange.request.query.count("scope=") > 1:
                answer = {"token": "x" * 9000}
            body = json.dumps(answer).encode()
            exchange.respond(Respond(200, JSON, body).response(exchange))

    async with place() as it:
        it.registry.fault(Fault(action=Long(), match=Match(kind=Kind.TOKEN)))
        assert await it.look(FEW) == {}
        assert it.tokens().count(1) == 40


async def test_a_wrong_password_is_tried_for_a_group_and_for_one_alone_and_rests() -> None:
    async with place(NAMES, sent=Credential("acme", "wrong")) as it:
        for asked in ([20, 1], []):
            failed = await it.look(NAMES[::10])
            assert set(failed.values()) == {AuthenticationFailed}
            assert len(failed) == 20
            assert it.tokens() == asked
        it.passwords.rotate(Credential("acme", PASSWORD))
        assert await it.look(FEW) == {}
        assert it.tokens() == [20, 20]


async def test_a_password_that_was_rotated_does_not_end_groups() -> None:
    async with place() as it:
        await it.look(FEW)
        it.registry.rotate_password("acme", "new")
        it.passwords.queue(Credential("acme", "new"))
        it.clock.now += 300
        it.tokens()
        assert await it.look(FEW) == {}
        assert it.passwords.renewals >= 1
        it.clock.now += 300
        it.tokens()
        assert await it.look(FEW) == {}
        assert it.tokens() == [20, 20]


async def test_a_token_server_that_asks_for_patience_is_asked_no_more() -> None:
    async with place() as it:
        it.registry.fault(token_refusal(429, groups_only=False))
        assert set((await it.look(FEW)).values()) == {RateLimited}
        it.registry.clear_faults()
        it.clock.now += 3600
        it.tokens()
        assert await it.look(FEW) == {}
        assert it.tokens() == [20, 20], "that says nothing about groups"


REALM = Realm("https://auth.example.com/token", "registry.example.com")


def batches(most: int, *scopes: str) -> Batches:
    made = Batches(lambda scope: (scope,))
    made.resize(most)
    made.expect(frozenset(scopes))
    return made


def scopes(first: int, last: int, length: int = 0) -> list[str]:
    return [f"repository:acme/{number:04}{'x' * length}:pull" for number in range(first, last)]


def test_a_group_is_sorted_and_the_same_for_all_its_members() -> None:
    made = batches(3, *reversed(scopes(0, 7)))
    groups = [made.group(REALM, scope) for scope in scopes(0, 7)]
    assert groups[0] == tuple(scopes(0, 3))
    assert groups[0] is groups[1] is groups[2]
    assert groups[3] is groups[4] is groups[5]
    assert groups[6] is None, "one alone is no group"
    assert made.group(REALM, "repository:acme/0000:pull,push") is None, "only reading is shared"


def test_a_group_fits_into_a_url() -> None:
    wanted = scopes(0, 60, length=200)
    made = batches(50, *wanted)
    sizes = {len("&scope=".join(made.group(REALM, scope) or ())) for scope in wanted}
    assert max(sizes) <= MAXIMUM_QUERY
    assert len(made) == 3


def test_one_repository_more_leaves_full_groups_as_they_are() -> None:
    made = batches(4, *scopes(1, 9), *scopes(20, 22))
    before = {scope: made.group(REALM, scope) for scope in scopes(1, 9)}
    made.expect(frozenset([*scopes(0, 9), *scopes(20, 22)]))
    assert {scope: made.group(REALM, scope) for scope in scopes(1, 9)} == before
    first = scopes(0, 1)[0]
    assert made.group(REALM, first) == (first, *scopes(20, 22))


def test_a_repository_less_leaves_its_group() -> None:
    made = batches(4, *scopes(0, 8))
    made.expect(frozenset(scopes(1, 8)))
    assert made.group(REALM, scopes(1, 2)[0]) == tuple(scopes(1, 4))
    assert made.group(REALM, scopes(0, 1)[0]) is None
    assert made.group(REALM, scopes(4, 5)[0]) == tuple(scopes(4, 8))


def test_who_left_and_a_realm_that_refused_are_remembered() -> None:
    made = batches(2, *scopes(0, 4))
    first, second, third, _ = scopes(0, 4)
    made.leave(first)
    assert made.group(REALM, first) is None
    assert made.group(REALM, second) == (first, second)
    made.end(REALM)
    assert made.group(REALM, third) is None
    assert made.group(REALM._replace(service="another"), third) is not None

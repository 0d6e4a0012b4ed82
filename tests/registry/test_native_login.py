"""With which login a native API is asked, and which secrets it never sees."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.registry.accounts import Clock, Passwords
from tests.registry.clients import connect
from tests.registry.looks import WEB, Follower, asked, following, playing, stored
from watcher.core.account import Credential, Strategy, Timeouts
from watcher.errors import AuthenticationFailed, RegistryError
from watcher.registry.listing.tags import Listing, Seen, Unchanged
from watcher.testing.access import BearerAuth
from watcher.testing.faults import Fault, Match, Respond, Transform
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry
from watcher.testing.wire import Request, Response

USER = Credential(username="acme", password="s3cret-of-acme")
ROBOT = Credential(username="acme+robot", password="s3cret-of-a-robot")
OAUTH = Credential(username="$oauthtoken", password="0auth-token-of-acme")


def users(*credentials: Credential) -> dict[str, str]:
    return {str(each.username): str(each.password) for each in credentials}


def schemes(registry: FakeRegistry, kind: Kind = Kind.NATIVE) -> set[str | None]:
    """What was sent as Authorization with requests of a kind: its scheme, or nothing."""
    return {entry.headers.get("authorization") for entry in registry.requests_of(kind)}


async def test_a_robots_password_is_never_sent_to_quays_own_api() -> None:
    clock = Clock()
    async with (
        playing("quay", "1", clock=clock, users=users(ROBOT)) as registry,
        following(registry, "quay", clock, Passwords(ROBOT)) as follower,
    ):
        assert isinstance(await follower.look(), Listing)
        assert schemes(registry) == {None}
        assert follower.digests == stored(registry)
        assert "answered 401" in follower.client.take_notes()[0]


async def test_quays_api_gets_an_oauth_token_as_it_is() -> None:
    clock = Clock()
    async with (
        playing("quay", "1", clock=clock, users=users(OAUTH)) as registry,
        following(registry, "quay", clock, Passwords(OAUTH)) as follower,
    ):
        await follower.look()
        assert schemes(registry) == {"Bearer"}
        registry.reset_log()
        assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (1, 0)


async def test_docker_hub_is_asked_without_a_login_as_long_as_that_does() -> None:
    clock = Clock()
    async with (
        playing("docker-hub", "1", clock=clock, users=users(USER), public=[WEB]) as registry,
        following(registry, "docker-hub", clock, Passwords(USER)) as follower,
    ):
        await follower.look()
        assert schemes(registry) == {None}
        assert registry.count(Kind.LOGIN) == 0


async def test_docker_hub_gives_a_token_for_what_is_private_and_it_is_kept() -> None:
    clock = Clock()
    async with (
        playing("docker-hub", "1", clock=clock, users=users(USER)) as registry,
        following(registry, "docker-hub", clock, Passwords(USER)) as follower,
    ):
        await follower.look()
        assert [e.headers.get("authorization") for e in registry.requests_of(Kind.NATIVE)] == [
            None,
            "Bearer",
        ]
        for _ in range(3):
            clock.now += 60
            assert isinstance(await follower.look(), Unchanged)
        assert registry.count(Kind.LOGIN) == 1
        clock.now += 300  # the life of its tokens here
        assert isinstance(await follower.look(), Unchanged)
        assert registry.count(Kind.LOGIN) == 2
        asked_for = registry.requests_of(Kind.NATIVE)
        assert sum("authorization" not in entry.headers for entry in asked_for) == 1


async def test_a_token_of_docker_hub_that_is_refused_is_replaced() -> None:
    clock = Clock()
    async with (
        playing("docker-hub", "1", clock=clock, users=users(USER)) as registry,
        following(registry, "docker-hub", clock, Passwords(USER)) as follower,
    ):
        await follower.look()
        registry.revoke_tokens()
        registry.reset_log()
        assert isinstance(await follower.look(), Unchanged)
        assert (registry.count(Kind.LOGIN), asked(registry)) == (1, (2, 0))


async def test_a_password_that_docker_hubs_api_refuses_is_not_sent_again_for_an_hour() -> None:
    clock = Clock()
    async with (
        playing("docker-hub", "1", clock=clock, users=users(USER)) as registry,
        following(registry, "docker-hub", clock, Passwords(USER)) as follower,
    ):
        registry.push("acme/api", "1")
        other = Follower(client=follower.client, clock=clock, repository="acme/api")
        registry.fault(Fault(action=Respond(401), match=Match(kind=Kind.LOGIN)))
        for _ in range(3):
            await follower.look()
            await other.look()
            clock.now += 600
        assert registry.count(Kind.LOGIN) == 1
        clock.now += 3600
        await follower.look()
        assert registry.count(Kind.LOGIN) == 2


async def test_the_patience_that_docker_hubs_login_asks_for_is_heeded() -> None:
    clock = Clock()
    later = Respond(429, (("Retry-After", "7200"),))
    async with (
        playing("docker-hub", "1", clock=clock, users=users(USER)) as registry,
        following(registry, "docker-hub", clock, Passwords(USER)) as follower,
    ):
        registry.fault(Fault(action=later, match=Match(kind=Kind.LOGIN), times=1))
        for _ in range(2):
            await follower.look()
            assert registry.count(Kind.LOGIN) == 1
            clock.now += 3700
        await follower.look()
        assert registry.count(Kind.LOGIN) == 2


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        pytest.param(Respond(429, (("Retry-After", "90"),)), 90, id="it asks for patience"),
        pytest.param(Respond(500), 60, id="it fails"),
    ],
)
async def test_a_login_of_docker_hubs_api_that_got_no_answer_is_tried_again_in_time(
    answer: Respond, seconds: float
) -> None:
    clock = Clock()
    async with (
        playing("docker-hub", "1", clock=clock, users=users(USER)) as registry,
        following(registry, "docker-hub", clock, Passwords(USER)) as follower,
    ):
        registry.fault(Fault(match=Match(kind=Kind.LOGIN), times=1, action=answer))
        await follower.look()
        registry.reset_log()
        clock.now += seconds - 5
        await follower.look()
        assert asked(registry)[0] == 0
        clock.now += 10
        await follower.look()
        assert schemes(registry) == {None, "Bearer"}
        assert follower.mark


async def test_another_password_is_tried_at_docker_hub_at_once() -> None:
    clock = Clock()
    old, passwords = USER, Passwords(USER)
    new = Credential(username="acme", password="another-s3cret")
    async with (
        playing("docker-hub", "1", clock=clock, users=users(old)) as registry,
        following(registry, "docker-hub", clock, passwords) as follower,
    ):
        await follower.look()
        passwords.rotate(new)
        assert isinstance(registry.auth, BearerAuth)
        registry.auth = replace(registry.auth, users=users(new))
        clock.now += 60
        await follower.look()
        assert registry.count(Kind.LOGIN) == 2
        assert schemes(registry, Kind.LOGIN) == {None}


@pytest.mark.parametrize("kind", ["gitlab", "acr"])
async def test_gitlab_and_acr_take_the_login_of_v2(kind: str) -> None:
    clock = Clock()
    async with (
        playing(kind, "1", clock=clock, users=users(USER)) as registry,
        following(registry, kind, clock, Passwords(USER)) as follower,
    ):
        await follower.look()
        assert follower.client.take_notes() == ()
        assert registry.counters.tokens <= 1
        registry.reset_log()
        assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (1, 0)


async def test_no_note_repeats_a_secret_that_the_api_sends_back() -> None:
    clock = Clock()
    async with (
        playing("docker-hub", "1", clock=clock, users=users(USER)) as registry,
        following(registry, "docker-hub", clock, Passwords(USER)) as follower,
    ):
        sent: list[str] = []

        def echo(request: Request, _: Response) -> Response:
            token = request.headers.get("authorization", "")
            sent.append(token.removeprefix("Bearer "))
            body = json.dumps({"you": USER.password, "sent": token})
            return Response(200 if token else 404, (), body.encode())

        registry.fault(Fault(action=Transform(function=echo), match=Match(kind=Kind.NATIVE)))
        await follower.look()
        (note,) = follower.client.take_notes()
    assert USER.password is not None
    assert USER.password not in note
    assert sent[-1] not in note
    assert "***" in note


@pytest.mark.parametrize("kind", ["gitlab", "acr"])
async def test_no_note_repeats_a_token_of_v2_that_the_api_sends_back(kind: str) -> None:
    clock = Clock()
    async with (
        playing(kind, "1", clock=clock, users=users(USER)) as registry,
        following(registry, kind, clock, Passwords(USER)) as follower,
    ):
        sent: list[str] = []

        def echo(request: Request, response: Response) -> Response:
            scheme, _, secret = request.headers.get("authorization", "").partition(" ")
            if not secret:
                return response
            sent.append(secret)
            return Response(200, (), f"{scheme} {secret}".encode())

        registry.fault(Fault(action=Transform(function=echo), match=Match(kind=Kind.NATIVE)))
        await follower.look()
        (note,) = follower.client.take_notes()
    assert sent[-1][:40] not in note
    assert "***" in note


@pytest.mark.parametrize(("kind", "user"), [("quay", OAUTH), ("harbor", USER)])
async def test_a_refused_password_rests_for_the_own_api_as_well(
    kind: str, user: Credential
) -> None:
    clock = Clock()
    wrong = replace(user, password="wr0ng")
    async with (
        playing(kind, "1", clock=clock, users=users(user)) as registry,
        following(registry, kind, clock, Passwords(wrong)) as follower,
    ):
        with pytest.raises(AuthenticationFailed):
            await follower.look()
        registry.reset_log()
        with pytest.raises(AuthenticationFailed):
            await follower.client.look("acme/other", follower.seen())
    assert schemes(registry) <= {None}


async def test_docker_hubs_own_api_is_at_hub_docker_com() -> None:
    """Seen at a proxy, for nothing else can stand in for that name."""
    timeouts = Timeouts(connect=timedelta(seconds=1), read=timedelta(seconds=1))
    async with FakeRegistry() as proxy:
        through = connect(
            "docker.io",
            Passwords(USER),
            proxy=proxy.url,
            timeouts=timeouts,
            strategy=Strategy.NATIVE,
        )
        async with through as client:
            with pytest.raises(RegistryError):
                await client.look("nginx", Seen())
        wanted = [entry.path for entry in proxy.requests if entry.method == "CONNECT"]
    assert list(dict.fromkeys(wanted)) == ["hub.docker.com:443", "registry-1.docker.io:443"]

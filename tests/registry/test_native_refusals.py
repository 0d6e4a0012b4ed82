"""A native API is a convenience: when it refuses, lies, is busy or is not there, v2 is asked in
the same look, and what is found is the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.registry.accounts import Clock
from tests.registry.clients import connect
from tests.registry.looks import (
    NEWEST_FIRST,
    WEB,
    Follower,
    asked,
    following,
    playing,
    stored,
)
from watcher.core.account import DialectName, Strategy
from watcher.errors import NotFound, RateLimited
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.listing.tags import Listing, Recent, Unchanged
from watcher.registry.native.standing import REST
from watcher.testing.faults import Action, Cut, Fault, Match, Raw, Respond, Transform
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry
from watcher.testing.wire import Request, Response

JSON = (("Content-Type", "application/json"),)
HTML = (("Content-Type", "text/html"),)
OTHER = "acme/api"
NATIVE_QUAY: dict[str, Any] = {"dialect": DialectName.QUAY, "strategy": Strategy.NATIVE}

every_kind = pytest.mark.parametrize("kind", NEWEST_FIRST)


@asynccontextmanager
async def scene(kind: str, *tags: str) -> AsyncIterator[tuple[FakeRegistry, Follower, Clock]]:
    """A registry that was looked at twice, and an empty log."""
    clock = Clock()
    async with (
        playing(kind, *(tags or ("1", "2")), clock=clock) as registry,
        following(registry, kind, clock) as follower,
    ):
        for _ in range(2):
            clock.now += 60
            await follower.look()
        registry.reset_log()
        yield registry, follower, clock


def native(action: Action, times: int | None = None) -> Fault:
    return Fault(action=action, match=Match(kind=Kind.NATIVE), times=times)


REFUSALS = [
    pytest.param(Respond(403, JSON, b"{}"), id="403"),
    pytest.param(Respond(405, JSON, b"{}"), id="405"),
    pytest.param(Respond(418, JSON, b"{}"), id="418"),
    pytest.param(Respond(200, HTML, b"<html>Please log in</html>"), id="a web page"),
    pytest.param(Respond(200, JSON, b'{"tags": ['), id="broken JSON"),
    pytest.param(Respond(200, JSON, b"\xff\xfe"), id="no UTF-8"),
    pytest.param(Respond(200, JSON, b"[" * 100_000), id="JSON without end"),
    pytest.param(Respond(200, JSON, b'{"unheard": "of"}'), id="another form"),
    pytest.param(Respond(200, JSON, b'["a", "b"]'), id="a list of names"),
    pytest.param(Respond(200, JSON, b"null"), id="null"),
    pytest.param(Respond(302, (("Location", "/elsewhere"),)), id="a redirect to nowhere"),
    pytest.param(Respond(200, JSON, b" " * (5 * 1024 * 1024)), id="5 MiB"),
]


@every_kind
@pytest.mark.parametrize("action", REFUSALS)
async def test_after_a_refusal_v2_is_asked_in_the_same_look_and_for_an_hour(
    kind: str, action: Action
) -> None:
    async with scene(kind) as (registry, follower, clock):
        registry.fault(native(action))
        registry.push(WEB, "3")
        assert isinstance(await follower.look(), Listing)
        assert follower.digests == stored(registry)
        notes = follower.client.take_notes()
        assert len(notes) == 1
        assert "v2 is asked for an hour" in notes[0]
        registry.reset_log()
        clock.now += REST - 5
        assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (0, 1)
        registry.clear_faults()
        clock.now += 6
        await follower.look()
        assert asked(registry)[0] == 1
        assert follower.client.take_notes() == ()


@every_kind
async def test_a_refusal_is_said_once(kind: str) -> None:
    async with scene(kind) as (registry, follower, clock):
        registry.fault(native(Respond(405)))
        for _ in range(5):
            await follower.look()
            clock.now += REST
        notes = follower.client.take_notes()
    assert len(notes) == 1
    assert "answered 405" in notes[0]


async def test_an_unreadable_answer_is_shown_clean_in_the_note() -> None:
    async with scene("quay") as (registry, follower, _):
        body = b'{"error": "\x1b[31mno\x00 \xe2\x80\xae' + b"x" * 500
        registry.fault(native(Respond(200, JSON, body)))
        await follower.look()
        (note,) = follower.client.take_notes()
    assert note.isprintable()
    assert 'it begins: {"error": "' in note
    assert len(note) < 600


async def test_one_repository_that_may_not_be_read_leaves_the_api_to_the_others() -> None:
    clock = Clock()
    users = {"$oauthtoken": "other"}
    async with (
        playing("quay", "1", clock=clock, users=users, public=[WEB, OTHER]) as registry,
        following(registry, "quay", clock) as follower,
    ):
        registry.push("acme/hidden", "1")
        hidden = Follower(client=follower.client, clock=clock, repository="acme/hidden")
        await follower.look()
        with pytest.raises(Exception, match="hidden"):
            await hidden.look()
        clock.now += 60
        await follower.look()
        registry.reset_log()
        await follower.look()
        assert asked(registry) == (1, 0)
        with pytest.raises(Exception, match="hidden"):
            await hidden.look()
        assert asked(registry)[0] == 0


async def test_after_three_repositories_the_api_is_left_alone_for_all() -> None:
    names = [f"acme/{number}" for number in range(10)]
    clock = Clock()
    async with (
        playing("quay", clock=clock) as registry,
        following(registry, "quay", clock) as follower,
    ):
        registry.seed(names, ["1"])
        registry.fault(native(Respond(401, JSON, b"{}")))
        for name in names:
            await Follower(client=follower.client, clock=clock, repository=name).look()
        assert registry.count(Kind.NATIVE) == 3
        notes = follower.client.take_notes()
    assert "for all repositories of the account" in notes[-1]


async def passes_of_their_own(
    registry: FakeRegistry, clock: Clock, names: list[str], passes: int
) -> list[str]:
    """Looks by processes that are started for each pass, with what they keep; their notes."""
    blocked: dict[str, float] = {}
    kept: dict[str, Follower] = {}
    notes: list[str] = []
    for _ in range(passes):
        hosts = HostLimits(clock=clock, sleep=clock.sleep, blocked=blocked)
        async with connect(registry, clock=clock, hosts=hosts, **NATIVE_QUAY) as client:
            for name in names:
                known = kept.get(name) or Follower(client=client, clock=clock, repository=name)
                kept[name] = replace(known, client=client)
                await kept[name].look()
            notes.extend(client.take_notes())
        blocked = hosts.parking.blocked()
        clock.now += 60
    return notes


@pytest.mark.parametrize(
    ("repositories", "refusals"),
    [pytest.param(1, 1, id="one repository"), pytest.param(10, 3, id="all of the account")],
)
async def test_processes_that_follow_each_other_keep_the_rest(
    repositories: int, refusals: int
) -> None:
    names = [f"acme/{number}" for number in range(repositories)]
    clock = Clock()
    async with playing("quay", clock=clock) as registry:
        registry.seed(names, ["1"])
        registry.fault(native(Respond(401, JSON, b"{}")))
        notes = await passes_of_their_own(registry, clock, names, passes=10)
        assert registry.count(Kind.NATIVE) == len(notes) == refusals
        clock.now += REST
        registry.clear_faults()
        await passes_of_their_own(registry, clock, names, passes=1)
        assert registry.count(Kind.NATIVE) == refusals + repositories


@every_kind
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param((("Retry-After", "120"),), 120, id="Retry-After"),
        pytest.param((), 30, id="without a time"),
    ],
)
async def test_too_many_requests_park_the_native_api_alone(
    kind: str, headers: tuple[tuple[str, str], ...], seconds: float
) -> None:
    async with scene(kind) as (registry, follower, clock):
        registry.fault(native(Respond(429, headers), times=1))
        registry.push(WEB, "3")
        assert isinstance(await follower.look(), Listing)
        assert follower.digests == stored(registry)
        assert asked(registry)[0] == 1
        clock.now += seconds - 5
        await follower.look()
        assert asked(registry) == (0, 1)
        clock.now += 6
        await follower.look()
        assert asked(registry)[0] == 1


async def test_a_used_up_quota_of_the_api_is_heeded_until_it_resets() -> None:
    async with scene("docker-hub") as (registry, follower, clock):
        reset = str(int(clock.now) + 900)
        headers = (("X-RateLimit-Limit", "180"), ("X-RateLimit-Remaining", "0"))
        registry.fault(native(Respond(429, (*headers, ("X-RateLimit-Reset", reset))), times=1))
        await follower.look()
        registry.reset_log()
        clock.now += 600
        await follower.look()
        assert asked(registry) == (0, 1)
        clock.now += 301
        await follower.look()
        assert asked(registry)[0] == 1


@every_kind
@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Cut(body_bytes=10), id="a cut connection"),
        pytest.param(Raw(b"nonsense\r\n\r\n"), id="no HTTP"),
        pytest.param(Respond(500), id="500"),
        pytest.param(Respond(502), id="502"),
    ],
)
async def test_without_an_answer_v2_is_asked_in_the_same_look(kind: str, action: Action) -> None:
    async with scene(kind) as (registry, follower, clock):
        registry.fault(native(action))
        registry.push(WEB, "3")
        assert isinstance(await follower.look(), Listing)
        assert follower.digests == stored(registry)
        registry.clear_faults()
        registry.reset_log()
        await follower.look()
        assert asked(registry) == (0, 1)
        clock.now += 61
        await follower.look()
        assert asked(registry)[0] == 1
        assert follower.client.take_notes() == ()


async def test_when_v2_refuses_as_well_its_error_is_the_one() -> None:
    async with scene("quay") as (registry, follower, clock):
        registry.fault(Fault(action=Respond(429, (("Retry-After", "60"),))))
        with pytest.raises(RateLimited):
            await follower.look()
        registry.clear_faults()
        clock.now += 61
        registry.delete_repository(WEB)
        with pytest.raises(NotFound):
            await follower.look()


def _with_a_lie(kind: str) -> Callable[[Request, Response], Response]:
    """Another tag in each answer, pushed long ago."""

    def lie(_: Request, response: Response) -> Response:
        if response.status != 200:
            return response
        document = json.loads(response.body)
        entries = document if isinstance(document, list) else document[_KEYS[kind]]
        entries.append({**entries[-1], "name": "phantom"})
        if "count" in document:
            document["count"] += 1
        return Response(200, response.headers, json.dumps(document).encode())

    return lie


def _without_the_last(kind: str) -> Callable[[Request, Response], Response]:
    """The oldest tag is left out of each answer."""

    def lie(_: Request, response: Response) -> Response:
        if response.status != 200:
            return response
        document = json.loads(response.body)
        entries = document if isinstance(document, list) else document[_KEYS[kind]]
        del entries[-1]
        return Response(200, response.headers, json.dumps(document).encode())

    return lie


_KEYS = {"quay": "tags", "docker-hub": "results", "acr": "tags"}


@every_kind
@pytest.mark.parametrize(
    "lie", [pytest.param(_with_a_lie, id="extra"), pytest.param(_without_the_last, id="missing")]
)
async def test_an_api_that_tells_other_tags_than_v2_is_not_believed_for_an_hour(
    kind: str, lie: Callable[[str], Callable[[Request, Response], Response]]
) -> None:
    clock = Clock()
    async with (
        playing(kind, "1", "2", clock=clock) as registry,
        following(registry, kind, clock) as follower,
    ):
        clock.now += 3600
        registry.fault(native(Transform(function=lie(kind))))
        await follower.look()
        assert follower.digests == stored(registry)
        (note,) = follower.client.take_notes()
        assert "v2 tell of different tags" in note
        registry.reset_log()
        for _ in range(3):
            clock.now += 60
            assert isinstance(await follower.look(), Unchanged)
        assert asked(registry) == (0, 3)
        assert follower.digests == stored(registry)


@every_kind
@pytest.mark.parametrize("change", ["push", "delete"])
async def test_what_changes_between_both_answers_is_no_lie(kind: str, change: str) -> None:
    clock = Clock()
    async with (
        playing(kind, "1", "2", clock=clock) as registry,
        following(registry, kind, clock) as follower,
    ):
        clock.now += 3600

        def meanwhile(_: Request, response: Response) -> Response:
            if change == "push":
                registry.push(WEB, "3")
            else:
                registry.delete_tag(WEB, "1")
            return response

        registry.fault(native(Transform(function=meanwhile), times=1))
        first = await follower.look()
        assert first.mark is not None
        assert follower.client.take_notes() == ()


@every_kind
async def test_an_api_that_is_not_newest_first_is_of_no_use(kind: str) -> None:
    async with scene(kind) as (registry, follower, clock):
        clock.now += 3600
        registry.push(WEB, "3")

        def backwards(_: Request, response: Response) -> Response:
            document = json.loads(response.body)
            (document if isinstance(document, list) else document[_KEYS[kind]]).reverse()
            return Response(200, response.headers, json.dumps(document).encode())

        registry.fault(native(Transform(function=backwards)))
        assert isinstance(await follower.look(), Listing)
        assert "not newest first" in follower.client.take_notes()[0]


@pytest.mark.parametrize("kind", ["docker-hub", "gitlab", "acr"])
async def test_a_next_page_elsewhere_is_not_asked_for(kind: str) -> None:
    async with scene(kind) as (registry, follower, _), FakeRegistry() as other:
        registry.push(WEB, "3")
        link = f"{other.url}/v2/namespaces/acme/repositories/web/tags?page=2"

        def elsewhere(_: Request, response: Response) -> Response:
            if kind != "docker-hub":
                headers = (*response.headers, ("Link", f'<{link}>; rel="next"'))
                return Response(200, headers, response.body)
            document = {**json.loads(response.body), "next": link}
            return Response(200, response.headers, json.dumps(document).encode())

        registry.fault(native(Transform(function=elsewhere)))
        await follower.look()
        assert follower.digests == stored(registry)
        assert other.counters.connections == 0
        assert "another host" in follower.client.take_notes()[0]


@pytest.mark.parametrize(
    ("digest", "is_read"),
    [
        pytest.param(None, True, id="null"),
        pytest.param("", True, id="empty"),
        pytest.param("sha256:nonsense", False, id="no digest"),
        pytest.param(7, False, id="a number"),
    ],
)
@every_kind
async def test_a_digest_may_be_untold_but_not_wrong(
    kind: str, digest: object, is_read: bool
) -> None:
    async with scene(kind) as (registry, follower, clock):
        clock.now += 60
        registry.push(WEB, "3")
        key = "manifest_digest" if kind == "quay" else "digest"

        def change(_: Request, response: Response) -> Response:
            document = json.loads(response.body)
            entries = document if isinstance(document, list) else document[_KEYS[kind]]
            entries[0][key] = digest
            return Response(200, response.headers, json.dumps(document).encode())

        registry.fault(native(Transform(function=change)))
        found = await follower.look()
        if is_read:
            assert isinstance(found, Recent)
            assert found.digests["3"] is None
        else:
            assert isinstance(found, Listing)
        assert follower.digests == stored(registry)


@every_kind
async def test_what_is_no_tag_is_left_out(kind: str) -> None:
    async with scene(kind) as (registry, follower, clock):
        clock.now += 60
        registry.push(WEB, "3")

        def change(_: Request, response: Response) -> Response:
            document = json.loads(response.body)
            entries = document if isinstance(document, list) else document[_KEYS[kind]]
            for name in ("../../etc", "a\nb", None, 7, ""):
                entries.insert(0, {**entries[0], "name": name})
            if "count" in document:
                document["count"] += 0
            return Response(200, response.headers, json.dumps(document).encode())

        registry.fault(native(Transform(function=change)))
        found = await follower.look()
        assert isinstance(found, Recent)
        assert set(found.digests) <= {"1", "2", "3"}


async def test_where_many_wait_for_a_slow_api_the_others_are_asked_by_v2() -> None:
    """Docker Hub's API takes two requests a second."""
    names = [f"acme/{number}" for number in range(60)]
    clock = Clock()
    async with (
        playing("docker-hub", clock=clock) as registry,
        following(registry, "docker-hub", clock) as follower,
    ):
        registry.seed(names, ["1"])
        followers = [
            Follower(client=follower.client, clock=clock, repository=name) for name in names
        ]
        await asyncio.gather(*(each.look() for each in followers))
        assert 0 < registry.count(Kind.NATIVE) <= 20
        assert all(each.digests == stored(registry, each.repository) for each in followers)

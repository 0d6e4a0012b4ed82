"""What a listing tells beyond its tags: Google's digests, ETags, and what it is when it is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.registry.accounts import ACME, Clock, Passwords
from tests.registry.clients import connect
from tests.registry.looks import WEB, Follower, following, playing, stored
from watcher.core.account import DialectName, Limits, Strategy
from watcher.errors import ProtocolError
from watcher.registry.client import RegistryClient
from watcher.registry.listing.tags import Listing, Seen, Unchanged
from watcher.testing.access import BasicAuth
from watcher.testing.faults import Fault, Match, Respond, Transform
from watcher.testing.profile import Profile
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry
from watcher.testing.wire import Request, Response

JSON = (("Content-Type", "application/json"),)
GOOGLE = ("gcr", "artifact-registry")


@pytest.mark.parametrize("kind", GOOGLE)
@pytest.mark.parametrize("page_size", [1000, 2], ids=["one page", "several pages"])
async def test_googles_map_tells_the_digests_of_all_tags(kind: str, page_size: int) -> None:
    clock = Clock()
    async with (
        playing(kind, "1", "2", "3", "4", "5", clock=clock) as registry,
        following(
            registry, kind, clock, account={"limits": Limits(page_size=page_size)}
        ) as follower,
    ):
        found = await follower.look()
        assert isinstance(found, Listing)
        assert dict(found.digests) == stored(registry)
        assert registry.count(Kind.MANIFEST) == 0
        same = await follower.look()
        assert isinstance(same, Unchanged)
        assert same.tells_digests
        registry.move("acme/web", "3")
        moved = await follower.look()
        assert isinstance(moved, Listing)
        assert dict(moved.digests) == stored(registry)


def _changed_map(change: Callable[[dict[str, Any]], None]) -> Transform:
    def function(_: Request, response: Response) -> Response:
        document = json.loads(response.body)
        if "manifest" in document:
            change(document)
        return Response(response.status, response.headers, json.dumps(document).encode())

    return Transform(function=function)


def _drop_one(document: dict[str, Any]) -> None:
    document["manifest"].popitem()


def _tell_twice(document: dict[str, Any]) -> None:
    document["manifest"]["sha256:" + "0" * 64] = {"tag": ["1"]}


def _wrong_digests(document: dict[str, Any]) -> None:
    document["manifest"] = {"latest": {"tag": ["1", "2"]}}


def _another_form(document: dict[str, Any]) -> None:
    document["manifest"] = ["sha256:" + "0" * 64]


def _no_lists(document: dict[str, Any]) -> None:
    document["manifest"] = {digest: {"tag": "1"} for digest in document["manifest"]}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_drop_one, id="a tag is missing"),
        pytest.param(_tell_twice, id="a tag has two digests"),
        pytest.param(_wrong_digests, id="no digests"),
        pytest.param(_another_form, id="another form"),
        pytest.param(_no_lists, id="no lists of tags"),
    ],
)
async def test_a_map_that_does_not_tell_all_tells_nothing(
    change: Callable[[dict[str, Any]], None],
) -> None:
    clock = Clock()
    async with (
        playing("gcr", "1", "2", clock=clock) as registry,
        following(registry, "gcr", clock) as follower,
    ):
        registry.fault(Fault(action=_changed_map(change), match=Match(kind=Kind.TAGS)))
        found = await follower.look()
        assert isinstance(found, Listing)
        assert (found.tags, found.digests) == (("1", "2"), {})
        same = await follower.look()
        assert isinstance(same, Unchanged)
        assert not same.tells_digests
        assert follower.digests == stored(registry)


async def test_googles_map_is_read_only_where_digests_are_wanted() -> None:
    clock = Clock()
    async with (
        playing("gcr", "1", clock=clock) as registry,
        following(registry, "gcr", clock, strategy=Strategy.AUTO, wants_digests=False) as follower,
    ):
        found = await follower.look()
        assert isinstance(found, Listing)
        assert found.digests == {}
        follower.wants_digests = True
        told = await follower.look()
        assert isinstance(told, Listing)
        assert dict(told.digests) == stored(registry)


@pytest.mark.parametrize("seed", [Strategy.V2, Strategy.NATIVE])
async def test_switching_between_v2_and_googles_map_finds_the_same(seed: Strategy) -> None:
    clock = Clock()
    async with (
        playing("gcr", "1", "2", clock=clock) as registry,
        following(registry, "gcr", clock, strategy=Strategy.V2) as v2,
        following(registry, "gcr", clock) as native,
    ):
        clients = [v2.client, native.client]
        follower = Follower(client=clients[seed is Strategy.V2], clock=clock)
        for step in range(8):
            registry.push(WEB, f"step-{step}")
            registry.move(WEB, "1")
            if step == 4:
                registry.delete_tag(WEB, "2")
            follower.client = clients[step % 2]
            await follower.look()
            assert follower.digests == stored(registry)
            follower.client = clients[(step + 1) % 2]
            await follower.look()
            assert follower.digests == stored(registry)


ETAGS = Profile(list_etag=True)


async def test_an_etag_saves_the_listing() -> None:
    clock = Clock()
    async with (
        FakeRegistry(profile=ETAGS, clock=clock) as registry,
        following(registry, "distribution", clock, wants_digests=False) as follower,
    ):
        registry.push(WEB, "1")
        await follower.look()
        assert await follower.look() == Unchanged(None, 1)
        assert [entry.status for entry in registry.requests_of(Kind.TAGS)] == [200, 304]
        registry.push(WEB, "2")
        found = await follower.look()
        assert isinstance(found, Listing)
        assert found.tags == ("1", "2")


async def test_after_six_hours_the_listing_itself_is_asked_for() -> None:
    clock = Clock()
    async with (
        FakeRegistry(profile=ETAGS, clock=clock) as registry,
        following(registry, "distribution", clock, wants_digests=False) as follower,
    ):
        registry.push(WEB, "1")
        await follower.look()
        clock.now += 6 * 3600
        assert (await follower.look()).fingerprint is not None  # type: ignore[union-attr]
        assert [entry.status for entry in registry.requests_of(Kind.TAGS)] == [200, 200]


async def test_an_etag_is_of_no_use_for_a_listing_that_is_not_the_stored_one() -> None:
    clock = Clock()
    async with (
        FakeRegistry(profile=ETAGS, clock=clock) as registry,
        following(registry, "distribution", clock, wants_digests=False) as follower,
    ):
        registry.push(WEB, "1")
        first = await follower.look()
        assert isinstance(first, Listing)
        for fingerprint in (None, b"", b"0" * 16):
            found = await follower.client.look(WEB, Seen(fingerprint=fingerprint, walked=clock.now))
            assert isinstance(found, Listing)
        assert {entry.status for entry in registry.requests_of(Kind.TAGS)} == {200}


async def test_an_etag_of_one_page_of_several_says_nothing() -> None:
    clock = Clock()
    account = {"limits": Limits(page_size=2)}
    async with (
        FakeRegistry(profile=ETAGS, clock=clock) as registry,
        following(
            registry, "distribution", clock, account=account, wants_digests=False
        ) as follower,
    ):
        for tag in ("1", "2", "3"):
            registry.push(WEB, tag)
        await follower.look()
        registry.push(WEB, "4")
        found = await follower.look()
        assert isinstance(found, Listing)
        assert found.tags == ("1", "2", "3", "4")


async def test_a_304_that_nobody_asked_for_is_an_error() -> None:
    clock = Clock()
    async with (
        FakeRegistry(clock=clock) as registry,
        following(registry, "distribution", clock, wants_digests=False) as follower,
    ):
        registry.push(WEB, "1")
        await follower.look()
        registry.fault(Fault(action=Respond(304), match=Match(kind=Kind.TAGS)))
        with pytest.raises(ProtocolError):
            await follower.look()


@pytest.mark.parametrize(
    "etag", [pytest.param("x" * 300, id="too long"), pytest.param('"a b"', id="with a space")]
)
async def test_an_etag_that_can_not_be_sent_back_is_left_out(
    registry: FakeRegistry, etag: str
) -> None:
    clock = Clock()
    async with following(registry, "distribution", clock, wants_digests=False) as follower:
        answer = Respond(200, (*JSON, ("ETag", etag)), b'{"tags": ["1"]}')
        registry.fault(Fault(action=answer, match=Match(kind=Kind.TAGS)))
        await follower.look()
        await follower.look()
        sent = [entry.headers.get("if-none-match") for entry in registry.requests_of(Kind.TAGS)]
    assert sent == [None, None]


@pytest.mark.parametrize(
    ("body", "content_type", "shown"),
    [
        pytest.param(b'{"tags": [', "application/json", 'it begins: {"tags": [', id="broken"),
        pytest.param(b"", "application/json", "it is empty", id="empty"),
        pytest.param(b" \n\t", "application/json", "it is empty", id="blank"),
        pytest.param(b"<html>hello</html>", "text/html", "<html>hello</html>", id="a web page"),
        pytest.param(b'{"names": ["1"]}', "application/json", '{"names": ["1"]}', id="other key"),
        pytest.param(b'{"tags": "1"}', "application/json", '{"tags": "1"}', id="no list"),
        pytest.param(b"\x1b[31mred\x00\xff\xe2\x80\xae!", "text/plain", "[31mred", id="controls"),
    ],
)
async def test_an_unknown_answer_is_shown_clean(
    registry: FakeRegistry, client: RegistryClient, body: bytes, content_type: str, shown: str
) -> None:
    answer = Respond(200, (("Content-Type", content_type),), body)
    registry.fault(Fault(action=answer, match=Match(kind=Kind.TAGS)))
    with pytest.raises(ProtocolError) as caught:
        await client.list_tags(WEB)
    assert shown in caught.value.message
    assert caught.value.message.isprintable()


async def test_of_an_unknown_answer_200_bytes_are_shown(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    registry.fault(Fault(action=Respond(200, JSON, b"x" * 5000), match=Match(kind=Kind.TAGS)))
    with pytest.raises(ProtocolError) as caught:
        await client.list_tags(WEB)
    assert "x" * 200 in caught.value.message
    assert "x" * 201 not in caught.value.message


@pytest.mark.parametrize("ahead", [0, 190, 198], ids=lambda ahead: f"after {ahead} bytes")
async def test_an_unknown_answer_that_repeats_the_password_does_not_show_it(ahead: int) -> None:
    password = ACME.password or ""
    async with FakeRegistry(auth=BasicAuth(users={"acme": password})) as registry:
        registry.push(WEB, "1")
        body = b"x" * ahead + password.encode() + b"y" * 500
        wrong = Fault(action=Respond(200, JSON, body), match=Match(kind=Kind.TAGS, authorized=True))
        registry.fault(wrong)
        async with connect(registry, Passwords(ACME), dialect=DialectName.DISTRIBUTION) as client:
            with pytest.raises(ProtocolError) as caught:
                await client.list_tags(WEB)
    assert password[:4] not in caught.value.message


async def test_an_unknown_manifest_is_shown_as_well(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    registry.push(WEB, "1")
    registry.fault(Fault(action=Respond(200, JSON, b"[1, 2"), match=Match(kind=Kind.MANIFEST)))
    with pytest.raises(ProtocolError, match=r"no manifest .*; it begins: \[1, 2"):
        await client.manifest(WEB, "1")

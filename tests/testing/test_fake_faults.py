"""The fake registry goes wrong exactly where and as often as it is told."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable

import httpx
import pytest

from watcher.testing.faults import (
    Change,
    Chunked,
    Cut,
    Drip,
    Fault,
    Gate,
    Hold,
    Match,
    Raw,
    Respond,
    Transform,
    gzip_bomb,
    gzipped,
)
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry
from watcher.testing.wire import Response

TAGS = "/v2/acme/web/tags/list"
TRUE_BODY = b'{"name":"acme/web","tags":["1"]}'


@pytest.fixture(autouse=True)
def one_tag(registry: FakeRegistry) -> None:
    registry.push("acme/web", "1")


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        pytest.param(Fault(action=Respond(503)), [503, 503, 503], id="always"),
        pytest.param(Fault(action=Respond(503), times=1), [503, 200, 200], id="once"),
        pytest.param(Fault(action=Respond(503), times=1, skip=1), [200, 503, 200], id="second"),
        pytest.param(
            Fault(action=Respond(503), match=Match(kind=Kind.MANIFEST)), [200] * 3, id="other-kind"
        ),
        pytest.param(
            Fault(action=Respond(503), match=Match(kind=Kind.TAGS, repository="acme/web")),
            [503] * 3,
            id="kind-and-repository",
        ),
        pytest.param(
            Fault(action=Respond(503), match=Match(authorized=True)), [200] * 3, id="authorized"
        ),
        pytest.param(Fault(action=Respond(503), match=Match(query="n=")), [200] * 3, id="query"),
        pytest.param(Fault(action=Respond(503), match=Match(method="GET")), [503] * 3, id="method"),
    ],
)
async def test_a_fault_meets_what_it_matches_as_often_as_it_says(
    registry: FakeRegistry, client: httpx.AsyncClient, fault: Fault, statuses: list[int]
) -> None:
    registry.fault(fault)
    assert [(await client.get(TAGS)).status_code for _ in range(3)] == statuses
    registry.clear_faults()
    assert (await client.get(TAGS)).status_code == 200


async def test_faults_are_played_in_the_order_they_were_set(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    registry.fault(Fault(action=Respond(500), times=1))
    registry.fault(Fault(action=Respond(429, (("Retry-After", "7"),)), times=1))
    first, second = await client.get(TAGS), await client.get(TAGS)
    assert (first.status_code, second.headers["Retry-After"]) == (500, "7")
    assert registry.counters.faults == 2
    assert [entry.status for entry in registry.requests] == [500, 429]


async def test_a_true_answer_can_be_changed_in_its_headers_status_and_body(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    change = Change(headers=(("Content-Type", "text/plain"), ("Link", "<x>")), without=("ETag",))
    registry.fault(Fault(action=change))
    answer = await client.get(TAGS)
    assert (answer.content, answer.headers.get_list("Content-Type")) == (TRUE_BODY, ["text/plain"])
    assert answer.headers["Link"] == "<x>"
    registry.clear_faults()
    registry.fault(Fault(action=Change(status=203, body=b"{}")))
    assert (await client.get(TAGS)).content == b"{}"


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Cut(), id="before-any-answer"),
        pytest.param(Cut(reset=True), id="by-reset"),
        pytest.param(Cut(body_bytes=5), id="in-the-body"),
        pytest.param(Chunked(size=8, complete=False), id="in-chunks"),
        pytest.param(Respond(200, (("Content-Length", "99"),), b"{}"), id="length-lies", marks=[]),
        pytest.param(Raw(b"SSH-2.0-OpenSSH_9.6\r\n"), id="not-http"),
    ],
)
async def test_a_broken_answer_is_an_error_for_the_client(
    registry: FakeRegistry, client: httpx.AsyncClient, action: Cut
) -> None:
    registry.fault(Fault(action=action, times=1))
    with pytest.raises(httpx.TransportError):
        await client.get(TAGS, timeout=httpx.Timeout(5, read=0.3))
    assert (await client.get(TAGS)).content == TRUE_BODY


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Chunked(size=8), id="chunked"),
        pytest.param(Drip(pause=0, size=3), id="dripping"),
        pytest.param(Drip(pause=0, head_at_once=True), id="dripping-body"),
        pytest.param(Hold(until=0.0), id="late"),
        pytest.param(Transform(function=gzipped), id="gzipped"),
    ],
)
async def test_an_odd_but_complete_answer_is_understood(
    registry: FakeRegistry, client: httpx.AsyncClient, action: Chunked
) -> None:
    registry.fault(Fault(action=action))
    assert (await client.get(TAGS)).content == TRUE_BODY
    assert (await client.head(TAGS)).content == b""


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda passage: Hold(until=passage), id="hold"),
        pytest.param(lambda passage: Drip(pause=passage, size=1000), id="drip"),
    ],
)
async def test_a_gate_holds_an_answer_until_it_is_opened(
    registry: FakeRegistry,
    client: httpx.AsyncClient,
    make: Callable[[Callable[[], Awaitable[None]]], Hold],
) -> None:
    gate = Gate()
    registry.fault(Fault(action=make(gate.passage)))
    asking = asyncio.create_task(client.get(TAGS))
    await gate.reached()
    assert (gate.waiting, asking.done(), registry.requests[0].status) == (1, False, 0)
    gate.step()
    assert (await asking).content == TRUE_BODY
    gate.open()
    assert (await client.get(TAGS)).status_code == 200


async def test_a_client_that_gives_up_on_a_held_answer_leaves_nothing_running() -> None:
    gate = Gate()
    async with FakeRegistry() as registry:
        registry.push("acme/web", "1")
        registry.fault(Fault(action=Hold(until=gate.passage)))
        async with httpx.AsyncClient(base_url=registry.url, trust_env=False) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(TAGS, timeout=0.1)
    assert len(asyncio.all_tasks()) == 1


async def test_requests_that_came_in_one_packet_are_answered_in_order(
    registry: FakeRegistry,
) -> None:
    registry.fault(Fault(action=Hold(until=0.01), times=1))
    host, port = registry.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    ending = b"\r\nConnection: close\r\n\r\n"
    writer.write(b"GET /v2/ HTTP/1.1\r\n\r\nGET /nowhere HTTP/1.1" + ending)
    answer = await reader.read()
    writer.close()
    assert answer.index(b"200 OK") < answer.index(b"404 Not Found")


async def test_what_is_no_http_is_refused(registry: FakeRegistry) -> None:
    host, port = registry.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x16\x03\x01 hello")
    assert b"400 Bad Request" in await reader.read()
    writer.close()


async def test_idle_connections_are_closed_on_demand(registry: FakeRegistry) -> None:
    host, port = registry.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /v2/ HTTP/1.1\r\n\r\n")
    assert await reader.readuntil(b"{}")
    registry.close_connections()
    assert await reader.read() == b""
    writer.close()


async def test_an_action_of_ones_own_may_look_at_the_request(
    registry: FakeRegistry, client: httpx.AsyncClient
) -> None:
    registry.fault(
        Fault(action=Transform(function=lambda request, true: Response(418, (), true.body[:3])))
    )
    answer = await client.get(TAGS)
    assert (answer.status_code, answer.content) == (418, TRUE_BODY[:3])


def test_a_gzip_bomb_is_small_and_valid() -> None:
    bomb = gzip_bomb(10_000_000)
    assert len(bomb) < 20_000
    inflated = zlib.decompress(bomb, 31)
    assert inflated.startswith(b'{"tags":["aaa')
    assert len(inflated) == 10_000_000 + len(b'{"tags":[""]}')

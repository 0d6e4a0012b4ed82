"""The tests' own HTTP/2 server does what it says, to a client that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.registry.certificates import Authority
from tests.registry.h2_server import Action, Cut, GoAway, H2Server, Reset, Say, running_h2


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[H2Server]:
    authority = Authority(tmp_path, now=datetime.now(UTC))
    async with running_h2(authority.server_context("127.0.0.1")) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(http2=True, verify=False, trust_env=False) as opened:
        yield opened


async def test_it_answers_with_status_headers_and_a_body_larger_than_any_window(
    server: H2Server, client: httpx.AsyncClient
) -> None:
    server.otherwise = Say(status=418, pieces=(b"x" * 500_000,) * 4, headers=(("a", "b"),))
    answer = await client.post(f"{server.url}/path", content=b"body")
    assert (answer.http_version, answer.status_code, answer.headers["a"]) == ("HTTP/2", 418, "b")
    assert len(answer.content) == 2_000_000
    (asked,) = server.asked
    assert (asked.headers[":path"], asked.body) == ("/path", b"body")


@pytest.mark.parametrize(
    ("action", "words"),
    [
        pytest.param(Reset(), "StreamReset", id="reset"),
        pytest.param(GoAway(), "ConnectionTerminated", id="goaway"),
        pytest.param(Cut(), "", id="cut"),
    ],
)
async def test_a_fault_concerns_one_request_and_the_next_is_answered(
    server: H2Server, client: httpx.AsyncClient, action: Action, words: str
) -> None:
    server.actions.append(action)
    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)) as caught:
        await client.get(server.url)
    assert words in str(caught.value)
    assert (await client.get(server.url)).status_code == 200


async def test_it_waits_until_it_is_told_to_answer_and_counts(
    server: H2Server, client: httpx.AsyncClient
) -> None:
    gate = asyncio.Event()
    server.otherwise = Say(until=gate)
    asking = [asyncio.create_task(client.get(server.url)) for _ in range(3)]
    async with asyncio.timeout(10):
        while server.most_at_once < 3:
            await asyncio.sleep(0.01)
    gate.set()
    await asyncio.gather(*asking)
    assert server.connections == 1

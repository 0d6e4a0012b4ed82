"""The faulty API server does what its table says."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.kube.faulty_api import Drip, Hang, Reply, Reset, closed_port, refused, serving
from tests.registry.certificates import Authority


async def test_it_answers_by_the_table_in_turn_and_then_for_ever_the_last() -> None:
    table = {"GET /a": [Reply(status=503, body=b"later"), Reply(body={"kind": "A"})]}
    async with serving(table) as api, httpx.AsyncClient(base_url=api.url) as client:
        answers = [await client.get("/a?x=1") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 200, 200]
    assert answers[1].json() == {"kind": "A"}
    assert api.paths == ["/a", "/a", "/a"]


async def test_what_the_table_does_not_name_is_an_unknown_page() -> None:
    async with serving({}) as api, httpx.AsyncClient(base_url=api.url) as client:
        answer = await client.get("/nothing")
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


async def test_a_request_is_kept_with_its_token_and_body() -> None:
    async with serving({"POST /a": Reply()}) as api, httpx.AsyncClient() as client:
        await client.post(f"{api.url}/a", content=b"hello", headers={"authorization": "Bearer t"})
    assert (api.requests[0].token, api.requests[0].body) == ("t", b"hello")


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        pytest.param(Hang(), httpx.ReadTimeout, id="a hang"),
        pytest.param(Reset(), httpx.ReadError, id="a reset"),
        pytest.param(Reply(body=b"x", length=5), httpx.RemoteProtocolError, id="half an answer"),
    ],
)
async def test_a_fault_looks_like_one(
    behaviour: Hang | Reset | Reply, expected: type[Exception]
) -> None:
    async with serving({"GET /a": behaviour}) as api, httpx.AsyncClient(timeout=0.3) as client:
        with pytest.raises(expected):
            await client.get(f"{api.url}/a")


async def test_a_drip_keeps_coming() -> None:
    async with (
        asyncio.timeout(10),
        serving({"GET /a": Drip(0.001)}) as api,
        httpx.AsyncClient() as client,
        client.stream("GET", f"{api.url}/a") as answer,
    ):
        chunks = answer.aiter_raw()
        got = [await anext(chunks) for _ in range(3)]
    assert b"".join(got).strip(b"x") == b""


async def test_a_refusal_is_a_status() -> None:
    reply = refused(409, "Conflict", "no", causes=[])
    async with serving({"GET /a": reply}) as api, httpx.AsyncClient() as client:
        answer = await client.get(f"{api.url}/a")
    assert answer.status_code == 409
    assert answer.json()["reason"] == "Conflict"


async def test_over_tls_it_knows_the_clients_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path, now=datetime.now(UTC))
    context = authority.server_context("127.0.0.1")
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    own = ssl.create_default_context(cafile=authority.certificate)
    own.load_cert_chain(authority.issue_client("somebody"))
    async with (
        serving({"GET /a": Reply()}, context=context) as api,
        httpx.AsyncClient(verify=own) as client,
    ):
        await client.get(f"{api.url}/a")
    assert api.requests[0].subject == "somebody"


async def test_a_closed_port_refuses_connections() -> None:
    with closed_port() as port, pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)

"""What clients may take: slow, oversized, malformed and many, they are answered 4xx or cut off."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing, suppress

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.web.serving import PATIENCE, FakeHealth, parse, serving, until
from watcher.web.app import Parts
from watcher.web.limits import KIB, MIB, Limits

HASTE = Limits(
    head_seconds=0.3, body_seconds=0.3, answer_seconds=0.3, linger_seconds=0.3, idle_seconds=1
)


async def read_all(request: Request) -> Response:
    return Response(str(len(await request.body())))


async def ignore_body(_: Request) -> Response:
    return Response(b"done")


async def fail(_: Request) -> Response:
    raise RuntimeError("secret of the house")


PARTS = Parts(
    health=FakeHealth(),
    hooks=[
        Route("/read", read_all, methods=["POST"]),
        Route("/ignore", ignore_body, methods=["POST"]),
        Route("/fail", fail),
    ],
)


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST /hooks{path} HTTP/1.1", "host: x", "connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


CHUNKED = "transfer-encoding: chunked"


def announced(size: int) -> str:
    return f"content-length: {size}"


def chunked(size: int) -> bytes:
    piece = b"x" * 1000
    whole = (b"%x\r\n%b\r\n" % (len(piece), piece)) * (size // 1000)
    return whole + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(b"NONSENSE\r\n\r\n", 400, id="no HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, id="TLS"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n", 400, id="bad header name"),
        pytest.param(
            b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            400,
            id="two lengths",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400, id="negative length"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n",
            501,
            id="unknown coding",
        ),
        pytest.param(b"GET /" + b"a" * 70 * KIB, 431, id="endless path"),
        pytest.param(
            b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a:\r\n" * 5 * KIB + b"\r\n",
            431,
            id="empty headers",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 70 * KIB, 431, id="endless header"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            + b"".join(b"x%d: %b\r\n" % (i, b"a" * 1000) for i in range(70))
            + b"\r\n",
            431,
            id="many headers",
        ),
        pytest.param(post("/read", b"", announced(2 * MIB)), 413, id="announced too large"),
        pytest.param(
            post("/read", chunked(MIB + 10_000), CHUNKED),
            413,
            id="too large in chunks",
        ),
        pytest.param(post("/read", b"zz\r\n", CHUNKED), 400, id="a chunk without size"),
        pytest.param(
            post("/read", b"0\r\n\r\n", announced(5), CHUNKED),
            400,
            id="a length and chunks",
        ),
    ],
)
async def test_what_is_wrong_is_refused_as_json(request_: bytes, status: int) -> None:
    async with serving(PARTS) as served:
        answer = parse(await served.send(request_))
        assert answer.status == status
        assert set(answer.json) == {"error", "hint"}
        assert (await served.get("/readyz")).status == 200


@pytest.mark.parametrize(
    ("body", "header"),
    [
        pytest.param(b"x" * MIB, announced(MIB), id="announced"),
        pytest.param(chunked(MIB - 576), CHUNKED, id="chunked"),
    ],
)
async def test_a_body_of_a_mebibyte_is_read(body: bytes, header: str) -> None:
    async with serving(PARTS) as served:
        assert parse(await served.send(post("/read", body, header))).status == 200


async def test_a_fault_tells_strangers_nothing_and_the_log_everything() -> None:
    async with serving(PARTS) as served:
        answer = await served.get("/hooks/fail")
        assert (answer.status, answer.json) == (500, {"error": "internal error", "hint": None})
        assert "secret of the house" in served.lines("internal_error")[0]["error"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(post("/read", b"x", announced(10)), id="who goes in the middle"),
        pytest.param(
            post("/read", b"1\r\nx\r\nzz\r\n", CHUNKED),
            id="who sends nonsense",
        ),
    ],
)
async def test_who_does_not_end_a_body_is_no_fault_of_ours(sent: bytes) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def read(request: Request) -> Response:
        begun.set()
        try:
            return await read_all(request)
        finally:
            ended.set()

    parts = Parts(health=FakeHealth(), hooks=[Route("/read", read, methods=["POST"])])
    async with serving(parts) as served:
        _, writer = await served.connect()
        writer.write(sent)
        await asyncio.wait_for(begun.wait(), PATIENCE)
        writer.close()
        await asyncio.wait_for(ended.wait(), PATIENCE)
        await until(lambda: served.server.connections == 0)
        assert served.lines("internal_error") == []


async def test_no_answer_names_the_server_or_its_version() -> None:
    async with serving(PARTS) as served:
        answers = [
            await served.get("/readyz"),
            await served.get("/nowhere"),
            await served.get("/hooks/fail"),
            parse(await served.send(b"NONSENSE\r\n\r\n")),
        ]
    for answer in answers:
        text = repr(answer).lower()
        assert "server" not in answer.headers
        assert not any(word in text for word in ("uvicorn", "starlette", "python", "traceback"))


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\n", id="headers without end"),
        pytest.param(post("/read", b"x", announced(10)), id="a body that stops"),
    ],
)
async def test_who_is_slow_is_told_so_and_closed(sent: bytes) -> None:
    async with serving(PARTS, limits=HASTE) as served:
        answer = parse(await served.send(sent))
        assert (answer.status, answer.json["error"]) == (
            408,
            "the request took too long to come",
        )


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"zz\r\n", (CHUNKED,), 400, id="malformed"),
        pytest.param(b"5\r\n", (CHUNKED,), 408, id="slow"),
        pytest.param(b"0\r\n\r\n", (CHUNKED, "content-length: 5"), 400, id="of two lengths"),
    ],
)
async def test_a_head_whose_body_does_not_come_is_answered_without_one(
    body: bytes, headers: tuple[str, ...], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    parts = Parts(health=FakeHealth(), hooks=[Route("/read", read_all, methods=["HEAD"])])
    async with serving(parts, limits=HASTE) as served:
        request = post("/read", body, *headers).replace(b"POST", b"HEAD")
        answer = parse(await served.send(request))
        assert (answer.status, answer.body) == (status, b"")
        assert served.lines("internal_error") == []
        assert caplog.records == []


async def test_dripping_bytes_buys_no_time() -> None:
    async with serving(PARTS, limits=HASTE) as served:
        reader, writer = await served.connect()
        with closing(writer):
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
            deadline = time.monotonic() + PATIENCE
            while not reader.at_eof() and not writer.is_closing():
                assert time.monotonic() < deadline
                writer.write(b"x")
                await asyncio.sleep(0.02)
                try:
                    await asyncio.wait_for(reader.read(1000), 0.02)
                except (TimeoutError, ConnectionError):
                    continue


async def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    ended: list[str] = []

    async def never(_: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("it was given up")
        return Response(b"")

    parts = Parts(health=FakeHealth(), hooks=[Route("/never", never)])
    async with serving(parts, limits=HASTE) as served:
        answer = await served.get("/hooks/never")
        assert (answer.status, answer.json["error"]) == (503, "the answer took too long")
        assert ended


async def test_who_says_nothing_is_closed() -> None:
    async with serving(PARTS, limits=HASTE) as served:
        assert await served.send(b"") == b""


async def test_a_body_that_nobody_reads_is_not_waited_for_long() -> None:
    async with serving(PARTS, limits=HASTE) as served:
        answer = await served.send(
            post("/ignore", b"x", announced(MIB)).replace(b"connection: close\r\n", b"")
        )
        assert parse(answer).status == 200


async def test_who_sends_more_than_any_request_has_is_cut_off() -> None:
    limits = Limits(head_bytes=KIB, body_bytes=KIB)
    request = post("/ignore", chunked(100 * KIB), CHUNKED)
    async with serving(PARTS, limits=limits) as served:
        reader, writer = await served.connect()
        with closing(writer):
            writer.write(request.replace(b"connection: close\r\n", b"") * 20)
            with suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), PATIENCE)


async def test_who_does_not_read_the_answer_is_cut_off() -> None:
    large = b"x" * 30 * MIB

    async def much(_: Request) -> Response:
        return Response(large)

    parts = Parts(health=FakeHealth(), hooks=[Route("/much", much)])
    async with serving(parts, limits=HASTE) as served:
        reader, writer = await served.connect()
        with closing(writer):
            writer.write(b"GET /hooks/much HTTP/1.1\r\nhost: x\r\n\r\n")
            await until(lambda: served.server.connections == 1)
            await until(lambda: served.server.connections == 0)
            got = 0
            with suppress(ConnectionError):
                while piece := await asyncio.wait_for(reader.read(MIB), PATIENCE):
                    got += len(piece)
            assert got < len(large)


async def test_one_too_many_costs_who_waited_longest_and_a_whole_request_is_served() -> None:
    async with serving(PARTS, limits=Limits(connections=5)) as served:
        slow = [await served.connect() for _ in range(5)]
        for _, writer in slow:
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
        assert (await served.get("/readyz")).status == 200
        reader, _ = slow[0]
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        assert served.lines("connections_shed")[0]["most"] == 5
        for _, writer in slow:
            writer.close()


async def test_where_all_wait_for_their_answers_one_more_is_served_all_the_same() -> None:
    async def never(_: Request) -> Response:
        await asyncio.Event().wait()
        return Response(b"")

    parts = Parts(health=FakeHealth(), hooks=[Route("/never", never)])
    async with serving(parts, limits=Limits(connections=5, drain_seconds=1)) as served:
        busy = [await served.connect() for _ in range(5)]
        for _, writer in busy:
            writer.write(b"GET /hooks/never HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await served.get("/readyz")).status == 200
        for _, writer in busy:
            writer.close()


async def test_who_does_not_wait_for_an_answer_gets_one_and_no_more() -> None:
    async with serving(PARTS) as served:
        answer = await served.send(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n" * 1000)
        assert answer.count(b"HTTP/1.1 200") == 1


async def test_all_bodies_together_have_a_bound() -> None:
    limits = Limits(own_bytes=0, bodies_bytes=100 * KIB)
    async with serving(PARTS, limits=limits) as served:
        reader, writer = await served.connect()
        with closing(writer):
            writer.write(post("/read", b"x" * 60 * KIB, announced(61 * KIB)))
            second = post("/read", b"x" * 60 * KIB, announced(60 * KIB))
            deadline = time.monotonic() + PATIENCE
            while parse(await served.send(second)).status != 503:
                assert time.monotonic() < deadline
            writer.write(b"x" * KIB)
            assert parse(await asyncio.wait_for(reader.read(), PATIENCE)).status == 200
        assert parse(await served.send(second)).status == 200


async def test_whoever_fills_the_room_for_bodies_keeps_no_ordinary_request_out() -> None:
    limits = Limits(own_bytes=10 * KIB, bodies_bytes=60 * KIB)
    async with serving(PARTS, limits=limits) as served:
        _, writer = await served.connect()
        with closing(writer):
            writer.write(post("/read", b"x" * 60 * KIB, announced(61 * KIB)))
            large = post("/read", b"x" * 60 * KIB, announced(60 * KIB))
            deadline = time.monotonic() + PATIENCE
            while parse(await served.send(large)).status != 503:
                assert time.monotonic() < deadline
            ordinary = post("/read", b"x" * 10 * KIB, announced(10 * KIB))
            assert parse(await served.send(ordinary)).status == 200


async def test_a_body_in_crumbs_is_refused_before_it_holds_up_the_polls() -> None:
    crumbs = b"1\r\nx\r\n" * (Limits().chunks + 1)
    async with serving(PARTS) as served:
        answer = await served.send(post("/read", crumbs, CHUNKED))
        assert parse(answer).status == 413

"""Where the HTTP side listens, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from contextlib import closing
from io import StringIO

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.web.serving import PATIENCE, FakeHealth, parse, serving
from watcher.core.serving import HttpSettings
from watcher.errors import ListenError
from watcher.telemetry.log import Log
from watcher.web.app import Parts, make_app
from watcher.web.limits import Limits
from watcher.web.server import HttpServer


def server_at(host: str, port: int) -> HttpServer:
    log = Log("error", stream=StringIO())
    settings = HttpSettings(host=host, port=port)
    return HttpServer(make_app(Parts(health=FakeHealth()), settings, log=log), settings, log=log)


def has_ipv6() -> bool:
    try:
        with closing(socket.create_server(("::1", 0), family=socket.AF_INET6)):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_the_log_says_where_it_listens(host: str) -> None:
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    async with serving(host=host) as served:
        place = f"[{served.host}]" if ":" in served.host else served.host
        assert served.lines("listening")[0]["address"] == f"{place}:{served.port}"
        assert (await served.get("/readyz")).status == 200


async def test_a_port_that_is_taken_is_an_error_with_a_hint() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError, match=f"can't listen on 127.0.0.1:{port}: ") as error:
            server_at("127.0.0.1", port).bind()
    assert "another program has the port" in str(error.value.hint)


async def test_an_address_of_another_machine_is_an_error_with_a_hint() -> None:
    with pytest.raises(ListenError, match=r"can't listen on 192\.0\.2\.1:1: ") as error:
        server_at("192.0.2.1", 1).bind()
    assert "this machine has no such address" in str(error.value.hint)


async def test_what_is_bound_but_never_served_is_given_back() -> None:
    server = server_at("127.0.0.1", 0)
    port = int(server.bind().rpartition(":")[2])
    server.close()
    again = server_at("127.0.0.1", port)
    again.bind()
    again.close()


async def test_signals_stay_the_daemons() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    async with serving() as served:
        await served.get("/readyz")
        during = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert during == before


async def test_an_answer_under_way_is_given_before_the_end() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        begun.set()
        await go.wait()
        return Response(b"done")

    async with serving(Parts(health=FakeHealth(), hooks=[Route("/slow", slow)])) as served:
        asking = asyncio.create_task(served.get("/hooks/slow"))
        await begun.wait()
        served.server.stop()
        go.set()
        assert (await asking).body == b"done"


async def test_the_end_waits_for_nobody_longer_than_it_may() -> None:
    begun = asyncio.Event()

    async def never(_: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        return Response(b"")

    parts = Parts(health=FakeHealth(), hooks=[Route("/never", never)])
    async with serving(parts, limits=Limits(drain_seconds=1)) as served:
        idle, asking = await served.connect(), await served.connect()
        asking[1].write(b"GET /hooks/never HTTP/1.1\r\nhost: x\r\n\r\n")
        await begun.wait()
    for reader, writer in (idle, asking):
        await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()


async def test_one_connection_serves_several_requests_without_delay() -> None:
    """A small answer must not wait for the acknowledgement of its headers, which takes 40 ms."""
    async with serving() as served:
        reader, writer = await served.connect()
        took = []
        for _ in range(20):
            began = time.monotonic()
            writer.write(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answer = await reader.readuntil(b"}")
            took.append(time.monotonic() - began)
            assert parse(answer).json == {"ready": True}
        writer.close()
    assert sorted(took)[10] < 0.03, took

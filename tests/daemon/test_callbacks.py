"""Docker Hub's callback: who is called, with what, and what a failure comes to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

from tests.registry.certificates import Authority
from tests.registry.proxies import running_proxy
from watcher.daemon.callbacks import MOST_WAITING, Callbacks
from watcher.telemetry.log import Log
from watcher.web.hooks.callback import is_docker_hub

HOST = "registry.hub.docker.com"
URL = f"https://{HOST}/u/acme/web/hook/2f1c-of-nobody/"


@pytest.mark.parametrize(
    ("url", "is_theirs"),
    [
        pytest.param(URL, True, id="as Docker Hub sends it"),
        pytest.param("https://hub.docker.com/x", True, id="the host itself"),
        pytest.param("https://HUB.docker.com:443/x", True, id="in capitals, with the port"),
        pytest.param("http://registry.hub.docker.com/x", False, id="plain http"),
        pytest.param("https://registry.hub.docker.com:8443/x", False, id="another port"),
        pytest.param("https://evilhub.docker.com/x", False, id="a name that ends so"),
        pytest.param("https://hub.docker.com.evil.test/x", False, id="a name that begins so"),
        pytest.param("https://hub.docker.com@evil.test/x", False, id="as a user"),
        pytest.param("https://me:secret@hub.docker.com/x", False, id="with a password"),
        pytest.param("https://evil.test#.hub.docker.com", False, id="behind a number sign"),
        pytest.param("https://evil.test\\.hub.docker.com/x", False, id="behind a backslash"),
        pytest.param("https://169.254.169.254/hub.docker.com", False, id="metadata"),
        pytest.param("https://evil.test .hub.docker.com/x", False, id="behind a space"),
        pytest.param("https://evil.test%2f.hub.docker.com/x", False, id="behind a coded slash"),
        pytest.param("https://evil.test;.hub.docker.com/x", False, id="behind a semicolon"),
        pytest.param("https://hub.docker.com./x", False, id="with a dot at its end"),
        pytest.param("https://.hub.docker.com/x", False, id="below it, without a name"),
        pytest.param("https://hub.docker.com:port/x", False, id="no port"),
        pytest.param("https://[hub.docker.com/x", False, id="half an address"),
        pytest.param("https://hub.docker.com/\r\nX: y", False, id="a line end"),
        pytest.param("https://hub.docker.com/" + "x" * 3000, False, id="very long"),
        pytest.param("", False, id="empty"),
    ],
)
def test_only_docker_hub_is_called(url: str, is_theirs: bool) -> None:
    assert is_docker_hub(url) is is_theirs


@dataclass
class Hub:
    """Plays Docker Hub at an address of this machine."""

    status: int = 200
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append((head.split("\r\n")[0], body))
            writer.write(f"HTTP/1.1 {self.status} X\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
            self.heard.set()
        finally:
            writer.close()


@dataclass
class Scene:
    """Callbacks that go by a proxy, which is where Docker Hub's name leads to the hub."""

    hub: Hub
    callbacks: Callbacks
    log: StringIO
    asked: list[str]

    def failures(self) -> list[str]:
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line["error"] for line in lines if line["event"] == "callback_failed"]


@asynccontextmanager
async def working(environment: Mapping[str, str], log: StringIO) -> AsyncIterator[Callbacks]:
    callbacks = Callbacks(environment, log=Log("info", "json", log), resolve=_private)
    running = asyncio.create_task(callbacks.run())
    try:
        yield callbacks
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _private(host: str) -> Sequence[str]:
    """A resolver that leads Docker Hub's callback to the network inside."""
    return ["10.0.0.7"] if host == HOST else ["198.51.100.7", "8.8.8.8"]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    authority = Authority(tmp_path, now=datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue(HOST))
    hub, log = Hub(), StringIO()
    server = await asyncio.start_server(hub.serve, "127.0.0.1", 0, ssl=context)
    names = {HOST: f"127.0.0.1:{server.sockets[0].getsockname()[1]}"}
    async with server, running_proxy(names=names) as proxy:
        environment = {"https_proxy": proxy.url, "SSL_CERT_FILE": str(authority.certificate)}
        async with working(environment, log) as callbacks:
            yield Scene(hub, callbacks, log, proxy.asked)


async def failed(scene: Scene) -> None:
    """Wait until a callback has failed."""
    async with asyncio.timeout(20):
        while not scene.failures():
            await asyncio.sleep(0.01)


async def test_docker_hub_hears_that_the_delivery_arrived(scene: Scene) -> None:
    scene.callbacks.add(URL)
    await asyncio.wait_for(scene.hub.heard.wait(), 20)
    ((line, body),) = scene.hub.requests
    assert line == "POST /u/acme/web/hook/2f1c-of-nobody/ HTTP/1.1"
    told = json.loads(body)
    assert told["state"] == "success"
    assert set(told) == {"state", "description", "context"}
    assert scene.failures() == []


async def test_a_failure_is_a_line_of_the_log_without_the_url(scene: Scene) -> None:
    scene.hub.status = 500
    scene.callbacks.add(URL)
    await failed(scene)
    assert scene.failures() == ["the callback was answered 500"]
    assert "2f1c" not in scene.log.getvalue()


async def test_who_is_not_docker_hub_is_never_called(scene: Scene) -> None:
    scene.callbacks.add("https://hub.docker.com.evil.test/x")
    assert len(scene.failures()) == 1
    scene.callbacks.add(URL)
    await asyncio.wait_for(scene.hub.heard.wait(), 20)
    assert scene.asked == [f"CONNECT {HOST}:443"]


async def test_an_address_inside_is_not_called_whatever_the_name_says() -> None:
    log = StringIO()
    async with working({}, log) as callbacks:
        callbacks.add(URL)
        scene = Scene(Hub(), callbacks, log, [])
        await failed(scene)
    assert "a private address (10.0.0.7)" in scene.failures()[0]


async def test_so_many_wait_at_most() -> None:
    log = StringIO()
    callbacks = Callbacks({}, log=Log("info", "json", log), resolve=_private)
    for _ in range(MOST_WAITING + 2):
        callbacks.add(URL)
    assert log.getvalue().count("callback_failed") == 2

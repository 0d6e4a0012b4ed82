"""A hostile registry can use up neither time, nor memory, nor open files, and learns no secret."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import AsyncIterator

import pytest

from watcher.core.oci import OCI_MANIFEST, Manifest, digest_of
from watcher.errors import ProtocolError, ProxyError
from watcher.http_client import (
    MAXIMUM_ORIGINS,
    Connections,
    Headers,
    HttpSettings,
    read_body,
)
from watcher.registry.listing.links import next_link

SECRET = "correct-horse"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "line", ["<" * 60_000, "<a>;" + " " * 60_000, "<a>" + "; rel " * 10_000], ids=["<", " ", ";"]
)
def test_a_link_made_to_be_slow_is_read_at_once(line: str) -> None:
    began = time.perf_counter()
    next_link([line])
    assert time.perf_counter() - began < 2


class Endless:
    """A whole compressed body, and then more than anybody can keep."""

    def __init__(self, first: bytes, further: bytes) -> None:
        self.sent = 0
        self._pieces = first, further

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._pieces[0]
        while self.sent < 100_000_000:
            self.sent += len(self._pieces[1])
            yield self._pieces[1]


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize(
    ("first", "further"),
    [
        pytest.param(zlib.compress(b'{"tags":[]}'), b"x" * 65536, id="behind-the-end"),
        pytest.param(b"\x78\x9c", b"\x00\x00\x00\xff\xff" * 10_000, id="empty-blocks"),
    ],
)
async def test_compressed_bytes_without_content_count_against_the_cap(
    first: bytes, further: bytes, status: int
) -> None:
    stream = Endless(first, further)
    reading = read_body(
        aiter(stream),
        status=status,
        headers=Headers([(b"Content-Encoding", b"deflate")]),
        cap=1_000_000,
        host="registry.example",
    )
    if status == 200:
        with pytest.raises(ProtocolError, match="more than"):
            await reading
    else:
        await reading
    assert stream.sent < 2_000_000


async def test_connections_to_ever_new_origins_do_not_stay_open() -> None:
    """As a registry causes them that redirects each request to another name or port."""
    open_connections: set[object] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(writer)
        try:
            while await reader.readline():
                while (await reader.readline()).strip():
                    pass
                writer.write(ANSWER)
        finally:
            open_connections.discard(writer)
            writer.close()

    connections = Connections(HttpSettings(), environment={})
    async with await asyncio.start_server(serve, "0.0.0.0", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for number in range(3 * MAXIMUM_ORIGINS):
            url = f"http://127.0.0.{number + 1}:{port}/"
            reply = await connections.exchange("GET", url, [], cap=1000, host="registry.example")
            assert reply.status == 200
        async with asyncio.timeout(5):
            while len(open_connections) > MAXIMUM_ORIGINS:
                await asyncio.sleep(0.01)
        await connections.aclose()
        async with asyncio.timeout(5):
            while open_connections:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "proxy",
    [
        f"http://user:{SECRET}/x@proxy.example:3128",
        f"ftp://user:{SECRET}@proxy.example",
        f"socks5://user:{SECRET}@proxy.example:1080",
    ],
    ids=["slash in the password", "unknown scheme", "socks"],
)
async def test_a_proxy_that_can_not_be_used_is_an_error_without_its_url(proxy: str) -> None:
    connections = Connections(HttpSettings(), environment={"HTTPS_PROXY": proxy})
    with pytest.raises(ProxyError) as caught:
        await connections.exchange(
            "GET", "https://registry.example/v2/", [], cap=1000, host="registry.example"
        )
    shown = f"{caught.value!r}{caught.value.__cause__!r}"
    assert SECRET not in shown
    assert "registry.example can't be used" in shown


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff": 1}', '["a\\uD83Db"]'])
def test_half_a_character_in_a_manifest_is_refused(text: str) -> None:
    """No file, no database and no command line takes one."""
    content = f'{{"schemaVersion": 2, "annotations": {text}}}'.encode()
    with pytest.raises(ValueError, match="half a character"):
        Manifest.parse(content, OCI_MANIFEST, digest_of(content))


def test_a_whole_character_in_two_escapes_is_taken() -> None:
    content = b'{"schemaVersion": 2, "annotations": {"a": "\\ud83d\\ude00"}}'
    assert Manifest.parse(content, OCI_MANIFEST, digest_of(content)).annotations == {"a": "😀"}


def test_the_message_about_a_media_type_is_short_and_printable() -> None:
    content = json.dumps({"mediaType": "\x1b[2J\n" * 100_000}).encode()
    with pytest.raises(ValueError, match="the manifest says") as caught:
        Manifest.parse(content, OCI_MANIFEST, digest_of(content))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000

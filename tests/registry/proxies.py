"""A small forward proxy for tests: CONNECT tunnels, absolute requests, and refusals with 407."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_WANTS_LOGIN = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
)


class Proxy:
    """Passes everything on and remembers the first lines; `refuses` makes it answer 407. `names`
    are hosts that it alone can resolve, with their addresses; one with a port (`127.0.0.1:4711`)
    takes the place of every port."""

    def __init__(self, *, refuses: bool = False, names: Mapping[str, str] | None = None) -> None:
        self.refuses = refuses
        self.names = names or {}
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self.url = ""
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        try:
            await serving
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._serving.discard(serving)
            writer.close()

    async def hang_up(self) -> None:
        """End what is still open."""
        serving = tuple(self._serving)
        for each in serving:
            each.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        first, _, rest = head.partition(b"\r\n")
        method, target, _ = first.decode("ascii").split(" ")
        self.asked.append(f"{method} {target}")
        if self.refuses:
            writer.write(_WANTS_LOGIN)
            await writer.drain()
            return
        authority = target if method == "CONNECT" else urlsplit(target).netloc
        host, _, port = authority.rpartition(":")
        address, _, own_port = self.names.get(host, host).partition(":")
        far_reader, far_writer = await asyncio.open_connection(address, int(own_port or port))
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = target.partition("://")[2].partition("/")[2]
                far_writer.write(f"{method} /{path} HTTP/1.1\r\n".encode("ascii") + rest)
            await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
        finally:
            far_writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def running_proxy(
    *, refuses: bool = False, names: Mapping[str, str] | None = None
) -> AsyncIterator[Proxy]:
    """A proxy on a free loopback port."""
    proxy = Proxy(refuses=refuses, names=names)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy.url = f"http://127.0.0.1:{port}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.hang_up()
        await server.wait_closed()

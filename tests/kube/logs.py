"""The part of the kubelet stand-in that the API server asks for a container's log, by TLS.

A pod's annotation `test/log` holds the lines; without one, a crashing container has some.
"""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import parse_qs, urlsplit

from tests.kube.behaviours import Life

LOG = "test/log"
CRASH_LOG = "reading the settings\npanic: cannot open the database\n"


class LogServer:
    """Knows of each pod how it fares now."""

    def __init__(self) -> None:
        self._lives: dict[str, tuple[Life, float]] = {}

    async def listen(self, context: ssl.SSLContext) -> int:
        """Serve as long as the event loop runs; gives the port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def know(self, life: Life, at: float) -> None:
        self._lives[life.pod["metadata"]["uid"]] = life, at

    def forget(self, uid: str) -> None:
        self._lives.pop(uid, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            code, text = self.answer(head.split(b" ")[1].decode("ascii"))
            body = text.encode()
            first = f"HTTP/1.1 {code} Answer\r\nContent-Type: text/plain\r\n"
            rest = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write((first + rest).encode("ascii") + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def answer(self, target: str) -> tuple[int, str]:
        """Status and text; the target is `/containerLogs/NAMESPACE/POD/CONTAINER?tailLines=N` and
        perhaps `&previous=true`."""
        url = urlsplit(target)
        namespace, pod, container = url.path.split("/")[2:5]
        for life, at in self._lives.values():
            metadata = life.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, pod):
                return self._log(life, at, container, parse_qs(url.query))
        return 404, f'pod "{pod}" not found'

    def _log(
        self, life: Life, at: float, container: str, query: dict[str, list[str]]
    ) -> tuple[int, str]:
        step, full = life.current(at)[container], life.pod["metadata"]
        if "true" in query.get("previous", []) and not step.restarts:
            wanted = f'previous terminated container "{container}" in pod "{full["name"]}"'
            return 400, f"{wanted} not found"
        if step.waiting and not step.restarts:
            return 400, f'container "{container}" in pod "{full["name"]}" is waiting to start'
        text = full.get("annotations", {}).get(LOG, CRASH_LOG if step.restarts else "started\n")
        lines = str(text).splitlines(keepends=True)
        return 200, "".join(lines[-int(query.get("tailLines", ["1000"])[0]) :])

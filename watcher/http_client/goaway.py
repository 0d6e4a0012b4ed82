"""An orderly end of an HTTP/2 connection, which h2 takes for its immediate end.

A server that takes no more requests on a connection says so (GOAWAY without an error, RFC 9113,
6.8) and still sends the answers that are under way. h2 refuses those, so the message is taken out
of what it reads. nginx sends it after `keepalive_requests`, others after some minutes.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import httpcore

_HEAD = 9  # bytes: length (3), kind (1), flags (1), stream (4)
_GOAWAY = 7
_SMALLEST_GOAWAY = 8  # bytes: last stream (4), error (4)
_LARGEST_GOAWAY = 4096
"""In bytes, with its text for people; a larger one is left to h2."""


class Frames:
    """What a server sends, without its orderly ends; `on_end` is called for each of those."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._held = b""
        self._passing = 0

    def without_ends(self, data: bytes) -> bytes:
        """The bytes that may be passed on now; the beginning of a frame is held back."""
        data = self._held + data
        passed: list[bytes] = []
        start = at = 0
        while at < len(data):
            if not self._passing:
                size = self._size_of_end(data, at)
                if size is None:
                    break
                if size:
                    passed.append(data[start:at])
                    start = at = at + size
                    self._on_end()
                    continue
                self._passing = _HEAD + _length(data, at)
            step = min(self._passing, len(data) - at)
            self._passing -= step
            at += step
        self._held = data[at:]
        passed.append(data[start:at])
        return b"".join(passed)

    def _size_of_end(self, data: bytes, at: int) -> int | None:
        """How long the orderly end is that begins here; 0: another frame, None: more is needed."""
        if len(data) - at < _HEAD:
            return None
        length = _length(data, at)
        if data[at + 3] != _GOAWAY or not _SMALLEST_GOAWAY <= length <= _LARGEST_GOAWAY:
            return 0
        if len(data) - at < _HEAD + length:
            return None
        error = data[at + _HEAD + 4 : at + _HEAD + 8]
        return 0 if any(error) else _HEAD + length


def _length(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "big")


class OrderlyStream(httpcore.AsyncNetworkStream):
    """A stream of httpcore's, which reads through Frames once HTTP/2 was agreed on."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, on_end: Callable[[], None]) -> None:
        self._stream = stream
        self._on_end = on_end
        tls = stream.get_extra_info("ssl_object")
        is_http2 = isinstance(tls, ssl.SSLObject) and tls.selected_alpn_protocol() == "h2"
        self._frames = Frames(on_end) if is_http2 else None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while data := await self._stream.read(max_bytes, timeout):
            if self._frames is None:
                return data
            if passed := self._frames.without_ends(data):
                return passed
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return OrderlyStream(stream, self._on_end)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

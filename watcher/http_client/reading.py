"""The body of an answer: taken raw, inflated within bounds, given up beyond its cap.

HTTP libraries inflate a whole chunk before any cap could see it (a bomb of 0.5 MB takes 260 MB),
so the bytes are taken as they were sent and inflated here. Both engines read so.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from watcher.errors import ProtocolError
from watcher.http_client.messages import Headers

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


async def read_body(
    chunks: AsyncIterator[bytes], *, status: int, headers: Headers, cap: int, host: str
) -> bytes:
    """The body, inflated; of an error (status 400 and above) what goes beyond the cap is left.

    Raises ProtocolError above the cap, or when the encoding is unknown or broken.
    """
    inflate = _inflater(headers.get("content-encoding") or "", host)
    parts: list[bytes] = []
    size = received = 0
    async for chunk in chunks:
        # zlib keeps what follows the end of the compressed data: that counts too.
        received += len(chunk)
        if inflate is None:
            part = chunk
        elif inflate.eof:  # zlib would copy all that it kept, for each chunk
            part = b""
        else:
            part = _inflate(inflate, chunk, cap - size + 1, host)
        size += len(part)
        parts.append(part)
        if max(size, received) > cap:
            if status >= 400:
                return b"".join(parts)[:cap]
            raise ProtocolError(f"{host} sent more than {cap // 1024} KiB in one answer", host=host)
    if inflate is not None and size and not inflate.eof:
        raise ProtocolError(f"{host} sent a compressed answer that ends too early", host=host)
    return b"".join(parts)


def _inflater(encoding: str, host: str) -> zlib._Decompress | None:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(_GZIP_OR_ZLIB)
    raise ProtocolError(f"{host} sent an answer in an encoding nobody asked for", host=host)


def _inflate(inflater: zlib._Decompress, chunk: bytes, most: int, host: str) -> bytes:
    try:
        return inflater.decompress(chunk, most)
    except zlib.error as error:
        raise ProtocolError(f"{host} sent a broken compressed answer", host=host) from error

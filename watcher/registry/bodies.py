"""Bodies of answers: read up to a cap, inflated within bounds, and parsed strictly.

httpx would inflate a whole chunk before any cap could see it (a bomb of 0.5 MB takes 260 MB), so
the bytes are taken raw and inflated here. Only registry/ imports this.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from watcher.errors import ProtocolError

if TYPE_CHECKING:
    import httpx

MANIFEST_CAP = 4 * 1024 * 1024
CONFIG_CAP = 4 * 1024 * 1024
TOKEN_CAP = 128 * 1024
ERROR_CAP = 64 * 1024
PAGE_CAP = 8 * 1024 * 1024
GOOGLE_PAGE_CAP = 32 * 1024 * 1024  # its tag lists carry a map of all manifests
WALK_CAP = 64 * 1024 * 1024
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


async def read_body(response: httpx.Response, cap: int, host: str) -> bytes:
    """The body, inflated; of an error (status 400 and above) what goes beyond the cap is left.

    Raises ProtocolError above the cap, or when the encoding is unknown or broken.
    """
    inflate = _inflater(response.headers.get("content-encoding", ""), host)
    lenient = response.status_code >= 400
    chunks: list[bytes] = []
    size = received = 0
    async for chunk in response.aiter_raw():
        # zlib keeps what follows the end of the compressed data: that counts too.
        received += len(chunk)
        part = chunk if inflate is None else _inflate(inflate, chunk, cap - size + 1, host)
        size += len(part)
        chunks.append(part)
        if max(size, received) > cap:
            if lenient:
                return b"".join(chunks)[:cap]
            raise ProtocolError(f"{host} sent more than {cap // 1024} KiB in one answer", host=host)
    if inflate is not None and size and not inflate.eof:
        raise ProtocolError(f"{host} sent a compressed answer that ends too early", host=host)
    return b"".join(chunks)


def parse_json(body: bytes) -> Any:
    """JSON of a listing or an error: strict UTF-8, no NaN; of equal keys the last counts.

    Raises ValueError (also for nesting without end).
    """
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


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


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)

"""Bytes behind the end of a compressed body cost no more than their length."""

from __future__ import annotations

import gzip
import time
from collections.abc import AsyncIterator

from watcher.http_client import Headers, read_body


async def test_small_pieces_behind_the_end_cost_what_they_weigh() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield gzip.compress(b'{"tags":[]}')
        yield b"x" * 4_000_000
        for _ in range(20_000):
            yield b"x" * 16

    gzipped = Headers([(b"Content-Encoding", b"gzip")])
    began = time.process_time()
    body = await read_body(pieces(), status=200, headers=gzipped, cap=8_000_000, host="a.example")
    assert body == b'{"tags":[]}'
    assert time.process_time() - began < 1

"""HTTP answers as stages judge them: `expect`, a capped body, and what is worth another try."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from watcher.config.fields import Either, Field, Integer, Kind, ListOf, Text
from watcher.errors import StageError
from watcher.stages.base import StageContext

if TYPE_CHECKING:
    import httpx

BODY_LIMIT = 64 * 1024
LONGEST_RETRY_AFTER = timedelta(hours=24)
_TEMPORARY = frozenset({408, 425, 429})

EXPECT: Kind = ListOf(
    Either(
        Integer(100, 599),
        Text(matches="[1-5][0-9]{2}-[1-5][0-9]{2}", rule="a range of statuses such as 200-299"),
    ),
    minimum=1,
)
EXPECT_FIELD = Field(
    EXPECT,
    default=["200-299"],
    doc="The statuses that are good: numbers and ranges.",
    example=["200-299", 404],
)


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is cut at 64 KiB; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_temporary(self) -> bool:
        return self.status >= 500 or self.status in _TEMPORARY

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")

    def retry_after(self, now: datetime) -> timedelta | None:
        """What the header Retry-After asks for, in either form (RFC 9110, 10.2.3)."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdecimal():
            return min(timedelta(seconds=int(value[:9])), LONGEST_RETRY_AFTER)
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        wait = moment.replace(tzinfo=moment.tzinfo or UTC) - now
        return min(max(wait, timedelta()), LONGEST_RETRY_AFTER)


def is_expected(status: int, expected: Sequence[int | str]) -> bool:
    for entry in expected:
        low, _, high = str(entry).partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False


def host_of(url: str) -> str:
    """What may be shown of a URL, for the rest of it can be a secret. Raises StageError unless it
    is an http or https URL with a host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise StageError("the url can't be read") from None
    if parts.scheme not in ("http", "https") or not host:
        raise StageError("the url does not start with http:// or https:// and a host")
    return f"{host}:{port}" if port else host


async def ask(
    context: StageContext,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None = None,
    within: float | None = None,
) -> Answer:
    """One request; redirects are not followed. `within` bounds the whole exchange in seconds.

    Raises TransportError when there is no answer, StageError when the request can't be made.
    """
    host = host_of(url)
    async with (
        context.http() as client,
        _translated(host),
        asyncio.timeout(within),
        client.stream(
            method,
            url,
            headers={"Accept-Encoding": "identity", **headers},
            content=content,
            follow_redirects=False,
        ) as response,
    ):
        return Answer(response.status_code, _lower(response), await _capped(response))


@asynccontextmanager
async def _translated(host: str) -> AsyncIterator[None]:
    import httpx

    from watcher.http_client import translate

    try:
        yield
    except (httpx.InvalidURL, httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
        raise StageError(f"the request to {host} can't be made") from error
    except (httpx.HTTPError, TimeoutError) as error:
        raise translate(error, host) from error


def _lower(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


async def _capped(response: httpx.Response) -> bytes:
    """The body as sent; not decoded, for a small one can swell without end."""
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) >= BODY_LIMIT:
            break
    return bytes(body[:BODY_LIMIT])

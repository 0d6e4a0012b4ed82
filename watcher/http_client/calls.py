"""One call of somebody's URL, with a capped answer: what stages, notifiers and the ping share.

Imported by `stages` and `notifiers`; httpx is loaded with the first call.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from watcher.errors import RequestError

if TYPE_CHECKING:
    import httpx

BODY_LIMIT = 64 * 1024
LONGEST_RETRY_AFTER = timedelta(hours=24)
SIGNATURE_HEADER = "X-Watcher-Signature-256"
KEY_HEADER = "Idempotency-Key"
_TEMPORARY = frozenset({408, 425, 429})
_CONTROL = re.compile(r"[^\x20-\x7e\t]")

HttpClient = Callable[[], AbstractAsyncContextManager["httpx.AsyncClient"]]


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


def host_of(url: str) -> str:
    """What may be shown of a URL, for the rest of it can be a secret. Raises RequestError unless it
    is an http or https URL with a host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise RequestError("the url can't be read") from None
    if parts.scheme not in ("http", "https") or not host:
        raise RequestError("the url does not start with http:// or https:// and a host")
    return f"{host}:{port}" if port else host


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The user's headers in the spelling that they will be compared in. Raises RequestError."""
    titled = {name.title(): value for name, value in headers.items()}
    for name, value in titled.items():
        if _CONTROL.search(value):
            raise RequestError(f"the header {name} would hold what is not printable ASCII")
    return titled


def read_secret(file: Path, what: str) -> bytes:
    """A file's secret without the newline at its end. Raises RequestError, which names `what`."""
    try:
        secret = file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise RequestError(f"{what} {file} can't be read: {error.strerror}") from error
    if not secret:
        raise RequestError(f"{what} {file} is empty")
    return secret


def signature(secret: bytes, content: bytes) -> str:
    """The value of X-Watcher-Signature-256 (SPEC 7.3)."""
    return f"sha256={hmac.new(secret, content, hashlib.sha256).hexdigest()}"


async def ask(
    http: HttpClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None = None,
    within: float | None = None,
) -> Answer:
    """One request; redirects are not followed. `within` bounds the whole exchange in seconds.

    Raises TransportError when there is no answer, RequestError when the request can't be made.
    """
    host = host_of(url)
    async with (
        http() as client,
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

    from watcher.http_client.errors import translate

    try:
        yield
    except (
        httpx.InvalidURL,
        httpx.LocalProtocolError,
        httpx.UnsupportedProtocol,
        UnicodeError,  # a name that IDNA does not allow
    ) as error:
        raise RequestError(f"the request to {host} can't be made") from error
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

"""One request and its answer as plain values, the same for both versions of HTTP."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import NamedTuple, overload

from watcher.http_client.proxies import Proxy


class Outgoing(NamedTuple):
    """What an engine sends, and how far it reads.

    `host` names the registry in errors about the body, `cap` bounds that in bytes. `context` is
    None where nothing is encrypted. `stays_open`: the connection is kept for later requests.
    """

    method: str
    origin: str
    url: str
    headers: list[tuple[bytes, bytes]]
    content: bytes
    cap: int
    host: str
    proxy: Proxy | None
    context: ssl.SSLContext | None
    stays_open: bool


class Reply(NamedTuple):
    """One answer, read to its end (of an error, up to the cap)."""

    status: int
    headers: Headers
    body: bytes


class Headers:
    """Headers of an answer, found by name in any case."""

    __slots__ = ("_values",)

    def __init__(self, lines: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in lines:
            self._values.setdefault(_text(name).lower(), []).append(_text(value))

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    @overload
    def get(self, name: str) -> str | None: ...

    @overload
    def get(self, name: str, default: str) -> str: ...

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value; of a header that was sent several times, all of them with commas between."""
        values = self._values.get(name.lower())
        return ", ".join(values) if values else default

    def get_list(self, name: str) -> list[str]:
        """The values of each line with this header."""
        return list(self._values.get(name.lower(), ()))


def _text(raw: bytes) -> str:
    """As UTF-8, which some send against the rules; else as ISO 8859-1, which takes any byte."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")

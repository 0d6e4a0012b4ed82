"""How the fake registry cuts its tag lists and catalog into pages, as the kinds of registry do.

Pure. Imported by the fake registry and its profiles; tests and plug-in authors choose a Paging.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote

from watcher.testing.wire import Headers, Request, Response, error_response

_CURSOR = re.compile(r"([A-Za-z0-9_-]+)%2F\+==")


class LinkStyle(StrEnum):
    """How the address of the next page is written in the Link header."""

    RELATIVE = "relative"
    ABSOLUTE = "absolute"


class Page(NamedTuple):
    """The names of one page, and the Link to the next."""

    names: list[str]
    headers: Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How lists are paged; the defaults are those of distribution 3.

    default: the size of a page where the request has no `n`; None: everything.
    cap: the largest page that is given, whatever `n` asks (Quay: 100). None: no cap.
    maximum_n: a larger `n` is refused with `refusal_status` and `refusal_code` (ECR: 1000, 405
        and UNSUPPORTED). None: any.
    zero_is_all: `n=0` gives everything (Artifactory).
    ignores_n: everything in one page, whatever is asked (distribution 2.8).
    opaque: the cursor is a text that only this server understands, byte for byte (ECR).
    numbered: the cursor is the number of names before the page (Artifactory).
    last_must_exist: a `last` that is no entry is refused with 400 (Harbor's catalog).
    cursor: the parameter that carries the cursor.
    link: relative or absolute addresses of next pages.
    link_path: the path in them, `{path}` is that of the request. Nexus on a connector port adds
        one that it does not serve there; Artifactory drops the repository (`{path_below}`).
    n_first: `?n=&last=` rather than `?last=&n=`.
    link_end: what stands behind the parameters (ACR: `&orderby=`).
    sorted: by name; otherwise in the order of the first push.
    scattered: in no order that means anything (ECR, directories of distribution 2.8).
    """

    default: int | None = None
    cap: int | None = None
    maximum_n: int | None = None
    refusal_status: int = 400
    refusal_code: str = "PAGINATION_NUMBER_INVALID"
    zero_is_all: bool = False
    ignores_n: bool = False
    opaque: bool = False
    numbered: bool = False
    last_must_exist: bool = False
    cursor: str = "last"
    link: LinkStyle = LinkStyle.RELATIVE
    link_path: str = "{path}"
    n_first: bool = False
    link_end: str = ""
    sorted: bool = True
    scattered: bool = False

    def cut(self, request: Request, names: Sequence[str], url: str) -> Page | Response:
        """The page of the names that was asked for, or the refusal of the request."""
        ordered = self._ordered(names)
        if self.ignores_n:
            return Page(ordered, ())
        try:
            asked, start = self._asked(request), self._start(request, ordered)
        except ValueError as error:
            return error_response(self.refusal_status, self.refusal_code, str(error))
        limits = (asked, self.cap, len(ordered))
        size = min(limit for limit in limits if limit is not None)
        page = ordered[start : start + size]
        more = bool(page) and start + size < len(ordered)
        return Page(page, self._next(request, url, page[-1], start + size, asked) if more else ())

    def _ordered(self, names: Sequence[str]) -> list[str]:
        if self.scattered:
            return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
        return sorted(names) if self.sorted else list(names)

    def _asked(self, request: Request) -> int | None:
        given = request.parameter("n")
        if given is None:
            return self.default
        number = int(given)
        if number < 0 or (self.maximum_n is not None and number > self.maximum_n):
            raise ValueError("invalid number of results requested")
        return None if number == 0 and self.zero_is_all else number

    def _start(self, request: Request, ordered: Sequence[str]) -> int:
        if self.opaque:
            cursor = request.raw_parameter(self.cursor)
            return 0 if cursor is None else _position(cursor)
        last = request.parameter(self.cursor)
        if last is None:
            return 0
        if self.numbered:
            return int(last)
        if self.last_must_exist and last not in ordered:
            raise ValueError("the last entry is unknown")
        if self.sorted and not self.scattered:
            return sum(1 for name in ordered if name <= last)
        return ordered.index(last) + 1

    def _next(
        self, request: Request, url: str, last: str, position: int, asked: int | None
    ) -> Headers:
        value = str(position) if self.numbered else quote(last, safe="")
        parts = [f"{self.cursor}={_cursor(position) if self.opaque else value}"]
        if asked is not None:
            parts.insert(0 if self.n_first else 1, f"n={asked}")
        base = url if self.link is LinkStyle.ABSOLUTE else ""
        path = self.link_path.format(path=request.path, path_below=_below(request.path))
        target = f"{base}{path}?{'&'.join(parts)}{self.link_end}"
        return (("Link", f'<{target}>; rel="next"'),)


def _below(path: str) -> str:
    """`/v2/docker/acme/web/tags/list` without the first component of the repository."""
    head, _, rest = path.removeprefix("/v2/").partition("/")
    return f"/v2/{rest}" if rest.removesuffix("tags/list") else f"/v2/{head}/{rest}"


def _cursor(position: int) -> str:
    # A percent-escape, a plus and padding: whatever re-encodes it breaks it.
    code = base64.urlsafe_b64encode(f"page at {position}".encode()).decode().rstrip("=")
    return f"{code}%2F+=="


def _position(cursor: str) -> int:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise ValueError("Invalid next token")
    code = found.group(1)
    padded = code + "=" * (-len(code) % 4)
    return int(base64.urlsafe_b64decode(padded).decode().removeprefix("page at "))

"""How the fake registry cuts its tag lists and catalog into pages, as the kinds of registry do.

Pure. Imported by the fake registry; tests and plug-in authors choose a Paging.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from watcher.testing.wire import Headers, Request, Response, error_response, json_response

_CURSOR = re.compile(r"([A-Za-z0-9_-]+)%2F\+==")


class LinkStyle(StrEnum):
    """How the address of the next page is written in the Link header."""

    RELATIVE = "relative"
    ABSOLUTE = "absolute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How lists are paged; the defaults are those of distribution 3.

    cap: the largest page that is given, whatever `n` asks (Quay: 100). None: no cap.
    maximum_n: a larger `n` is refused with `refusal_status` (ECR: 1000 and 405). None: any.
    ignores_n: everything in one page, whatever is asked (distribution 2.8).
    opaque: the cursor is a text that only this server understands, byte for byte (ECR).
    link: relative or absolute addresses of next pages.
    sorted: by name; otherwise in the order of the first push.
    """

    cap: int | None = None
    maximum_n: int | None = None
    refusal_status: int = 400
    ignores_n: bool = False
    opaque: bool = False
    link: LinkStyle = LinkStyle.RELATIVE
    sorted: bool = True

    def answer(
        self,
        request: Request,
        names: Sequence[str],
        document: dict[str, object],
        key: str,
        url: str,
    ) -> Response:
        """The page that was asked for: `document` with the names under `key`, and its Link."""
        ordered = sorted(names) if self.sorted else list(names)
        if self.ignores_n:
            return json_response(document | {key: ordered})
        try:
            asked, start = self._asked(request), self._start(request, ordered)
        except ValueError as error:
            return error_response(self.refusal_status, "PAGINATION_NUMBER_INVALID", str(error))
        size = min(limit for limit in (asked, self.cap, len(ordered)) if limit is not None)
        page = ordered[start : start + size]
        more = bool(page) and start + size < len(ordered)
        headers = self._next(request, url, page[-1], start + size, asked) if more else ()
        return json_response(document | {key: page}, headers=headers)

    def _asked(self, request: Request) -> int | None:
        given = request.parameter("n")
        if given is None:
            return None
        number = int(given)
        if number < 0 or (self.maximum_n is not None and number > self.maximum_n):
            raise ValueError("invalid number of results requested")
        return number

    def _start(self, request: Request, ordered: Sequence[str]) -> int:
        if self.opaque:
            cursor = request.raw_parameter("last")
            return 0 if cursor is None else _position(cursor)
        last = request.parameter("last")
        if last is None:
            return 0
        if self.sorted:
            return sum(1 for name in ordered if name <= last)
        return ordered.index(last) + 1

    def _next(
        self, request: Request, url: str, last: str, position: int, asked: int | None
    ) -> Headers:
        cursor = _cursor(position) if self.opaque else quote(last, safe="")
        size = "" if asked is None else f"&n={asked}"
        base = url if self.link is LinkStyle.ABSOLUTE else ""
        return (("Link", f'<{base}{request.path}?last={cursor}{size}>; rel="next"'),)


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

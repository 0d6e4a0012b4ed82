"""Request quotas of the fake registry, and how each kind of registry tells that one is used up.

Imported by the fake registry and its profiles; tests choose a RateLimit. Sources: Docker's "Pull
usage and limits" and Hub API pages, and what clients reported of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum

from watcher.testing.records import Kind, Route
from watcher.testing.wire import Headers, Request, Response, error_response, json_response

_CODE = "TOOMANYREQUESTS"
_MESSAGE = "too many requests"


class Telling(StrEnum):
    """How a registry says that a quota is used up, and until when.

    SECONDS, DATE: Retry-After. NOTHING: a bare 429 (Quay). PULLS: Docker Hub's `ratelimit-limit`
    and `ratelimit-remaining` on every answer. X_HEADERS: `X-RateLimit-*` on every answer, as
    Docker Hub's API has them. MESSAGE: a Go duration in the error's message, no header (GHCR).
    """

    SECONDS = "seconds"
    DATE = "date"
    NOTHING = "nothing"
    PULLS = "pulls"
    X_HEADERS = "x-headers"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """So many requests per so many seconds; the window begins with its first request.

    kinds, counts (methods) and telling: None takes the profile's. Only requests with a method in
    `counts` use the quota up; once it is used up, all of these kinds are refused.
    """

    requests: int
    per: float = 60
    kinds: frozenset[Kind] | None = None
    counts: frozenset[str] | None = None
    telling: Telling | None = None

    def completed(self, own: RateLimit | None) -> RateLimit:
        """With what a profile's own limit says where this one is silent."""
        if own is None:
            return self
        return replace(
            self,
            kinds=own.kinds if self.kinds is None else self.kinds,
            counts=own.counts if self.counts is None else self.counts,
            telling=self.telling or own.telling,
        )


class Quota:
    """Counts requests against one limit."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._used = 0
        self._ends = -math.inf

    def refusal(self, request: Request, where: Route) -> Response | None:
        """Count this request; the 429 where the quota is used up."""
        if not self._concerns(where):
            return None
        now, limit = self._clock(), self._limit
        if now >= self._ends:
            self._used, self._ends = 0, now + limit.per
        if self._used >= limit.requests:
            return self._too_many(self._ends - now)
        self._used += limit.counts is None or request.method in limit.counts
        return None

    def headers(self, where: Route) -> Headers:
        """What the answer to such a request tells of the quota."""
        if not self._concerns(where):
            return ()
        allowed, left = self._limit.requests, self._limit.requests - self._used
        if self._limit.telling is Telling.PULLS:
            window = f";w={self._limit.per:.0f}"
            return (
                ("ratelimit-limit", f"{allowed}{window}"),
                ("ratelimit-remaining", f"{left}{window}"),
            )
        if self._limit.telling is Telling.X_HEADERS:
            return (
                ("X-RateLimit-Limit", str(allowed)),
                ("X-RateLimit-Remaining", str(left)),
                ("X-RateLimit-Reset", str(math.ceil(self._ends))),
            )
        return ()

    def _concerns(self, where: Route) -> bool:
        return self._limit.kinds is None or where.kind in self._limit.kinds

    def _too_many(self, left: float) -> Response:
        match self._limit.telling:
            case Telling.PULLS:
                message = "You have reached your pull rate limit."
                return error_response(429, _CODE, message)
            case Telling.X_HEADERS:
                return json_response({"detail": "Rate limit exceeded", "error": False}, 429)
            case Telling.MESSAGE:
                allowed = f"{self._limit.requests * 60 / self._limit.per:.0f}/minute"
                message = f"retry-after: {go_duration(left)}, allowed: {allowed}"
                return error_response(429, _CODE, message)
            case Telling.NOTHING:
                return Response(429, (("Content-Type", "text/html"),), b"Too Many Requests")
            case Telling.DATE:
                moment = datetime.fromtimestamp(math.ceil(self._clock() + left), UTC)
                after = format_datetime(moment, usegmt=True)
                return error_response(429, _CODE, _MESSAGE, (("Retry-After", after),))
        after = str(math.ceil(left))
        return error_response(429, _CODE, _MESSAGE, (("Retry-After", after),))


def go_duration(seconds: float) -> str:
    """Seconds as Go prints a duration: `1h2m3.5s`, `12.5ms`, `880.092µs`."""
    if seconds < 0.001:
        return f"{_number(seconds * 1_000_000)}µs"
    if seconds < 1:
        return f"{_number(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return f"{text}{_number(rest)}s"


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")

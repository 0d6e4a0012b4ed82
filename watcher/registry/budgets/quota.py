"""What a host says that it still allows: the RateLimit headers in every form met in the field.

Docker Hub's `100;w=21600` (manifests), `X-RateLimit-*` of its API, GitHub and many proxies, and
the drafts of the IETF (draft-ietf-httpapi-ratelimit-headers 00 to 10). Nothing here raises: what
can't be understood says nothing. field facts: registries.md section 2.3. Imported by limits.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, Protocol

from watcher.core.host import Quota

LONGEST = 24 * 3600.0
USUAL_WINDOW = 60.0
"""Seconds until a quota resets that does not say when."""

_LIMITLESS = 1_000_000
_MOST_TEXT, _MOST_ENTRIES = 1000, 20
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{0,9})?")
_EPOCH, _EPOCH_MILLISECONDS = 1e9, 1e12
_PREFIXES = ("ratelimit", "x-ratelimit")


class Headers(Protocol):
    """The headers of an answer; the names are given in lower case."""

    def get(self, name: str, /) -> str | None: ...


class _Saying(NamedTuple):
    """One thing said of a quota; seconds until it resets."""

    allowed: float | None
    remaining: float
    seconds: float

    @property
    def tightness(self) -> tuple[float, float]:
        """The smaller the tighter: how many requests a second are left, then for how long."""
        return self.remaining / self.seconds, -self.seconds


def told(headers: Headers, now: float) -> Quota | None:
    """The tightest quota of an answer's headers; None when none is told, or none that binds.
    `now` and the times of the quota are epoch seconds; it resets within 24 h."""
    combined = headers.get("ratelimit")
    apart = [headers.get(f"{prefix}-remaining") for prefix in _PREFIXES]
    if combined is None and apart == [None, None]:
        return None
    sayings = list(_combined(combined, headers.get("ratelimit-policy"), now))
    for prefix, remaining in zip(_PREFIXES, apart, strict=True):
        if remaining is not None:
            limit, reset = headers.get(f"{prefix}-limit"), headers.get(f"{prefix}-reset")
            sayings.extend(_apart(remaining, limit, reset, now))
    if not sayings:
        return None
    tightest = min(sayings, key=lambda saying: saying.tightness)
    return Quota(tightest.allowed, tightest.remaining, now + tightest.seconds, now)


def _apart(remaining: str, limit: str | None, reset: str | None, now: float) -> Iterator[_Saying]:
    """Three headers. Of several limits each goes with its own remainder; where the numbers of
    both differ, the first limit is the one that counts and the others tell of policies."""
    lefts, limits = list(_entries(remaining)), list(_entries(limit))
    resets = [value for value, _ in _entries(reset)]
    for place, (left, left_window) in enumerate(lefts):
        which = place if len(limits) == len(lefts) else 0
        allowed, window = limits[which] if limits else (None, None)
        until = resets[place if len(resets) == len(lefts) else 0] if resets else None
        if until is None:
            until = left_window if left_window is not None else window
        if left is not None:
            yield from _saying(allowed, left, until, now)


def _combined(text: str | None, policy: str | None, now: float) -> Iterator[_Saying]:
    """One header: `limit=100, remaining=50, reset=30`, or `"default";r=50;t=30` with what is
    allowed in `RateLimit-Policy: "default";q=100;w=60`."""
    if text is None:
        return
    pairs = _parameters(text.replace(",", ";"))
    if "remaining" in pairs:
        left, limit = _number(pairs["remaining"]), _number(pairs.get("limit"))
        if left is not None:
            yield from _saying(limit, left, _number(pairs.get("reset")), now)
        return
    policies = {name: _parameters(rest) for name, rest in _items(policy)}
    for name, rest in _items(text):
        said, meant = _parameters(rest), policies.get(name, {})
        left, until = _number(said.get("r")), _number(said.get("t"))
        if left is not None:
            until = _number(meant.get("w")) if until is None else until
            yield from _saying(_number(meant.get("q")), left, until, now)


def _saying(
    allowed: float | None, remaining: float, reset: float | None, now: float
) -> Iterator[_Saying]:
    """One saying, if it binds: no limit at all is written as 0, -1, or as a very high one."""
    if remaining >= _LIMITLESS or (allowed is not None and allowed < 1):
        return
    if remaining < 0 and allowed is None:
        return
    yield _Saying(allowed, max(remaining, 0.0), _seconds(reset, now))


def _seconds(reset: float | None, now: float) -> float:
    """Until a reset that is given in seconds, or as a moment in seconds or milliseconds."""
    if reset is None:
        return USUAL_WINDOW
    if reset >= _EPOCH_MILLISECONDS:
        reset = reset / 1000
    if reset >= _EPOCH:
        reset -= now
    return min(max(reset, 1.0), LONGEST)


def _entries(text: str | None) -> Iterator[tuple[float | None, float | None]]:
    """Numbers between commas, each with its window: `100;w=21600`."""
    for first, rest in _items(text):
        yield _number(first), _number(_parameters(rest).get("w"))


def _items(text: str | None) -> Iterator[tuple[str, str]]:
    """What stands between commas: its first word, and its parameters."""
    for item in islice((text or "")[:_MOST_TEXT].split(","), _MOST_ENTRIES):
        first, _, rest = item.partition(";")
        if first.strip():
            yield first.strip(), rest


def _parameters(text: str) -> dict[str, str]:
    """`r=50;t=30` as a mapping; of a name that comes twice, the first."""
    found: dict[str, str] = {}
    for part in islice(text[:_MOST_TEXT].split(";"), _MOST_ENTRIES):
        name, _, value = part.partition("=")
        found.setdefault(name.strip().lower(), value.strip())
    return found


def _number(text: str | None) -> float | None:
    return float(text) if text and _NUMBER.fullmatch(text) else None

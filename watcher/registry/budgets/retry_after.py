"""How long a registry wants to be left alone: Retry-After in every form met in the field.

Seconds, an HTTP date (RFC 9110 section 10.2.3), or a Go duration as GHCR writes it, even in the
text of the error only (`retry-after: 880.092µs, allowed: 44000/minute`).
"""

from __future__ import annotations

import re

LONGEST = 24 * 3600.0
SHORTEST = 1.0
_SECONDS = re.compile(r"[+-]?\d{1,18}(?:\.\d*)?")
_GO_DURATION = re.compile(r"(?:\d{1,18}(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h))+")
_GO_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h)")
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_IN_TEXT = re.compile(r"retry-after:\s*([0-9.a-zµμ]+)", re.IGNORECASE)


def retry_after(header: str | None, text: str, now: float) -> float | None:
    """Seconds to wait, from 1 s to 24 h; None when nothing understandable is said."""
    said = header.strip() if header else ""
    seconds = _seconds(said, now)
    if seconds is None and (found := _IN_TEXT.search(text)):
        seconds = _seconds(found[1].rstrip("."), now)
    return None if seconds is None else min(max(seconds, SHORTEST), LONGEST)


def _seconds(said: str, now: float) -> float | None:
    if not said:
        return None
    if _SECONDS.fullmatch(said):
        return float(said)
    # A header's bytes arrive as Latin-1, in which µ takes two characters.
    duration = said.replace("\u00c2\u00b5", "µ")
    if _GO_DURATION.fullmatch(duration):
        return sum(float(amount) * _GO_UNITS[unit] for amount, unit in _GO_PART.findall(duration))
    return _until_date(said, now)


def _until_date(said: str, now: float) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(said).timestamp() - now
    except (ValueError, OverflowError):
        return None

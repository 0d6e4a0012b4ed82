"""Durations as users write them: `30s`, `5m`, `6h`, `1h30m`, `2d`, `1w` (SPEC 3).

A bare number is no duration, for nobody knows its unit. Everyone above `core` may import it.
"""

from __future__ import annotations

import re
from datetime import timedelta

PATTERN = r"(?=\d)(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?"
LONGEST = timedelta(weeks=520)
_SHAPE = re.compile(PATTERN, re.ASCII)
_MOST_DIGITS = 9
_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


def parse(text: str) -> timedelta:
    """Read a duration; units go from large to small, each once.

    Raises ValueError with a sentence for the user.
    """
    if _SHAPE.fullmatch(text) is None:
        raise ValueError("is not a duration such as 30s, 5m, 6h, 1h30m, 2d or 1w")
    total = timedelta()
    for number, unit in re.findall(r"(\d+)([wdhms])", text):
        if len(number) > _MOST_DIGITS or (total := total + int(number) * _UNITS[unit]) > LONGEST:
            raise ValueError("is longer than ten years (520w)")
    return total


def text_of(duration: timedelta) -> str:
    """Write a duration the way `parse` reads it; fractions of a second are cut."""
    seconds = int(duration.total_seconds())
    parts = []
    for unit, length in _UNITS.items():
        count, seconds = divmod(seconds, int(length.total_seconds()))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"

"""Times as this program shows them everywhere: RFC 3339 in UTC (SPEC 8)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


@overload
def rfc3339(when: datetime | float) -> str: ...
@overload
def rfc3339(when: datetime | float | None) -> str | None: ...
def rfc3339(when: datetime | float | None) -> str | None:
    """With milliseconds; seconds since the epoch are taken too."""
    if when is None:
        return None
    if isinstance(when, int | float):
        when = datetime.fromtimestamp(when, UTC)
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

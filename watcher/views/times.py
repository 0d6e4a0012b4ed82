"""Times as every JSON of this program shows them: RFC 3339 in UTC (SPEC 8)."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(when: datetime | float | None) -> str | None:
    """RFC 3339 in UTC; seconds since the epoch are taken too."""
    if when is None:
        return None
    if isinstance(when, int | float):
        when = datetime.fromtimestamp(when, UTC)
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")

"""What a Spinnaker pipeline's `notifications` would be here, as notes: a notifier's address holds a
password or a token, which Spinnaker keeps in echo's config and not in the pipeline.

Only for the import of Spinnaker's files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_STATUSES = {
    "pipeline.complete": "SUCCEEDED",
    "pipeline.failed": "FAILED",
}


def notes_of_notifications(
    pipeline: str, notifications: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    """One note for each, with the `notify` that stands for it and what has no counterpart."""
    for notification in notifications:
        asked = [str(when) for when in _listed(notification.get("when"))]
        statuses = [_STATUSES[when] for when in asked if when in _STATUSES]
        others = [when for when in asked if when not in _STATUSES]
        note = (
            f"pipeline {pipeline}: its notification by {_whereto(notification)} is not carried over"
        )
        if statuses:
            wish = f"{{notifier: NAME, on: [{', '.join(statuses)}]}}"
            note += f"; add one to `notifiers` and `notify: [{wish}]` to the pipeline"
        if others:
            note += f"; {', '.join(others)} is not told here"
        yield note


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _whereto(notification: Mapping[str, Any]) -> str:
    """Type and address; an address that is a URL is a secret of Google Chat or Teams."""
    kind, address = str(notification.get("type")), str(notification.get("address") or "")
    return kind if not address or "://" in address else f"{kind} to {address}"

"""Annotations that tell which run gave a workload its image, and the fence that they make.

They go on the object, never on its pod template, which would restart its pods for nothing. Pure;
for planning and applying.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from watcher.errors import FieldConflict
from watcher.kube.applying.plan import EVENT_NOTE, NOTE_KEYS, Newer, PlannedObject
from watcher.kube.objects import FIELD_MANAGER, Object
from watcher.kube.reading import plain, section, text

_TAG_NOTE = "registry-watcher/tag"


def event_text(time: datetime) -> str:
    """An event's time as the annotation holds it: in UTC, with microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def event_of(item: Object) -> datetime | None:
    """The event that gave the object its image; None where nothing legible says so."""
    written = text(item, "metadata", "annotations", EVENT_NOTE)
    try:
        time = datetime.fromisoformat(written)
        return time.astimezone(UTC) if time.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def check_fence(item: PlannedObject, live: Object, event_time: datetime | None) -> None:
    """Raises Newer where the live object comes from a later event than this run."""
    there = event_of(live)
    if event_time is None or there is None or there <= event_time:
        return
    tag = plain(text(live, "metadata", "annotations", _TAG_NOTE))
    image = f" (tag {tag})" if tag else ""
    raise Newer(
        f"{item.key} already has what a newer event wanted{image}: that of {event_text(there)} is "
        f"later than this run's of {event_text(event_time)}"
    )


def own_notes(item: Object, notes: Mapping[str, str]) -> dict[str, str]:
    """The notes for an object; what its manifest itself says is left to it, but for the event."""
    stated = section(item, "metadata", "annotations")
    return {key: value for key, value in notes.items() if key not in stated or key == EVENT_NOTE}


def with_notes(item: Object, notes: Mapping[str, str]) -> Object:
    """The object with these annotations added."""
    if not notes:
        return item
    metadata = item["metadata"]
    annotations = {**(metadata.get("annotations") or {}), **notes}
    return {**item, "metadata": {**metadata, "annotations": annotations}}


def volatile(item: PlannedObject) -> frozenset[str]:
    """The annotations of this object that are no reason to write it."""
    return (NOTE_KEYS - set(section(item.desired, "metadata", "annotations"))) | set(item.notes)


def without_contested(item: PlannedObject, conflicts: tuple[FieldConflict, ...]) -> PlannedObject:
    """Without the notes that somebody else has written: nobody asked for those."""
    contested = {conflict.field for conflict in conflicts if conflict.manager != FIELD_MANAGER}
    kept = {
        key: value
        for key, value in item.notes.items()
        if f".metadata.annotations.{key}" not in contested
    }
    return replace(item, notes=kept)

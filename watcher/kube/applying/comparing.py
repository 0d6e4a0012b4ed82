"""Whether an object is as we want it: what a dry run made of it, against what is there.

A dry run that changes nothing answers with the live object, byte for byte. Pure; for planning, for
applying and for diffs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from watcher.kube.applying.owned_fields import applied_by_us
from watcher.kube.applying.plan import NOTE_KEYS
from watcher.kube.objects import LAST_APPLIED as LAST_APPLIED
from watcher.kube.objects import Object
from watcher.kube.reading import section, text, uid

_SERVERS_METADATA = (
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "selfLink",
)


def content(item: Object, *, besides: Collection[str] = ()) -> Object:
    """What people and programs want of an object, without what the server keeps of it: status,
    versions, owners of fields. `besides` are annotations that are left out too."""
    metadata = {
        key: value
        for key, value in section(item, "metadata").items()
        if key not in _SERVERS_METADATA
    }
    annotations = {
        key: value for key, value in section(metadata, "annotations").items() if key not in besides
    }
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    rest = {key: value for key, value in item.items() if key not in ("metadata", "status")}
    return {**rest, "metadata": metadata}


def is_same(live: Object, result: Object, *, besides: Collection[str] = NOTE_KEYS) -> bool:
    """Whether applying made no difference: no value and none of the fields that we own. Annotations
    that only tell of a run (`besides`) make none."""
    return content(live, besides=besides) == content(result, besides=besides) and _ours(
        live, besides
    ) == _ours(result, besides)


def is_untouched(seen: Object, now: Object) -> bool:
    """Whether nobody changed since what a dry run was about. Neither a new status nor somebody's
    annotation is such a change, although a Deployment counts the latter as a new generation."""
    is_ours = uid(seen) == uid(now) and applied_by_us(seen) == applied_by_us(now)
    return is_ours and _body(seen) == _body(now)


def is_done(sent: Object, result: Object, now: Object) -> bool:
    """Whether the object is already what sending it was to make of it, as after an answer that got
    lost. A controller may have added annotations of its own since."""
    if applied_by_us(result) != applied_by_us(now) or _body(result) != _body(now):
        return False
    return all(
        section(now, "metadata", part).get(key) == value
        for part in ("labels", "annotations")
        for key, value in section(sent, "metadata", part).items()
    )


def version(item: Object) -> str:
    return text(item, "metadata", "resourceVersion")


def _body(item: Object) -> Mapping[str, Any]:
    return {key: value for key, value in content(item).items() if key != "metadata"}


def _ours(item: Object, besides: Collection[str]) -> Mapping[str, Any]:
    """The fields that we own, without those annotations."""
    fields = applied_by_us(item)
    metadata = dict(section(fields, "f:metadata"))
    annotations = {
        key: value
        for key, value in section(metadata, "f:annotations").items()
        if key.removeprefix("f:") not in besides
    }
    metadata.pop("f:annotations", None)
    if any(key != "." for key in annotations):
        metadata["f:annotations"] = annotations
    rest = {key: value for key, value in fields.items() if key != "f:metadata"}
    return {**rest, "f:metadata": metadata} if metadata else rest

"""Which fields of an object a manager owns, and the part of the object that they are.

`metadata.managedFields` holds sets of fields ("FieldsV1"): `f:name` is a key of a mapping,
`k:{"name":"web"}` an entry of a list by its keys, `v:"x"` an entry of a set, `i:0` one by its
position, `.` the thing itself:
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management. Pure.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from watcher.kube.objects import FIELD_MANAGER, Object
from watcher.kube.reading import listed, section, text

Fields = Mapping[str, Any]
"""A set of fields, as `fieldsV1` writes it."""

_Shape = tuple[str, ...]

_SELF = "."
_NEVER_APPLIED = ("apiVersion", "kind", "metadata", "status")
_APPLIED_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")


def applied_by_us(item: Object) -> Fields:
    """The fields that our server-side applies own."""
    return fields_of(item, lambda entry: entry == (FIELD_MANAGER, "Apply"))


def owned_by(item: Object, managers: Collection[str], *, subresources: bool = False) -> Fields:
    """The fields that these managers own; with `subresources` also what they wrote through one,
    such as `kubectl scale` does."""
    return fields_of(item, lambda entry: entry[0] in managers, subresources=subresources)


def fields_of(
    item: Object, chosen: Callable[[tuple[str, str]], bool], *, subresources: bool = False
) -> Fields:
    """The fields of all entries whose (manager, operation) is chosen, but for subresources'."""
    return united(
        *(
            section(entry, "fieldsV1")
            for entry in listed(item, "metadata", "managedFields")
            if (subresources or not text(entry, "subresource"))
            and chosen((text(entry, "manager"), text(entry, "operation")))
        )
    )


def united(*sets: Fields) -> Fields:
    """The fields that are in any of the sets."""
    result: dict[str, Any] = {}
    for each in sets:
        for key, below in each.items():
            result[key] = united(result.get(key, {}), below if isinstance(below, Mapping) else {})
    return result


def part(item: Object, fields: Fields) -> Object:
    """What `item` holds in these fields, ready to be applied: with what identifies it, without
    status. Fields that it does not have are left out."""
    known = united(
        *(section(each, "fieldsV1") for each in listed(item, "metadata", "managedFields"))
    )
    picked = _picked(item, fields, united(known, fields))
    body = {key: value for key, value in picked.items() if key not in _NEVER_APPLIED}
    metadata = picked.get("metadata", {})
    kept = {key: metadata[key] for key in _APPLIED_METADATA if key in metadata}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"]} | {
        "metadata": _identity(item) | kept,
        **body,
    }


def without(item: Object, fields: Fields) -> Object:
    """`item` without these fields; what identifies it and its list entries stays."""
    body = {key: value for key, value in item.items() if key not in ("apiVersion", "kind")}
    left = _cut(body, fields)
    metadata = {**left.get("metadata", {}), **_identity(item)}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], **left, "metadata": metadata}


def _identity(item: Object) -> dict[str, Any]:
    metadata = item["metadata"]
    return {key: metadata[key] for key in ("name", "namespace") if metadata.get(key)}


def _picked(value: Any, fields: Fields, known: Fields) -> Any:
    """The part of a value. Where the set names the value alone, it is the whole of it, unless
    anybody owns something inside: then it is a mapping or list that grows by parts."""
    below = {key: inner for key, inner in fields.items() if key != _SELF}
    if isinstance(value, dict):
        if not below:
            return {} if _SELF in fields or _parts(known) else copy.deepcopy(value)
        return {
            name: _picked(value[name], below[f"f:{name}"], known.get(f"f:{name}", {}))
            for name in value
            if f"f:{name}" in below
        }
    if isinstance(value, list):
        if not below:
            return [] if _SELF in fields or _parts(known) else copy.deepcopy(value)
        return [
            _with_keys(_picked(entry, below[key], known.get(key, {})), entry, key)
            for entry, key in _keyed(value, below)
        ]
    return value


def _cut(value: Any, fields: Fields) -> Any:
    if isinstance(value, dict):
        return {
            name: inner if f"f:{name}" not in fields else _cut(inner, fields[f"f:{name}"])
            for name, inner in value.items()
            if not _is_whole(inner, fields.get(f"f:{name}"))
        }
    keys = {id(entry): key for entry, key in _keyed(value, fields)}
    return [
        entry if id(entry) not in keys else _with_keys(_cut(entry, fields[key]), entry, key)
        for entry in value
        if not _is_whole(entry, fields.get(key := keys.get(id(entry), "")))
    ]


def _is_whole(value: Any, fields: Fields | None) -> bool:
    """Whether all of a value is in the set: it is named, and has no parts that are named."""
    if fields is None:
        return False
    return not isinstance(value, dict | list) or not fields


def _parts(fields: Fields) -> bool:
    return any(key != _SELF for key in fields)


def _keyed(entries: list[Any], fields: Fields) -> Iterator[tuple[Any, str]]:
    """Each entry that the set names, with its name there. Looked up, not searched: both sides may
    have tens of thousands."""
    names, shapes = _names(fields)
    kinds = {kind for kind, _ in names}
    for index, entry in enumerate(entries):
        marks = [_marked(entry, shape) for shape in shapes if _fits(entry, shape)]
        marks += [("v:", _exact(entry))] if "v:" in kinds else []
        marks += [("i:", _exact(index))] if "i:" in kinds else []
        known = next((names[mark] for mark in marks if mark in names), None)
        if known is not None:
            yield entry, known


def _names(fields: Fields) -> tuple[dict[tuple[object, str], str], list[_Shape]]:
    """The names in a set by what they say of an entry, and the keys that entries are known by."""
    names: dict[tuple[object, str], str] = {}
    shapes: dict[_Shape, None] = {}
    for key in fields:
        kind, said = key[:2], _parsed(key)
        if kind == "k:" and isinstance(said, dict):
            shape = tuple(sorted(said))
            shapes.setdefault(shape)
            names.setdefault(_marked(said, shape), key)
        elif kind in ("v:", "i:"):
            names.setdefault((kind, _exact(said)), key)
    return names, list(shapes)


def _fits(entry: object, shape: _Shape) -> bool:
    return isinstance(entry, dict) and all(name in entry for name in shape)


def _marked(entry: Mapping[str, Any], shape: _Shape) -> tuple[object, str]:
    return shape, _exact([entry[name] for name in shape])


def _exact(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _with_keys(picked: Any, entry: Any, key: str) -> Any:
    """An entry of a list always holds the keys that it is known by."""
    keys = _parsed(key) if key.startswith("k:") else {}
    if not isinstance(picked, dict) or not isinstance(keys, dict):
        return picked
    return {name: entry[name] for name in keys if name in entry} | picked


def _parsed(key: str) -> object:
    try:
        return json.loads(key[2:])
    except ValueError:
        return None

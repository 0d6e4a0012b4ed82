"""Objects as they may be shown: no value of a Secret, and no variable that looks like a password.

A hidden value only says whether it changes: not even a hash of it is shown, which would give away
short ones. Pure; for diffs.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from watcher.kube.objects import Object, ObjectKey

HIDDEN = "***"
WAS = "*** (was)"
NEW = "*** (new)"

_SENSITIVE = re.compile(r"(?i)pass|secret|token|key|cred")
_SECRET_PARTS = ("data", "stringData")

_Path = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A hidden value: the mapping that holds it, and under which key."""

    holder: dict[Any, Any]
    key: Any


def masked(before: Object | None, after: Object | None) -> tuple[Object | None, Object | None]:
    """Both objects with their secrets hidden: alike where they are equal, else as WAS and NEW."""
    old, new = copy.deepcopy(before), copy.deepcopy(after)
    old_places, new_places = _places(old), _places(new)
    for path in old_places.keys() | new_places.keys():
        first, second = old_places.get(path), new_places.get(path)
        is_same = first is not None and second is not None and _value(first) == _value(second)
        _hide(first, HIDDEN if is_same else WAS)
        _hide(second, HIDDEN if is_same else NEW)
    return old, new


def _places(item: Object | None) -> dict[_Path, _Place]:
    if item is None:
        return {}
    found = dict(_variables(item, ()))
    key = ObjectKey.of(item)
    if (key.group, key.kind) == ("", "Secret"):
        for part in _SECRET_PARTS:
            values = item.get(part)
            if isinstance(values, dict):
                found |= {(part, name): _Place(values, name) for name in values}
    return found


def _variables(value: Any, path: _Path) -> Iterator[tuple[_Path, _Place]]:
    """The values of environment variables with telling names, wherever containers stand. Entries
    of lists are known by their names, for others may come before them, and by which of that name
    they are: none may hide behind another."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _variables(inner, (*path, key))
    elif isinstance(value, list):
        seen: Counter[object] = Counter()
        for entry in value:
            name = str(entry.get("name")) if isinstance(entry, dict) else None
            here = (*path, (name, seen[name]))
            seen[name] += 1
            if path[-1:] == ("env",) and _is_sensitive(entry):
                yield here, _Place(entry, "value")
            else:
                yield from _variables(entry, here)


def _is_sensitive(entry: Any) -> bool:
    if not isinstance(entry, dict) or "value" not in entry:
        return False
    return _SENSITIVE.search(str(entry.get("name", ""))) is not None


def _value(place: _Place) -> Any:
    return place.holder[place.key]


def _hide(place: _Place | None, word: str) -> None:
    if place is not None:
        place.holder[place.key] = word

"""What an apply would change, as a unified diff of YAML: what is there, and the dry run's result.

Without what the server keeps for itself, and without secrets (`masking`). Pure; the command line
brings the colours.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from watcher.kube.applying.comparing import LAST_APPLIED, content
from watcher.kube.applying.masking import masked
from watcher.kube.applying.notes import with_notes
from watcher.kube.applying.plan import Action, PlannedObject, Result
from watcher.kube.objects import Object, ObjectKey
from watcher.kube.reading import nested

LIMIT = 64 * 1024
"""Characters of one object's diff that are shown."""

_MOST_LINES = 20_000
_CONTEXT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What becomes of one object. `text` is empty where nothing that is shown differs; `added` and
    `removed` count lines, also those that are cut off."""

    key: ObjectKey
    action: Action
    text: str = ""
    added: int = 0
    removed: int = 0


def planned_difference(item: PlannedObject) -> Difference:
    """What applying the object would change."""
    if item.action is Action.UNCHANGED:
        return Difference(key=item.key, action=item.action)
    wanted = item.result or with_notes(item.desired, item.notes)
    live = item.live
    if item.action is Action.REPLACED and live is not None:
        live = _projected(content(live), content(wanted))
    return difference(item.key, item.action, live, wanted)


def pruned_difference(result: Result) -> Difference:
    """What deleting the object takes away."""
    return difference(result.key, result.action, result.object, None)


def difference(
    key: ObjectKey, action: Action, before: Object | None, after: Object | None
) -> Difference:
    """From one object to the other; None is no object. Raises StageError for one that is nested
    too deeply."""
    with nested(key):
        return _difference(key, action, before, after)


def _difference(
    key: ObjectKey, action: Action, before: Object | None, after: Object | None
) -> Difference:
    old, new = masked(_shown(before), _shown(after))
    first, second = _lines(old), _lines(new)
    if len(first) + len(second) > _MOST_LINES:
        return _too_long(key, action, first, second)
    lines = list(
        difflib.unified_diff(
            first, second, f"{key} (live)", f"{key} ({action})", n=_CONTEXT, lineterm=""
        )
    )
    added = sum(line.startswith("+") for line in lines[2:])
    removed = sum(line.startswith("-") for line in lines[2:])
    return Difference(
        key=key, action=action, text=_cut(lines, added, removed), added=added, removed=removed
    )


def _shown(item: Object | None) -> Object | None:
    return None if item is None else content(item, besides=(LAST_APPLIED,))


def _lines(item: Object | None) -> list[str]:
    if item is None:
        return []
    text: str = yaml.dump(
        item,
        Dumper=_Dumper,
        sort_keys=True,
        allow_unicode=True,
        width=1000,
        default_flow_style=False,
    )
    return text.splitlines()


def _cut(lines: Sequence[str], added: int, removed: int) -> str:
    shown, size = [], 0
    for line in lines:
        size += len(line) + 1
        if size > LIMIT:
            shown.append(f"… cut off here: {added} lines added and {removed} removed in all")
            break
        shown.append(line)
    return "\n".join(shown)


def _too_long(
    key: ObjectKey, action: Action, first: Sequence[str], second: Sequence[str]
) -> Difference:
    if first == second:
        return Difference(key=key, action=action)
    text = f"{key} ({action}): {len(first)} lines before, {len(second)} after: too long to compare"
    return Difference(key=key, action=action, text=text, added=len(second), removed=len(first))


def _projected(value: Any, onto: Any) -> Any:
    """Of what is there, the part that a manifest speaks of: the server has filled in the rest."""
    if isinstance(value, dict) and isinstance(onto, dict):
        return {key: _projected(value[key], onto[key]) for key in value if key in onto}
    if isinstance(value, list) and isinstance(onto, list) and len(value) == len(onto):
        return [_projected(entry, other) for entry, other in zip(value, onto, strict=True)]
    return value


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, so that a changed line shows as one; lists indented, and
    nothing as an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)

"""Labels of an image in manifests that are text before they are YAML (`*.j2`).

Whoever may push an image writes its labels. In such a text one with a line break would be further
objects: rendered once more with labels in which nothing means anything to YAML, the manifest must
come out with the same structure. Pure; imported by `manifests`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import yaml

from watcher.core.pipeline import Json
from watcher.errors import RenderError

Skeleton = tuple[object, ...] | str
"""What of a document is no value: kinds of nodes, keys, and how many of each."""

_MEANS_SOMETHING = re.compile(r"[^\w ()+,./:;<=@\\^~$-]|:(?![^\s,])")
_HARMLESS = "x"


def check_labels(
    name: str,
    scope: Mapping[str, Json],
    shape: Callable[[Mapping[str, Json]], list[Skeleton]],
) -> None:
    """Raises RenderError where a label becomes more than a value in the manifest `name`; `shape`
    gives the structure that comes of a scope."""
    plain = _with_harmless_labels(scope)
    if plain is None:
        return
    made = shape(scope)
    try:
        is_same = made == shape(plain)
    except RenderError:
        is_same = False
    if not is_same:
        raise RenderError(
            f"{name}: a label of the image would change the structure of the manifest",
            hint="write {{ labels.NAME | tojson }}, or ${labels.NAME} in quotes",
        )


def structure(roots: Iterable[yaml.Node]) -> list[Skeleton]:
    """The skeleton of each document. An alias is looked at once, where its anchor stands."""
    seen: set[int] = set()
    return [_skeleton(root, seen) for root in roots]


def _skeleton(node: yaml.Node, seen: set[int]) -> Skeleton:
    if id(node) in seen:
        return "alias"
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return ("list", *(_skeleton(each, seen) for each in node.value))
    if isinstance(node, yaml.MappingNode):
        pairs = ((_key(key, seen), _skeleton(value, seen)) for key, value in node.value)
        return ("mapping", *pairs)
    return "value"


def _key(node: yaml.Node, seen: set[int]) -> Skeleton:
    return ("key", node.value) if isinstance(node, yaml.ScalarNode) else _skeleton(node, seen)


def _with_harmless_labels(scope: Mapping[str, Json]) -> Mapping[str, Json] | None:
    """None where all labels are harmless as they are."""
    labels = scope.get("labels")
    if not isinstance(labels, Mapping):
        return None
    made = {_plain(key): _plain(value) for key, value in labels.items()}
    return None if made == labels else {**scope, "labels": made}


def _plain(value: object) -> str:
    return _MEANS_SOMETHING.sub(_HARMLESS, str(value))

"""Reading objects that a cluster sent, without trusting their shape.

Custom resources may hold anything, and messages come from kubelets, webhooks and programs in
containers: what is missing or of another type reads as empty. Pure; used within this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from watcher.errors import StageError
from watcher.kube.objects import Object
from watcher.kube.redaction import without_tokens

LONGEST_TEXT = 300
"""Characters of a remote message that are shown."""


def section(item: object, *path: str) -> Mapping[str, Any]:
    """The mapping at a path; empty where there is none."""
    found = _at(item, path)
    return found if isinstance(found, dict) else {}


def listed(item: object, *path: str) -> list[Mapping[str, Any]]:
    """The mappings in the list at a path."""
    found = _at(item, path)
    if not isinstance(found, list):
        return []
    return [entry for entry in found if isinstance(entry, dict)]


def number(item: object, *path: str) -> int | None:
    """The integer at a path; None where there is none."""
    found = _at(item, path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def count(item: object, *path: str) -> int:
    """The number at a path; 0 where there is none, as Kubernetes leaves zeros out."""
    return number(item, *path) or 0


@contextmanager
def nested(key: object) -> Iterator[None]:
    """Looking into all of an object, however deep. Raises StageError where that is too deep."""
    try:
        yield
    except RecursionError as error:
        raise StageError(f"{key}: it is nested too deeply") from error


def text(item: object, *path: str) -> str:
    """The string at a path; empty where there is none."""
    found = _at(item, path)
    return found if isinstance(found, str) else ""


def conditions(item: object) -> dict[str, Mapping[str, Any]]:
    """`status.conditions` by type."""
    found = listed(item, "status", "conditions")
    return {text(condition, "type"): condition for condition in found}


def holds(condition: Mapping[str, Any] | None, value: str = "True") -> bool:
    """Whether there is such a condition and its status is `value`."""
    return condition is not None and text(condition, "status") == value


def said(condition: Mapping[str, Any] | None) -> str:
    """A condition's reason and message in one line, such as `BackoffLimitExceeded: Job has…`."""
    reason, message = plain(text(condition, "reason")), plain(text(condition, "message"))
    return f"{reason}: {message}" if reason and message else message or reason


def plain(words: str, most: int = LONGEST_TEXT) -> str:
    """Remote text as one line: no control characters, single blanks, at most `most` characters,
    and no token or password of a URL."""
    start = words[: 4 * most]
    line = " ".join("".join(c if c.isprintable() else " " for c in start).split())
    line = without_tokens(line)
    return line if len(line) <= most else line[: most - 1] + "…"


def generation(item: object) -> int:
    return count(item, "metadata", "generation")


def uid(item: object) -> str:
    return text(item, "metadata", "uid")


def name(item: object) -> str:
    return plain(text(item, "metadata", "name"))


def owned_by(items: Iterable[Object], owner: str) -> list[Object]:
    """Those whose controller is the object with that uid."""
    return [
        item
        for item in items
        if any(
            reference.get("uid") == owner and reference.get("controller") is True
            for reference in listed(item, "metadata", "ownerReferences")
        )
    ]


def images(pod_spec: object) -> dict[str, str]:
    """The images of a pod spec by the name of the container, init containers included."""
    containers = listed(pod_spec, "initContainers") + listed(pod_spec, "containers")
    return {text(container, "name"): text(container, "image") for container in containers}


def _at(item: object, path: Iterable[str]) -> object:
    found = item
    for key in path:
        if not isinstance(found, dict):
            return None
        found = found.get(key)
    return found

"""Paths inside an object: how errors name a place, and how a config points at one.

Pure; for whoever walks manifests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping, MutableSequence
from dataclasses import dataclass
from typing import Any

Json = Any

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STEP = re.compile(r"(?P<key>[A-Za-z0-9_-]+)(?P<indexes>(?:\[(?:\*|[0-9]{1,6})\])*)")


def child(path: str, key: str) -> str:
    """The path of a key: `metadata.labels.app`, `metadata.annotations["example.com/note"]`."""
    if _PLAIN_KEY.fullmatch(key) is None:
        shown = key if key.isprintable() else ascii(key)[1:-1]
        return f'{path}["{shown}"]'
    return f"{path}.{key}" if path else key


def element(path: str, index: int) -> str:
    return f"{path}[{index}]"


@dataclass(frozen=True, slots=True)
class Slot:
    """A value where it stands, so that it can be read and replaced."""

    parent: Any
    key: Any
    path: str

    @property
    def value(self) -> Json:
        return self.parent[self.key]

    def replace(self, value: Json) -> None:
        self.parent[self.key] = value


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path with `[*]` for every item of a list: `spec.template.spec.containers[*].image`."""

    steps: tuple[str | int | None, ...]
    """Keys, indexes, and None for every index."""

    @staticmethod
    def parse(text: str) -> Pattern:
        """Raises ValueError with a sentence for the user."""
        steps: list[str | int | None] = []
        for part in text.split("."):
            match = _STEP.fullmatch(part)
            if match is None:
                raise ValueError(
                    f"{text!r} is not a path such as `spec.template.spec.containers[*].image`"
                )
            steps.append(match["key"])
            indexes = match["indexes"].replace("[", "").split("]")[:-1]
            steps += [None if index == "*" else int(index) for index in indexes]
        return Pattern(tuple(steps))

    def find(self, root: Json) -> Iterator[Slot]:
        """Every place of `root` that the pattern means; places that are not there are left out."""
        found = [Slot({"": root}, "", "")]
        for step in self.steps:
            found = [slot for each in found for slot in _below(each, step)]
        return iter(found)


def _below(slot: Slot, step: str | int | None) -> Iterator[Slot]:
    value = slot.value
    if isinstance(step, str):
        if isinstance(value, MutableMapping) and step in value:
            yield Slot(value, step, child(slot.path, step))
    elif isinstance(value, MutableSequence):
        for index in range(len(value)) if step is None else [step]:
            if index < len(value):
                yield Slot(value, index, element(slot.path, index))

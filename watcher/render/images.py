"""Binding: the image that a run is about takes its place in every object that uses it (SPEC 7.1).

Names are compared in canonical form, so that all spellings of Docker Hub are one; what is written
keeps the manifest's own spelling. The API server takes any text for an image and fails on the
node; here what is no image is named, for the caller to refuse. Pure; for stages and the CLI.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from string import ascii_letters, digits
from typing import Any

from watcher.core.reference import Reference
from watcher.render.paths import Pattern, Slot
from watcher.render.pod_templates import (
    CONTAINER_LISTS,
    POD_TEMPLATES,
    Object,
    below,
    group_and_kind,
)

Json = Any

_TAG_CHARACTER = r"[A-Za-z0-9._-]"
_NAME_CHARACTERS = f"{ascii_letters}{digits}._-/:[]"
_LONGEST_NAME = 600
_NOT_MENTIONS = frozenset({"apiVersion", "kind"})


class Pin(StrEnum):
    """Whether the bound reference names the tag, or the very image that was seen."""

    TAG = "tag"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundImage:
    """A reference to the run's image: in which object (its index, and how it is called), where,
    and what became of it; `before` and `after` are equal where it already was the new one."""

    index: int
    key: str
    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidImage:
    """What stands where an image belongs and is none; `reason` is a sentence for the user."""

    index: int
    key: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """`objects` in the order given; those without a change are the very ones that came in.

    `mentions` says whether the new tag or digest stands anywhere in them, bound or written.
    """

    objects: tuple[Object, ...]
    bound: tuple[BoundImage, ...]
    invalid: tuple[InvalidImage, ...]
    mentions: bool


def bind(
    objects: Iterable[Object],
    *,
    name: str,
    tag: str,
    digest: str | None,
    pin: Pin,
    paths: Mapping[str, Sequence[str]],
) -> Binding:
    """Put `name:tag`, or `name@digest`, where the objects use `name` in any version.

    `paths` says where custom kinds (`Kind` or `Kind.group`) hold images. Give the digest wherever
    it is known: a reference by it stays. The objects given are not changed.
    Raises ValueError for a name that is none, a path that is none, and a pin without its digest.
    """
    image = _image(name, tag, digest)
    if pin is Pin.DIGEST and digest is None:
        raise ValueError("an image can't be pinned to a digest that is not known")
    results: list[Object] = []
    bound: list[BoundImage] = []
    invalid: list[InvalidImage] = []
    for index, item in enumerate(objects):
        found = _Found(index, _called(item))
        results.append(found.in_place(item, image, pin, paths))
        bound += found.bound
        invalid += found.invalid
    return Binding(
        objects=tuple(results),
        bound=tuple(bound),
        invalid=tuple(invalid),
        mentions=mentions(results, name=name, tag=tag, digest=digest),
    )


def invalid_images(
    objects: Iterable[Object], paths: Mapping[str, Sequence[str]]
) -> tuple[InvalidImage, ...]:
    """What stands where an image belongs and is none, for runs that bind nothing."""
    invalid = []
    for index, item in enumerate(objects):
        found = _Found(index, _called(item))
        for slot in image_slots(item, paths):
            found.reference(slot)
        invalid += found.invalid
    return tuple(invalid)


def image_slots(item: Object, paths: Mapping[str, Sequence[str]]) -> Iterator[Slot]:
    """Every place of the object that holds an image, whatever stands there."""
    group, kind = group_and_kind(item)
    template = POD_TEMPLATES.get((group, kind))
    places = (
        [below(template, f"spec.{each}[*].image") for each in CONTAINER_LISTS]
        if template is not None
        else []
    )
    places += [*paths.get(kind, ()), *(paths.get(f"{kind}.{group}", ()) if group else ())]
    slots = (slot for place in places for slot in Pattern.parse(place).find(item))
    yield from {slot.path: slot for slot in slots}.values()


def mentions(objects: Iterable[Object], *, name: str, tag: str, digest: str | None) -> bool:
    """Whether the objects say anywhere that they are about this version (SPEC 7.1).

    Every text counts: images, arguments, variables, labels, annotations, files in a ConfigMap or,
    encoded, in a Secret. The tag must stand on its own, and not as the tag or port of something
    else: `other/app:1.2` says nothing of `1.2` of this image, nor does `v1` of an API version.
    """
    image = _image(name, tag, digest)
    texts = (text for item in objects for text in (*_texts(item), *_secret_texts(item)))
    return any(_mentions(text, image) for text in texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """The image of a run. `name` is canonical (`index.docker.io/library/nginx`)."""

    name: str
    tag: str
    digest: str | None

    def bound(self, text: str, reference: Reference, pin: Pin) -> str:
        """The text with the new tag or digest; as it is when it names the new image already."""
        if self.digest is not None and reference.digest == self.digest:
            return text
        name = _own_spelling(text)
        return f"{name}@{self.digest}" if pin is Pin.DIGEST else f"{name}:{self.tag}"


@dataclass(slots=True)
class _Found:
    """What was found in one object."""

    index: int
    key: str
    bound: list[BoundImage] = field(default_factory=list)
    invalid: list[InvalidImage] = field(default_factory=list)

    def in_place(
        self, item: Object, image: _Image, pin: Pin, paths: Mapping[str, Sequence[str]]
    ) -> Object:
        """The object with the new image, the same one when nothing changes in it."""
        if next(image_slots(item, paths), None) is None:
            return item
        changed = deepcopy(item)
        for slot in image_slots(changed, paths):
            self.take(slot, image, pin)
        return item if changed == item else changed

    def take(self, slot: Slot, image: _Image, pin: Pin) -> None:
        reference = self.reference(slot)
        if reference is None or reference.name != image.name:
            return
        before: str = slot.value
        after = image.bound(before, reference, pin)
        slot.replace(after)
        self.bound.append(
            BoundImage(index=self.index, key=self.key, path=slot.path, before=before, after=after)
        )

    def reference(self, slot: Slot) -> Reference | None:
        try:
            return _parsed(slot.value)
        except ValueError as error:
            self.invalid.append(
                InvalidImage(index=self.index, key=self.key, path=slot.path, reason=str(error))
            )
            return None


def _image(name: str, tag: str, digest: str | None) -> _Image:
    return _Image(name=Reference.parse(name).name, tag=tag, digest=digest)


def _parsed(value: Json) -> Reference:
    """Stricter than people's writing: a manifest's image is no place for spaces around it."""
    if not isinstance(value, str):
        raise ValueError("an image must be a string")
    if value != value.strip():
        raise ValueError(f"{value!r} is not an image")
    return Reference.parse(value)


def _own_spelling(text: str) -> str:
    """The name as written, without tag and digest; a colon before a slash is a port's."""
    head, slash, tail = text.partition("@")[0].rpartition("/")
    return f"{head}{slash}{tail.partition(':')[0]}"


def _called(item: Object) -> str:
    """As kubectl names it: `deployment.apps/web in namespace shop`."""
    group, kind = group_and_kind(item)
    metadata = item.get("metadata") or {}
    place = f" in namespace {metadata['namespace']}" if metadata.get("namespace") else ""
    return f"{kind.lower()}{'.' if group else ''}{group}/{metadata.get('name', '')}{place}"


def _texts(value: Json) -> Iterator[str]:
    """Every string value; API versions and kinds speak of Kubernetes, not of images."""
    rest = [value]
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            rest += [each for key, each in value.items() if key not in _NOT_MENTIONS]
        elif isinstance(value, list):
            rest += value


def _secret_texts(item: Object) -> Iterator[str]:
    data = item.get("data")
    if group_and_kind(item) == ("", "Secret") and isinstance(data, dict):
        for value in data.values():
            with suppress(ValueError, TypeError):
                yield b64decode(value).decode()


def _mentions(text: str, image: _Image) -> bool:
    if image.digest is not None and image.digest in text:
        return True
    if image.tag not in text:
        return False
    pattern = rf"(?<!{_TAG_CHARACTER}){re.escape(image.tag)}(?!{_TAG_CHARACTER})"
    return any(_speaks_of(text, match, image) for match in re.finditer(pattern, text))


def _speaks_of(text: str, match: re.Match[str], image: _Image) -> bool:
    if text.startswith("@sha", match.end()) and image.digest is not None:
        return False
    before = text[max(0, match.start() - _LONGEST_NAME) : match.start()]
    if not before.endswith(":"):
        return True
    run = before[len(before.rstrip(_NAME_CHARACTERS)) : -1]
    return any(_is_name(each, image) for each in _readings(run))


def _readings(run: str) -> Iterator[str]:
    """What may be the image's name at the end of unbroken text: all, or what follows a scheme
    (`docker://acme/app`) or a key (`image:acme/app`)."""
    yield run
    for match in re.finditer(r":(?://)?", run):
        yield run[match.end() :]


def _is_name(text: str, image: _Image) -> bool:
    try:
        return Reference.parse(text).name == image.name
    except ValueError:
        return False

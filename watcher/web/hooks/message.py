"""What a delivery says, read strictly: the values that all senders' modules make, and their tools.

Everything in a payload was written by a stranger: names are checked against the grammar of
`core/reference.py`, counts and lengths are bounded, and an error never repeats what was sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from watcher.core.hint import Hint, registry_name
from watcher.core.oci import parse_document
from watcher.core.reference import Registry, is_digest, is_repository_name, is_tag

MOST_EVENTS = 1000
"""In one delivery. docker-registry puts one into each."""
LONGEST_IDENTIFIER = 200
_LATEST_SECOND = 32_503_680_000  # the year 3000

Json = dict[str, Any]


class Malformed(ValueError):
    """A payload that is not what its sender sends; says why, in words of our own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a delivery says.

    identifier: how the sender numbers it. moment: when it happened, epoch seconds.
    note: why there are no hints. is_traffic: it tells of pulls or layers, which a busy registry
    does all the time; counted, and not kept.
    callback_url: whom Docker Hub wants to be told. reply: what a sender wants to hear back.
    """

    hints: tuple[Hint, ...] = ()
    identifier: str | None = None
    moment: float | None = None
    note: str = ""
    is_traffic: bool = False
    callback_url: str | None = None
    reply: Mapping[str, str] = field(default_factory=dict)


def read_json(body: bytes) -> Any:
    """The JSON of a body. Raises Malformed."""
    try:
        return parse_document(body)
    except ValueError as error:
        raise Malformed(f"the body is not JSON: {type(error).__name__}") from None


def read_object(body: bytes) -> Json:
    document = read_json(body)
    if not isinstance(document, dict):
        raise Malformed("the body is no JSON object")
    return document


def object_in(document: Json, key: str) -> Json:
    """An object that has to be there."""
    value = document.get(key)
    if not isinstance(value, dict):
        raise Malformed(f"`{key}` is missing or no object")
    return value


def objects_in(document: Json, key: str) -> list[Json]:
    """A list of objects, not too long, that has to be there."""
    return list_of_objects(document.get(key), key)


def list_of_objects(value: object, name: str) -> list[Json]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Malformed(f"`{name}` is missing or no list of objects")
    if len(value) > MOST_EVENTS:
        raise Malformed(f"`{name}` has more than {MOST_EVENTS} entries")
    return value


def text_in(document: Json, key: str) -> str:
    """A text that has to be there."""
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise Malformed(f"`{key}` is missing or no text")
    return value


def optional_text(document: Json, key: str) -> str:
    """A text, or an empty one where it is missing or something else."""
    value = document.get(key)
    return value if isinstance(value, str) else ""


def hint_of(
    registry: str | None,
    repository: str,
    tag: object = None,
    digest: object = None,
    *,
    is_deletion: bool = False,
) -> Hint:
    """A hint of checked names. Raises Malformed. Some senders put the digest where the tag stands
    when there is none."""
    name = _registry(registry) if registry else None
    if name is not None:
        repository = Registry(name, "").canonical_repository(repository)
    if not is_repository_name(repository):
        raise Malformed("the repository's name is none")
    if tag not in (None, "") and not (isinstance(tag, str) and (is_tag(tag) or is_digest(tag))):
        raise Malformed("the tag is none")
    if digest not in (None, "") and not (isinstance(digest, str) and is_digest(digest)):
        raise Malformed("the digest is none")
    return Hint(
        registry=name,
        repository=repository,
        tag=tag if isinstance(tag, str) and is_tag(tag) else None,
        digest=digest if isinstance(digest, str) and digest else None,
        is_deletion=is_deletion,
    )


def split_image(text: str) -> tuple[str | None, str]:
    """The host and the repository of `host/repository`, without tag and digest; the host is None
    where the first part is none."""
    path = text.partition("@")[0]
    head, slash, last = path.rpartition("/")
    path = f"{head}{slash}{last.partition(':')[0]}"
    first, slash, rest = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return None, path


def tag_and_digest(text: str) -> tuple[str, str]:
    """What stands behind `:` and `@` in an image's name; empty where there is nothing."""
    name, _, digest = text.partition("@")
    return name.rpartition("/")[2].partition(":")[2], digest


def identifier_of(value: object) -> str | None:
    """How a sender numbers a delivery: any short printable text."""
    if isinstance(value, str) and 0 < len(value) <= LONGEST_IDENTIFIER and value.isprintable():
        return value
    return None


def moment_of(value: object) -> float | None:
    """Epoch seconds of a number, or of an RFC 3339 time; None where it says nothing."""
    if isinstance(value, str):
        return _parsed(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 < value < _LATEST_SECOND or not math.isfinite(value):
        return None
    return float(value)


def _parsed(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _registry(host: str) -> str:
    try:
        return registry_name(host)
    except ValueError:
        raise Malformed("the registry's name is none") from None

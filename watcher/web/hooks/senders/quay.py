"""Quay: a notification of a push lists the tags that were updated; those of other events do not.

Red Hat Quay, "Repository notifications". The payload has neither a number nor a time.
"""

from __future__ import annotations

from collections.abc import Mapping

from watcher.web.hooks.message import (
    MOST_EVENTS,
    Malformed,
    Message,
    hint_of,
    optional_text,
    read_object,
    split_image,
    text_in,
)


def read(body: bytes, headers: Mapping[str, str]) -> Message:
    document = read_object(body)
    repository = text_in(document, "repository")
    if "updated_tags" not in document:
        return Message(note="no push: it names no updated tags")
    host, _ = split_image(optional_text(document, "docker_url"))
    tags = _tags(document["updated_tags"])
    return Message(hints=tuple(hint_of(host, repository, tag) for tag in tags or [None]))


def _tags(value: object) -> list[str | None]:
    """A list; of old versions an object, whose keys are the tags."""
    if not isinstance(value, list | dict):
        raise Malformed("`updated_tags` is no list")
    if len(value) > MOST_EVENTS:
        raise Malformed(f"`updated_tags` has more than {MOST_EVENTS} entries")
    return list(value)

"""The notifications of docker-registry (CNCF Distribution): an envelope of events.

distribution.github.io, "Work with notifications". It tells of every layer and of every pull too,
one delivery each, and sends each again and again, in order, until it hears that it arrived.
GitLab's registry speaks the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from watcher.core.hint import Hint
from watcher.web.hooks.message import (
    Json,
    Malformed,
    Message,
    hint_of,
    identifier_of,
    moment_of,
    object_in,
    objects_in,
    optional_text,
    read_object,
    text_in,
)


def read(body: bytes, headers: Mapping[str, str]) -> Message:
    return read_envelope(read_object(body))


def read_envelope(document: Json) -> Message:
    events = objects_in(document, "events")
    hints = tuple(hint for event in events if (hint := _hint(event)) is not None)
    first = events[0] if events else {}
    return Message(
        hints=hints,
        identifier=identifier_of(first.get("id")) if len(events) == 1 else None,
        moment=moment_of(first.get("timestamp")),
        note="" if hints else "tells of no tag: layers, pulls, or an image by digest",
        is_traffic=not hints,
    )


def _hint(event: Json) -> Hint | None:
    """Of a pushed tag, and of whatever was deleted. The images of an index are pushed without a
    tag before it; they change no listing. One event that can't be read must not hold up the
    registry's queue for ever."""
    action, target = text_in(event, "action"), object_in(event, "target")
    is_deletion = action == "delete"
    if not is_deletion and not (action == "push" and target.get("tag")):
        return None
    host, repository = _host(event, target), optional_text(target, "repository")
    try:
        return hint_of(
            host, repository, target.get("tag"), target.get("digest"), is_deletion=is_deletion
        )
    except Malformed:
        return None


def _host(event: Json, target: Json) -> str | None:
    """The host as who pushed called it."""
    request = event.get("request")
    called = optional_text(request, "host") if isinstance(request, dict) else ""
    return called or _host_of_url(optional_text(target, "url"))


def _host_of_url(url: str) -> str | None:
    try:
        return urlsplit(url).netloc or None
    except ValueError:
        return None

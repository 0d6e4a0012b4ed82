"""What the modules of the native APIs share: entries, pages, moments, and strict reading.

A reader raises ValueError with a sentence for whatever does not look as it should: then v2 is
asked instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from watcher.core.reference import is_digest, is_tag
from watcher.registry.answer import Answer
from watcher.registry.bodies import parse_json
from watcher.registry.urls import absolute, origin_of

SECOND = 1_000_000_000
MOST_ENTRIES = 1000
"""Of one page, ten times what is asked for: many pages of them are kept in memory."""
_LAST_SECOND = 253_402_300_799  # of the year 9999
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)", re.ASCII
)


class Entry(NamedTuple):
    """A tag, what it points to (None where that is not told), and since when: nanoseconds of the
    epoch, as exact as the API tells it."""

    tag: str
    digest: str | None
    at: int


class NativePage(NamedTuple):
    """One page, newest first; where the next one is; how many tags there are where it says so."""

    entries: tuple[Entry, ...]
    following: str | None
    total: int | None = None


class NewestFirst(NamedTuple):
    """An API that lists tags newest first. `first` makes the URL of a repository's first page
    from the API's origin and its name, `read` reads the answer from a URL. `by_offset`: pages
    are counted from the newest, so that they shift while tags are pushed or deleted."""

    name: str
    first: Callable[[str, str], str]
    read: Callable[[Answer, str], NativePage]
    by_offset: bool


def document_of(answer: Answer) -> Any:
    """The JSON of an answer."""
    return parse_json(answer.body)


def objects(value: object, what: str) -> list[dict[str, Any]]:
    """A list of JSON objects."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"`{what}` is no list of objects")
    if len(value) > MOST_ENTRIES:
        raise ValueError("it holds far more than was asked for")
    return value


def object_of(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("the JSON is no object")
    return value


def entries_of(found: Iterable[tuple[object, object, int]]) -> tuple[Entry, ...]:
    """Entries from tag, digest and time. What is no tag is left out, as in a v2 listing."""
    return tuple(
        Entry(tag, _digest(digest), at)
        for tag, digest, at in found
        if isinstance(tag, str) and is_tag(tag)
    )


def moment(value: object) -> int:
    """Nanoseconds of the epoch from RFC 3339, with up to nine digits of a second."""
    found = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a time is missing, or of an unknown form")
    seconds = int(datetime.fromisoformat(found[1] + found[3]).timestamp())
    return checked_second(seconds) * SECOND + int((found[2] or "").ljust(9, "0"))


def checked_second(value: object) -> int:
    """A second of the epoch that may be one."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LAST_SECOND:
        raise ValueError("a time is missing, or of an unknown form")
    return value


def on_same_origin(link: str, url: str) -> str:
    """The next page: our own path with the link's query, for no other host is asked."""
    target = absolute(url, link)
    if target is None or origin_of(target) != origin_of(url):
        raise ValueError("its next page is on another host")
    query = target.partition("?")[2]
    if not query:
        raise ValueError("its link to the next page has no cursor")
    return f"{url.partition('?')[0]}?{query}"


def _digest(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not is_digest(value):
        raise ValueError("a digest is none")
    return value

"""Azure's `/acr/v1/…/_tags`: newest first by `lastUpdateTime`, with the v2 API's login.

Its token needs the action `metadata_read` beside `pull` (quirks.py). Source: Azure's REST
reference, "Tag - Get List".
"""

from __future__ import annotations

from watcher.registry.answer import Answer
from watcher.registry.listing.links import next_link
from watcher.registry.native.base import (
    NativePage,
    NewestFirst,
    document_of,
    entries_of,
    moment,
    object_of,
    objects,
    on_same_origin,
)


def first(origin: str, repository: str) -> str:
    return f"{origin}/acr/v1/{repository}/_tags?orderby=timedesc&n=100"


def read(answer: Answer, url: str) -> NativePage:
    document = object_of(document_of(answer))
    if "tags" not in document:
        raise ValueError("`tags` is missing")
    found = (
        (tag.get("name"), tag.get("digest"), moment(tag.get("lastUpdateTime")))
        for tag in objects(document["tags"] or [], "tags")
    )
    entries = entries_of(found)
    link = next_link(answer.headers.get_list("link"))
    return NativePage(entries, on_same_origin(link, url) if link else None)


API = NewestFirst("acr", first, read, by_offset=False)

"""Docker Hub's tags of hub.docker.com: newest first, with their number, a hundred a page.

`ordering=last_updated` is newest first there (with a minus it is the other way round). A digest
is null for odd media types. Source: docs.docker.com "Docker Hub API", and field notes.
"""

from __future__ import annotations

from watcher.registry.answer import Answer
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

LOGIN_PATH = "/v2/auth/token"


def first(origin: str, repository: str) -> str:
    namespace, _, name = repository.partition("/")
    if not name or "/" in name:
        raise ValueError("its names have two parts")
    return (
        f"{origin}/v2/namespaces/{namespace}/repositories/{name}/tags"
        "?page_size=100&ordering=last_updated"
    )


def read(answer: Answer, url: str) -> NativePage:
    document = object_of(document_of(answer))
    count, link = document.get("count"), document.get("next")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise ValueError("`count` is missing")
    if link is not None and not isinstance(link, str):
        raise ValueError("`next` is no link")
    found = (
        (tag.get("name"), tag.get("digest"), moment(tag.get("last_updated")))
        for tag in objects(document.get("results"), "results")
    )
    following = on_same_origin(link, url) if link else None
    return NativePage(entries_of(found), following, count)


API = NewestFirst("hub", first, read, by_offset=True)

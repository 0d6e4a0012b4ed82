"""GitLab's `/gitlab/v1/…/tags/list/`: newest first by `published_at`, with the v2 API's tokens.

`published_at` is when a tag was made or last pointed elsewhere. The next page is after a tag, so
nothing shifts. Source: docs/spec/gitlab/api.md of gitlab-org/container-registry.
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
    objects,
    on_same_origin,
)


def first(origin: str, repository: str) -> str:
    return f"{origin}/gitlab/v1/repositories/{repository}/tags/list/?n=100&sort=-published_at"


def read(answer: Answer, url: str) -> NativePage:
    found = (
        (tag.get("name"), tag.get("digest"), moment(tag.get("published_at")))
        for tag in objects(document_of(answer), "tags")
    )
    entries = entries_of(found)
    link = next_link(answer.headers.get_list("link"))
    return NativePage(entries, on_same_origin(link, url) if link else None)


API = NewestFirst("gitlab", first, read, by_offset=False)

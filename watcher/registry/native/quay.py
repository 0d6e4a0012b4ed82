"""Quay's `/api/v1/repository/…/tag/`: the active tags, newest first, a hundred a page.

A move makes a new row, so its `start_ts` (whole seconds) is the time of the last push. What is
deleted is not told. Source: endpoints/api/tag.py of quay/quay.
"""

from __future__ import annotations

import re

from watcher.registry.answer import Answer
from watcher.registry.native.base import (
    SECOND,
    NativePage,
    NewestFirst,
    checked_second,
    document_of,
    entries_of,
    object_of,
    objects,
)

_PAGE = re.compile(r"(?<=[?&]page=)([0-9]{1,9})$")


def first(origin: str, repository: str) -> str:
    return f"{origin}/api/v1/repository/{repository}/tag/?onlyActiveTags=true&limit=100&page=1"


def read(answer: Answer, url: str) -> NativePage:
    document = object_of(document_of(answer))
    tags = objects(document.get("tags"), "tags")
    has_more = document.get("has_additional")
    if not isinstance(has_more, bool):
        raise ValueError("`has_additional` is missing")
    found = (
        (tag.get("name"), tag.get("manifest_digest"), checked_second(tag.get("start_ts")) * SECOND)
        for tag in tags
    )
    following = _PAGE.sub(lambda page: str(int(page[1]) + 1), url) if has_more else None
    return NativePage(entries_of(found), following)


API = NewestFirst("quay", first, read, by_offset=True)

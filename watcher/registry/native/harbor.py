"""Harbor's list of all repositories, those that changed last first: one question for an account.

Since 2.15.2 a tag that comes, moves or goes touches its repository's `update_time` (goharbor/harbor
commit 382dd69); before, the list says nothing. A pull touches it as well, so a changed time is no
more than a reason to look. Which tag points where is told by the repository's artifacts. The
version is told to who logged in only. Source: api/v2.0/swagger.yaml of goharbor/harbor.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from watcher.core.reference import is_repository_name
from watcher.registry.answer import Answer
from watcher.registry.listing.links import next_link
from watcher.registry.native.base import (
    NativePage,
    document_of,
    entries_of,
    moment,
    object_of,
    objects,
    on_same_origin,
)

FIRST_THAT_TELLS = "2.15.2"
_VERSION = re.compile(r"v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:[!-/:-~][!-~]{0,63})?", re.ASCII)


class Changed(NamedTuple):
    """A repository, and when it changed last, in nanoseconds of the epoch."""

    repository: str
    at: int


class ChangedPage(NamedTuple):
    """One page, changed last first; `total` is the number of all repositories one may see."""

    entries: tuple[Changed, ...]
    following: str | None
    total: int


def first(origin: str) -> str:
    return f"{origin}/api/v2.0/repositories?sort=-update_time&page_size=100"


def artifacts(origin: str, repository: str) -> str:
    """The first page of what a repository's tags point to; slashes are encoded twice over."""
    project, _, name = repository.partition("/")
    escaped = name.replace("/", "%252F")
    return (
        f"{origin}/api/v2.0/projects/{project}/repositories/{escaped}/artifacts"
        "?q=tags%3D*&with_tag=true&page_size=100"
    )


def read_artifacts(answer: Answer, url: str) -> NativePage:
    """Tags and digests of one page, in no order; raises ValueError with a sentence."""
    found = (
        (tag.get("name"), artifact.get("digest"), 0)
        for artifact in objects(document_of(answer), "artifacts")
        for tag in objects(artifact.get("tags") or [], "tags")
    )
    entries = entries_of(found)
    link = next_link(answer.headers.get_list("link"))
    return NativePage(entries, on_same_origin(link, url) if link else None)


def system_info(origin: str) -> str:
    """Where it tells its version."""
    return f"{origin}/api/v2.0/systeminfo"


def read(answer: Answer, url: str) -> ChangedPage:
    """Raises ValueError with a sentence."""
    items = objects(document_of(answer), "repositories")
    found = tuple(
        Changed(item["name"], moment(item.get("update_time")))
        for item in items
        if isinstance(item.get("name"), str) and is_repository_name(item["name"])
    )
    total = answer.headers.get("x-total-count") or ""
    if not total.isascii() or not total.isdigit() or len(total) > 9:
        raise ValueError("`X-Total-Count` is missing")
    link = next_link(answer.headers.get_list("link"))
    return ChangedPage(found, on_same_origin(link, url) if link else None, int(total))


def read_version(answer: Answer) -> str | None:
    """The version in a `systeminfo`; raises ValueError when it is none."""
    version = object_of(document_of(answer)).get("harbor_version")
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else None


def tells_changes(version: str | None) -> bool:
    """Whether the list of such a Harbor can be relied upon (`v2.15.2-ab1c2d3e`)."""
    return version is not None and _numbers(version) >= _numbers(FIRST_THAT_TELLS)


def _numbers(version: str) -> tuple[int, ...]:
    found = _VERSION.fullmatch(version)
    return tuple(map(int, found.groups())) if found else ()

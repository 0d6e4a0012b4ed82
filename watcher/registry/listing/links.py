"""The next page of a listing: found in `Link` (RFC 8288) and nowhere else.

A cursor is opaque and goes back byte by byte; it is never made of the last tag. Links stay on the
origin of the page. Where a registry names a path of its own inside (Artifactory, Nexus), our path
is kept and its query taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from watcher.registry.urls import absolute, origin_of

_PARAMETERS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)*')
_RELATION = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)
_CURSOR = re.compile(r"(?:^|&)(?:last|next_page)=[^&]")


def next_link(lines: Sequence[str]) -> str | None:
    """The target with relation `next`; a sole link that names no relation is taken for it."""
    links = [link for line in lines for link in _links(line)]
    for target, relations in links:
        if "next" in relations:
            return target
    if len(links) == 1 and not links[0][1]:
        return links[0][0]
    return None


def next_url(link: str, page: str) -> str:
    """The absolute URL of a link on `page`; raises ValueError with a sentence to refuse it."""
    target = absolute(page, link)
    if target is None:
        raise ValueError("its link to the next page is no URL")
    if origin_of(target) != origin_of(page):
        raise ValueError(f"its next page is on another host ({origin_of(target)})")
    path, _, query = target.partition("?")
    own_path = page.partition("?")[0]
    if _path(path) == _path(own_path):
        return target
    if _CURSOR.search(query) is None:
        raise ValueError("its link to the next page has another path and no cursor")
    return f"{own_path}?{query}"


def _links(line: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Target and relations of each link, in time that grows with the line and no faster."""
    start = line.find("<")
    while start >= 0 and (end := line.find(">", start)) >= 0:
        parameters = _PARAMETERS.match(line, end + 1)
        after = parameters.end() if parameters else end + 1
        yield line[start + 1 : end].strip(), _relations(line[end + 1 : after])
        start = line.find("<", after)


def _relations(parameters: str) -> frozenset[str]:
    found = _RELATION.search(parameters)
    return frozenset((found[1] or found[2] or "").lower().split()) if found else frozenset()


def _path(url: str) -> str:
    return url.partition("://")[2].partition("/")[2]

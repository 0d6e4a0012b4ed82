"""Pages of a list, one after the other, to the end or to an error (SPEC section 5).

A walk follows `Link` from page to page within caps and notices when it is led in circles. What a
page holds is the business of listing.py and tail.py, which import this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

from watcher.errors import (
    AuthenticationFailed,
    IncompleteListing,
    ProtocolError,
    RateLimited,
    RegistryError,
    TransportError,
)
from watcher.registry.answer import Answer, is_html
from watcher.registry.bodies import WALK_CAP, parse_json
from watcher.registry.listing.links import next_link, next_url


class Source(NamedTuple):
    """Where pages come from, how far they may be followed, and how they are shown in errors.

    `what` is the list of what (`repository acme/web`); `fetch` gets a page, or raises the
    RegistryError tree; `excerpt` shows the beginning of an answer that can't be used.
    """

    host: str
    what: str
    maximum_pages: int
    fetch: Callable[[str], Awaitable[Answer]]
    excerpt: Callable[[Answer], str]

    def wrong(self, page: Answer, what: str) -> ProtocolError:
        """The error of a page that is not what it should be."""
        return ProtocolError(
            f"{self.host} sent {what} for {self.what}; {self.excerpt(page)}", host=self.host
        )

    def incomplete(self, why: str) -> IncompleteListing:
        return IncompleteListing(
            f"the listing of {self.what} at {self.host} can't be completed: {why}", host=self.host
        )


async def pages_from(first: Answer, source: Source) -> AsyncIterator[tuple[Answer, bool]]:
    """The first page and all that follow, each with whether it is the last."""
    seen: set[str] = set()
    page, size = first, 0
    for number in range(1, source.maximum_pages + 1):
        seen.add(page.url)
        size += len(page.body)
        if size > WALK_CAP:
            raise source.incomplete(f"it is longer than {WALK_CAP // 1024 // 1024} MiB")
        if is_html(page):
            raise source.wrong(page, "a web page (of a login or a proxy?)")
        following = following_url(page, source)
        yield page, following is None
        if following is None:
            return
        if following in seen:
            raise source.incomplete("its pages lead in a circle")
        seen.add(following)
        if number < source.maximum_pages:
            page = await _later(following, source)
    raise source.incomplete(f"it has more than {source.maximum_pages} pages")


def following_url(page: Answer, source: Source) -> str | None:
    """Where the next page is; None after the last. Raises IncompleteListing."""
    lines = page.headers.get_list("link")
    link = next_link(lines) if lines else None
    if link is None:
        return None
    try:
        return next_url(link, page.url)
    except ValueError as error:
        raise source.incomplete(str(error)) from error


def names_of(page: Answer, key: str, source: Source) -> tuple[list[object], dict[str, object]]:
    """The entries under a key of a page's JSON object, and the whole of it."""
    try:
        document = parse_json(page.body)
    except ValueError as error:
        raise source.wrong(page, f"wrong JSON ({error})") from error
    if not isinstance(document, dict) or key not in document:
        raise source.wrong(page, f"JSON without `{key}`")
    entries = document[key]
    if entries is not None and not isinstance(entries, list):
        raise source.wrong(page, f"JSON whose `{key}` is no list")
    if document.get("errors") and not entries:
        raise source.wrong(page, "an error with status 200")
    if entries and not any(entry is None or isinstance(entry, str) for entry in entries):
        raise source.wrong(page, f"JSON whose `{key}` holds no names")
    return entries or [], document


async def _later(url: str, source: Source) -> Answer:
    """A page after the first: its refusal says nothing about the repository."""
    try:
        return await source.fetch(url)
    except (RateLimited, TransportError, AuthenticationFailed):
        raise
    except RegistryError as error:
        raise IncompleteListing(
            f"the listing of {source.what} broke off: {error.message}",
            host=source.host,
            status=error.status,
            hint=error.hint,
            temporary=error.temporary,
        ) from error

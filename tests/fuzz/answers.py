"""Answers of a registry that answers from a list: what fuzzed bodies and headers arrive in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watcher.http_client import Headers
from watcher.registry.answer import Answer
from watcher.registry.excerpts import excerpt
from watcher.registry.listing.pages import Source

HOST = "registry.example.com"
ORIGIN = f"https://{HOST}"
LIST = f"{ORIGIN}/v2/acme/web/tags/list"
SECRET = "tr0ub4dor-and-3"


def answer(
    body: bytes, *, url: str = LIST, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    lines = [
        (name.encode(), value.encode("utf-8", "surrogatepass"))
        for name, value in (headers or {}).items()
    ]
    return Answer(status, Headers(lines), body, url)


class Pages:
    """Gives one body after the other, each with its Link, for whatever address is asked; the
    last one again and again. `urls` are the addresses."""

    def __init__(self, bodies: Sequence[bytes], links: Sequence[str]) -> None:
        self._bodies = bodies
        self._links = links
        self.urls: list[str] = []

    def source(self, maximum: int = 6) -> Source:
        return Source(
            host=HOST,
            what="repository acme/web",
            maximum_pages=maximum,
            fetch=self.fetch,
            excerpt=lambda page: excerpt(page.body, (SECRET,)),
        )

    async def fetch(self, url: str) -> Answer:
        return self.next(url)

    def next(self, url: str) -> Answer:
        place = len(self.urls)
        self.urls.append(url)
        body = self._bodies[min(place, len(self._bodies) - 1)]
        if place >= len(self._links) or not self._links[place]:
            return answer(body, url=url)
        return answer(body, url=url, headers={"link": self._links[place]})

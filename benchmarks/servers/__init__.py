"""The registries that benchmarks ask, behind one interface; the fastest there is is taken.

fakereg (a synthetic registry in Go: the binary named by FAKEREG, or on PATH), else nginx over
generated files, else the fake registry of the tests. What a server lacks, benchmarks leave out and
say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

USER, PASSWORD = "bench", "bench-secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a server is to hold, and how it is to answer. `latency`: ms added to each answer."""

    repositories: int
    tags: int = 100
    latency: float = 0.0
    tls: bool = True
    login: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"lab/app-{number:05}" for number in range(self.repositories))

    @property
    def tag_names(self) -> tuple[str, ...]:
        return tuple(f"1.{number // 10}.{number % 10}" for number in range(self.tags))


class Counts(NamedTuple):
    """Requests by kind since the start of a server, and connections; its own looks left out.
    `refused`: how many of the requests were answered by 401, as the challenge to a login is."""

    listings: int = 0
    manifests: int = 0
    tokens: int = 0
    other: int = 0
    connections: int = 0
    refused: int = 0

    @property
    def requests(self) -> int:
        return self.listings + self.manifests + self.tokens + self.other

    def since(self, before: Counts) -> Counts:
        return Counts(*(now - then for now, then in zip(self, before, strict=True)))


class Server(Protocol):
    """A running registry. `words` say what it is and how one logs in."""

    @property
    def words(self) -> str: ...

    @property
    def address(self) -> str: ...

    @property
    def ca_file(self) -> Path | None: ...

    @property
    def wanted(self) -> Wanted: ...

    def counts(self) -> Counts: ...

    def push(self, repository: str, tag: str) -> None:
        """Add a tag, or where the server can move it when it is there."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of server: the program it needs (None: is not there), what it can't do."""

    name: str
    find: Callable[[], str | None]
    run: Callable[[str, Path, Wanted], AbstractContextManager[Server]]
    has_latency: bool = True
    has_moves: bool = True


def kinds() -> Sequence[Kind]:
    """The best first."""
    from benchmarks.servers import fake, fakereg, nginx

    return (fakereg.KIND, nginx.KIND, fake.KIND)


def chosen(name: str | None = None) -> Kind:
    """The best kind whose program is there, or the one of this name. Raises LookupError."""
    for kind in kinds():
        if name in (None, kind.name) and kind.find() is not None:
            return kind
    raise LookupError(f"no server {name!r} here; there are: {', '.join(k.name for k in kinds())}")


@contextmanager
def running(kind: Kind, directory: Path, wanted: Wanted) -> Iterator[Server]:
    """Run a server of this kind until the block ends; its files are in `directory`."""
    program = kind.find()
    if program is None:
        raise LookupError(f"{kind.name} is not installed")
    if wanted.latency and not kind.has_latency:
        raise LookupError(f"{kind.name} adds no latency")
    place = directory / f"{kind.name}-{wanted.repositories}-{wanted.latency:g}"
    place.mkdir(parents=True)
    with kind.run(program, place, wanted) as server:
        yield server

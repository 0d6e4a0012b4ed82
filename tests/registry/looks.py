"""What a poller makes of looks: the tags and digests that it would have stored, and what it hands
in with the next look. Small enough to be trusted, so that clients can be tested without an engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.registry.accounts import Clock, Passwords
from tests.registry.clients import connect
from watcher.core.account import DialectName, Strategy
from watcher.registry.budgets.limits import Priority
from watcher.registry.client import RegistryClient
from watcher.registry.listing.tags import Listing, Recent, Seen, Unchanged
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

WEB = "acme/web"
NEWEST_FIRST = ("quay", "docker-hub", "gitlab", "acr")
"""Kinds of registry whose own API lists tags newest first."""

Look = Listing | Unchanged | Recent


@dataclass(kw_only=True)
class Follower:
    """Follows all tags of a repository and their digests, as the poller does: what a native API
    tells of a digest is confirmed by v2 before it counts."""

    client: RegistryClient
    clock: Clock
    repository: str = WEB
    interval: float = 60.0
    wants_digests: bool = True
    wants_deletions: bool = False
    digests: dict[str, str] = field(default_factory=dict)
    fingerprint: bytes | None = None
    mark: str | None = None
    walked: float | None = None

    def seen(self) -> Seen:
        return Seen(
            fingerprint=self.fingerprint,
            mark=self.mark,
            walked=self.walked,
            tags=len(self.digests),
            interval=self.interval,
            wants_digests=self.wants_digests,
            wants_deletions=self.wants_deletions,
        )

    async def look(self, priority: Priority = Priority.SCHEDULED) -> Look:
        """One look, believed."""
        answer = await self.client.look(self.repository, self.seen(), priority)
        await self._believe(answer)
        if isinstance(answer, Recent):
            self.fingerprint, self.mark = b"", answer.mark
        elif answer.fingerprint is None:
            self.mark = answer.mark or self.mark
        else:
            self.fingerprint, self.mark, self.walked = answer.fingerprint, answer.mark, self.clock()
        return answer

    async def _believe(self, answer: Look) -> None:
        if not self.wants_digests:
            return
        if isinstance(answer, Recent):
            asked = [
                tag
                for tag, digest in answer.digests.items()
                if digest is None or self.digests.get(tag) != digest
            ]
            if not answer.tells_digests:
                asked = list(dict.fromkeys((*self.digests, *answer.digests)))
        elif isinstance(answer, Listing):
            self.digests = {tag: self.digests.get(tag, "") for tag in answer.tags}
            self.digests.update(answer.digests)
            asked = [] if answer.digests else list(answer.tags)
        else:
            asked = [] if answer.tells_digests else list(self.digests)
        for tag in asked:
            self.digests[tag] = await self.client.head(self.repository, tag)


@asynccontextmanager
async def playing(kind: str, *tags: str, **settings: Any) -> AsyncIterator[FakeRegistry]:
    """A registry of that kind with these tags of WEB; its clock stands still, or is the given."""
    clock = settings.pop("clock", None) or Clock()
    async with FakeRegistry(profile=PROFILES[kind], clock=clock, **settings) as registry:
        for tag in tags:
            registry.push(WEB, tag)
        yield registry


@asynccontextmanager
async def following(
    registry: FakeRegistry,
    kind: str,
    clock: Clock,
    passwords: Passwords | None = None,
    *,
    strategy: Strategy = Strategy.NATIVE,
    account: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Follower]:
    """A follower of WEB with a client that knows which kind of registry it is."""
    own = {"dialect": DialectName(kind), "strategy": strategy, **(account or {})}
    async with connect(registry, passwords, clock=clock, **own) as client:
        yield Follower(client=client, clock=clock, **settings)


def stored(registry: FakeRegistry, repository: str = WEB) -> dict[str, str]:
    """The truth: tags and digests of a repository."""
    found = {}
    for tag in registry.tags(repository) or ():
        manifest = registry.manifest(repository, tag)
        assert manifest is not None
        found[tag] = manifest.digest
    return found


def asked(registry: FakeRegistry) -> tuple[int, int]:
    """How many requests came since the log was last emptied: to the own API, and for tags."""
    counts = registry.count(Kind.NATIVE), registry.count(Kind.TAGS)
    registry.reset_log()
    return counts

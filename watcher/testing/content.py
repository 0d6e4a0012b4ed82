"""What the fake registry holds: repositories, tags, manifests and blobs, in memory.

Thousands of seeded repositories share one set of tags until one of them is written to, and
the image of a seeded tag is made when it is first asked for. Imported by the fake registry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from watcher.testing.images import OCI_MANIFEST, Image, Manifest, multi_platform, single

_NOT_MADE_YET = ""


class TagTimes(NamedTuple):
    """When a tag came and when it was last pushed or moved, in epoch seconds.

    number: grows with every push and move of the whole registry, where the clock stands still.
    """

    first: float
    last: float
    number: int


@dataclass(slots=True)
class _Repository:
    tags: dict[str, str]
    seeded: TagTimes
    updated: float
    shared: bool = False
    revisions: set[str] = field(default_factory=set)
    times: dict[str, TagTimes] = field(default_factory=dict)

    def own_tags(self) -> dict[str, str]:
        if self.shared:
            self.tags, self.shared = dict(self.tags), False
        return self.tags


class Content:
    """Repositories and their images; names are taken as they come, also impossible ones."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._repositories: dict[str, _Repository] = {}
        self._manifests: dict[str, Manifest] = {}
        self._blobs: dict[str, bytes] = {}
        self._uploaded: dict[str, float] = {}
        self._pushes = 0
        self._changes = 0

    @property
    def repositories(self) -> tuple[str, ...]:
        """All repository names, in the order of their first push."""
        return tuple(self._repositories)

    def tags(self, repository: str) -> tuple[str, ...] | None:
        """The tags in the order of their first push; None where there is no such repository."""
        found = self._repositories.get(repository)
        return None if found is None else tuple(found.tags)

    def times(self, repository: str) -> list[tuple[str, TagTimes]]:
        """The tags of a known repository with their times, newest first."""
        found = self._repositories[repository]
        listed = [
            (tag, found.times.get(tag) or found.seeded._replace(number=found.seeded.number + place))
            for place, tag in enumerate(found.tags)
        ]
        return sorted(listed, key=lambda item: (item[1].last, item[1].number), reverse=True)

    def made(self, repository: str) -> float:
        """When a known repository was first pushed to, in epoch seconds."""
        return self._repositories[repository].seeded.first

    def updated(self, repository: str) -> float:
        """When a tag of a known repository last came, moved or went, in epoch seconds."""
        return self._repositories[repository].updated

    def uploaded(self, digest: str) -> float:
        """When a known manifest was first stored, in epoch seconds."""
        return self._uploaded[digest]

    def revisions(self, repository: str) -> frozenset[str]:
        """The digests of all manifests of a known repository, with a tag or without."""
        return frozenset(self._repositories[repository].revisions)

    def push(
        self,
        repository: str,
        tag: str,
        *,
        content: bytes | str | None = None,
        labels: Mapping[str, str] | None = None,
        platforms: Sequence[str] = (),
        media_type: str = OCI_MANIFEST,
    ) -> str:
        """Store an image under a tag; returns its digest. Without content it is a new image."""
        self._pushes += 1
        if content is None:
            content = f"{repository}:{tag} push {self._pushes}"
        layer = content.encode() if isinstance(content, str) else content
        if platforms:
            image = multi_platform(layer, platforms, labels=labels, media_type=media_type)
        else:
            image = single(layer, labels=labels, media_type=media_type)
        return self._store(repository, tag, image)

    def put_manifest(self, repository: str, tag: str, body: bytes, media_type: str) -> str:
        """Store these very bytes as a manifest, whatever they are; returns their digest."""
        return self._store(repository, tag, Image(Manifest(media_type, body)))

    def put_blob(self, digest: str, body: bytes) -> None:
        """Serve these bytes as that blob, whether or not they hash to it."""
        self._blobs[digest] = body

    def move(self, repository: str, tag: str, *, to: str | None = None) -> str:
        """Point a known tag at a new image, or at that digest or tag of the same repository.

        Returns the digest. KeyError if the tag, or the target, is unknown.
        """
        found = self._repositories[repository]
        if tag not in found.tags:
            raise KeyError(tag)
        if to is None:
            return self.push(repository, tag)
        target = self.manifest(repository, to)
        if target is None:
            raise KeyError(to)
        self._point(found, tag, target.digest)
        return target.digest

    def delete_tag(self, repository: str, tag: str) -> None:
        """Take a tag away; its manifest stays reachable by digest. KeyError if unknown."""
        found = self._repositories[repository]
        del found.own_tags()[tag]
        found.times.pop(tag, None)
        found.updated = self._clock()

    def delete_repository(self, repository: str) -> None:
        """Take a repository away. KeyError if unknown."""
        del self._repositories[repository]

    def seed(self, repositories: Sequence[str], tags: Sequence[str]) -> None:
        """Create many repositories with the same tags, at little cost each."""
        template = dict.fromkeys(tags, _NOT_MADE_YET)
        now = self._clock()
        times = TagTimes(now, now, self._changes)
        self._changes += len(tags)
        for name in repositories:
            self._repositories[name] = _Repository(template, times, now, shared=True)

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """A manifest by tag or digest, as this repository knows it."""
        found = self._repositories.get(repository)
        if found is None:
            return None
        if reference in found.revisions:
            return self._manifests[reference]
        digest = found.tags.get(reference)
        if digest == _NOT_MADE_YET:
            layer = f"{repository}:{reference} seed".encode()
            digest = self._keep(found, single(layer))
            found.own_tags()[reference] = digest
        return None if digest is None else self._manifests[digest]

    def digest(self, repository: str, reference: str) -> str:
        """The digest of a manifest by tag or digest; empty where there is none."""
        found = self._repositories.get(repository)
        known = "" if found is None else found.tags.get(reference, "")
        if known:
            return known
        manifest = self.manifest(repository, reference)
        return "" if manifest is None else manifest.digest

    def blob(self, repository: str, digest: str) -> bytes | None:
        """A blob by digest (blobs are shared by all repositories)."""
        return self._blobs.get(digest) if repository in self._repositories else None

    def _store(self, repository: str, tag: str, image: Image) -> str:
        now = self._clock()
        made = _Repository({}, TagTimes(now, now, self._changes), now)
        found = self._repositories.setdefault(repository, made)
        digest = self._keep(found, image)
        self._point(found, tag, digest)
        return digest

    def _keep(self, found: _Repository, image: Image) -> str:
        for manifest in (image.top, *image.children):
            self._manifests[manifest.digest] = manifest
            self._uploaded.setdefault(manifest.digest, self._clock())
            found.revisions.add(manifest.digest)
        self._blobs.update(image.blobs)
        return image.top.digest

    def _point(self, found: _Repository, tag: str, digest: str) -> None:
        self._changes += 1
        now = found.updated = self._clock()
        if tag not in found.tags:
            first = now
        elif tag in found.times:
            first = found.times[tag].first
        else:
            first = found.seeded.first
        found.own_tags()[tag] = digest
        found.times[tag] = TagTimes(first, now, self._changes)

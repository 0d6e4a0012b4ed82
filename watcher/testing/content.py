"""What the fake registry holds: repositories, tags, manifests and blobs, in memory.

Thousands of seeded repositories share one set of tags until one of them is written to, and
the image of a seeded tag is made when it is first asked for. Imported by the fake registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from watcher.testing.images import OCI_MANIFEST, Image, Manifest, multi_platform, single

_NOT_MADE_YET = ""


@dataclass(slots=True)
class _Repository:
    tags: dict[str, str]
    shared: bool = False
    revisions: set[str] = field(default_factory=set)

    def own_tags(self) -> dict[str, str]:
        if self.shared:
            self.tags, self.shared = dict(self.tags), False
        return self.tags


class Content:
    """Repositories and their images; names are taken as they come, also impossible ones."""

    def __init__(self) -> None:
        self._repositories: dict[str, _Repository] = {}
        self._manifests: dict[str, Manifest] = {}
        self._blobs: dict[str, bytes] = {}
        self._pushes = 0

    @property
    def repositories(self) -> tuple[str, ...]:
        """All repository names, in the order of their first push."""
        return tuple(self._repositories)

    def tags(self, repository: str) -> tuple[str, ...] | None:
        """The tags in the order of their first push; None where there is no such repository."""
        found = self._repositories.get(repository)
        return None if found is None else tuple(found.tags)

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
        tags = self._repositories[repository].own_tags()
        if tag not in tags:
            raise KeyError(tag)
        if to is None:
            return self.push(repository, tag)
        target = self.manifest(repository, to)
        if target is None:
            raise KeyError(to)
        tags[tag] = target.digest
        return target.digest

    def delete_tag(self, repository: str, tag: str) -> None:
        """Take a tag away; its manifest stays reachable by digest. KeyError if unknown."""
        del self._repositories[repository].own_tags()[tag]

    def delete_repository(self, repository: str) -> None:
        """Take a repository away. KeyError if unknown."""
        del self._repositories[repository]

    def seed(self, repositories: Sequence[str], tags: Sequence[str]) -> None:
        """Create many repositories with the same tags, at little cost each."""
        template = dict.fromkeys(tags, _NOT_MADE_YET)
        for name in repositories:
            self._repositories[name] = _Repository(template, shared=True)

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
            digest = self._store(repository, reference, single(layer))
        return None if digest is None else self._manifests[digest]

    def blob(self, repository: str, digest: str) -> bytes | None:
        """A blob by digest (blobs are shared by all repositories)."""
        return self._blobs.get(digest) if repository in self._repositories else None

    def _store(self, repository: str, tag: str, image: Image) -> str:
        found = self._repositories.setdefault(repository, _Repository({}))
        for manifest in (image.top, *image.children):
            self._manifests[manifest.digest] = manifest
            found.revisions.add(manifest.digest)
        self._blobs.update(image.blobs)
        found.own_tags()[tag] = image.top.digest
        return image.top.digest

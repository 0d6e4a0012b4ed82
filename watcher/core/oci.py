"""Media types, digests, descriptors, platforms, and a manifest read from its bytes.

OCI image specification 1.1 and Docker's schema 2. A manifest is believed only when its bytes hash
to the digest asked for, and is never both an index and an image (CVE-2021-41190). Pure; everyone
may import it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from watcher.core.reference import is_digest

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_SCHEMA_1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"

ACCEPT = ", ".join(
    (
        OCI_INDEX,
        DOCKER_INDEX,
        OCI_MANIFEST,
        DOCKER_MANIFEST,
        DOCKER_SCHEMA_1_SIGNED,
        DOCKER_SCHEMA_1,
        OCI_ARTIFACT,
    )
)
"""One Accept header for HEAD and GET alike: with a type missing, a registry says that a tag does
not exist, or converts it to another digest."""

_INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_INDEX})
_IMAGE_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_ALGORITHMS = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """The digest of some bytes; `algorithm` is sha256 or sha512."""
    return f"{algorithm}:{_ALGORITHMS[algorithm](content).hexdigest()}"


def is_content_of(content: bytes, digest: str) -> bool:
    """Whether these bytes are what the (valid) digest names."""
    return digest_of(content, digest.partition(":")[0]) == digest


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on, written `os/architecture[/variant]`."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A pointer to content: its media type, digest and size in bytes."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None


@dataclass(frozen=True)
class Manifest:
    """A manifest or an index: the bytes as sent, their digest, and what they say."""

    content: bytes
    media_type: str
    digest: str

    @property
    def is_index(self) -> bool:
        return self.media_type in _INDEX_TYPES

    @property
    def says_that_it_is_one(self) -> bool:
        """Whether the bytes themselves speak of a manifest; an error with status 200 does not."""
        named = self.document.get("mediaType")
        is_named = isinstance(named, str) and named != ""
        return is_named or self.document.get("schemaVersion") in (1, 2)

    @cached_property
    def document(self) -> dict[str, Any]:
        return parse_object(self.content)

    @cached_property
    def children(self) -> tuple[Descriptor, ...]:
        """The manifests of an index; none for an image."""
        return tuple(_descriptor(item) for item in _objects(self.document.get("manifests")))

    @cached_property
    def config(self) -> Descriptor | None:
        """The image's configuration, which holds its labels; None for an index or schema 1."""
        config = self.document.get("config")
        return _descriptor(config) if isinstance(config, dict) else None

    @cached_property
    def annotations(self) -> dict[str, str]:
        return strings(self.document.get("annotations"))

    @staticmethod
    def parse(content: bytes, content_type: str, digest: str) -> Manifest:
        """Check the bytes and read them; `digest` is what they must hash to.

        Raises ValueError with a sentence when they can't be believed.
        """
        if not is_content_of(content, digest):
            raise ValueError(f"the content does not hash to {digest}")
        document = parse_object(content)
        media_type = _media_type(document, content_type.partition(";")[0].strip().lower())
        manifest = Manifest(content, media_type, digest)
        _ = (manifest.children, manifest.config)
        return manifest


def parse_object(content: bytes) -> dict[str, Any]:
    """A JSON object from UTF-8 bytes, in which no key stands twice and every text is whole.

    Raises ValueError with a sentence.
    """
    document = parse_document(content)
    if not isinstance(document, dict):
        raise ValueError("the JSON is not an object")
    return document


def parse_document(content: bytes) -> Any:
    """Any JSON value from UTF-8 bytes, as strictly as `parse_object`."""
    try:
        document = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_unambiguous,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if _HALF.search(content) and not _is_whole(document):
        raise ValueError("the JSON holds half a character")
    return document


def strings(value: object) -> dict[str, str]:
    """The entries of a JSON object whose values are strings; empty for anything else."""
    if not isinstance(value, dict):
        return {}
    return {key: item for key, item in value.items() if isinstance(item, str)}


def _media_type(document: dict[str, Any], content_type: str) -> str:
    media_type = _named_type(document, content_type)
    is_index = "manifests" in document
    is_image = "layers" in document or "config" in document
    if is_index and (is_image or media_type in _IMAGE_TYPES):
        raise ValueError("the manifest claims to be an index and an image at once")
    if is_image and media_type in _INDEX_TYPES:
        raise ValueError("the manifest claims to be an index and an image at once")
    return media_type


def _named_type(document: dict[str, Any], content_type: str) -> str:
    declared = document.get("mediaType")
    if isinstance(declared, str) and declared:
        if content_type.startswith("application/vnd.") and content_type != declared:
            said, told = declared[:80], content_type[:80]
            raise ValueError(f"the manifest says {said!a}, its Content-Type {told!a}")
        return declared
    if content_type.startswith("application/vnd."):
        return content_type
    if "manifests" in document:
        return OCI_INDEX
    return DOCKER_SCHEMA_1 if document.get("schemaVersion") == 1 else OCI_MANIFEST


def _descriptor(item: dict[str, Any]) -> Descriptor:
    digest, size, platform = item.get("digest"), item.get("size"), item.get("platform")
    if not isinstance(digest, str) or not is_digest(digest):
        raise ValueError("a descriptor has no valid digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"the descriptor of {digest} has no valid size")
    return Descriptor(
        media_type=str(item.get("mediaType", "")),
        digest=digest,
        size=size,
        platform=_platform(strings(platform)) if isinstance(platform, dict) else None,
    )


def _platform(item: dict[str, str]) -> Platform:
    return Platform(item.get("os", ""), item.get("architecture", ""), item.get("variant", ""))


def _objects(value: object) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("`manifests` is not a list of objects")
    return value


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one JSON object")
    return document


def _is_whole(document: Any) -> bool:
    """Without lone surrogates, which no file and no database takes."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")

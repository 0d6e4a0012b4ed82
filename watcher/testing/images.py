"""Images made of a few bytes: real configs, layers, manifests and indexes with true digests.

Pure. Imported by the fake registry's content; a test may use it to compute what it expects.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

_CONFIG_TYPE = {
    OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
    DOCKER_MANIFEST: "application/vnd.docker.container.image.v1+json",
}
_LAYER_TYPE = {
    OCI_MANIFEST: "application/vnd.oci.image.layer.v1.tar",
    DOCKER_MANIFEST: "application/vnd.docker.image.rootfs.diff.tar",
}
_INDEX_TYPE = {OCI_MANIFEST: OCI_INDEX, DOCKER_MANIFEST: DOCKER_LIST}


def sha256(body: bytes) -> str:
    """The digest of a body as registries write it: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The bytes of a manifest or index, and its media type."""

    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        return sha256(self.body)


@dataclass(frozen=True, slots=True)
class Image:
    """What a push stores: the manifest that the tag names, its children, and all blobs."""

    top: Manifest
    children: tuple[Manifest, ...] = ()
    blobs: Mapping[str, bytes] = field(default_factory=dict)


def single(
    content: bytes,
    *,
    labels: Mapping[str, str] | None = None,
    media_type: str = OCI_MANIFEST,
    platform: str = "linux/amd64",
) -> Image:
    """An image of one platform whose only layer is `content`.

    `media_type` is OCI_MANIFEST or DOCKER_MANIFEST; config and layer follow it.
    """
    config = _config(content, labels or {}, platform)
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _descriptor(_CONFIG_TYPE[media_type], config),
        "layers": [_descriptor(_LAYER_TYPE[media_type], content)],
    }
    manifest = Manifest(media_type, _encode(document))
    return Image(manifest, blobs={sha256(config): config, sha256(content): content})


def multi_platform(
    content: bytes,
    platforms: Sequence[str],
    *,
    labels: Mapping[str, str] | None = None,
    media_type: str = OCI_MANIFEST,
) -> Image:
    """An index with one image per platform (`linux/amd64`, `linux/arm64/v8`)."""
    images = {
        platform: single(
            content + platform.encode(), labels=labels, media_type=media_type, platform=platform
        )
        for platform in platforms
    }
    index_type = _INDEX_TYPE[media_type]
    document = {
        "schemaVersion": 2,
        "mediaType": index_type,
        "manifests": [
            _descriptor(image.top.media_type, image.top.body) | {"platform": _platform(name)}
            for name, image in images.items()
        ],
    }
    blobs = {digest: body for image in images.values() for digest, body in image.blobs.items()}
    children = tuple(image.top for image in images.values())
    return Image(Manifest(index_type, _encode(document)), children, blobs)


def _config(content: bytes, labels: Mapping[str, str], platform: str) -> bytes:
    return _encode(
        _platform(platform)
        | {
            "config": {"Labels": dict(labels)},
            "rootfs": {"type": "layers", "diff_ids": [sha256(content)]},
        }
    )


def _platform(name: str) -> dict[str, object]:
    system, architecture, *variant = name.split("/")
    platform: dict[str, object] = {"os": system, "architecture": architecture}
    return platform | {"variant": variant[0]} if variant else platform


def _descriptor(media_type: str, body: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "size": len(body), "digest": sha256(body)}


def _encode(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()

"""What Google's registries add to a tag list: `manifest` (by digest) and `child` (below it).

Imported by the fake registry's answers. Source: google/go-containerregistry, pkg/v1/google.
"""

from __future__ import annotations

from collections.abc import Sequence

from watcher.testing.content import Content


def google_document(
    content: Content, repository: str, tags: Sequence[str], *, is_last: bool
) -> dict[str, object]:
    """`child` and `manifest` of one page.

    The map has the manifests of this page's tags, with this page's tags only: a digest whose
    tags lie on two pages stands on both. Those without a tag come with the last page.
    """
    named: dict[str, list[str]] = {}
    for tag in tags:
        named.setdefault(content.digest(repository, tag), []).append(tag)
    if is_last:
        tagged = {content.digest(repository, tag) for tag in content.tags(repository) or ()}
        for digest in sorted(content.revisions(repository) - tagged):
            named[digest] = []
    described = {
        digest: _manifest(content, repository, digest, names) for digest, names in named.items()
    }
    return {"child": _children(content, repository), "manifest": described}


def _manifest(content: Content, repository: str, digest: str, tags: list[str]) -> dict[str, object]:
    manifest = content.manifest(repository, digest)
    uploaded = str(int(content.uploaded(digest) * 1000))
    return {
        "imageSizeBytes": str(0 if manifest is None else len(manifest.body)),
        "layerId": "",
        "mediaType": "" if manifest is None else manifest.media_type,
        "tag": tags,
        "timeCreatedMs": "0",
        "timeUploadedMs": uploaded,
    }


def _children(content: Content, repository: str) -> list[str]:
    prefix = f"{repository}/"
    below = {name.removeprefix(prefix) for name in content.repositories if name.startswith(prefix)}
    return sorted({name.partition("/")[0] for name in below})

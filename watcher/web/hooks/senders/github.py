"""GitHub: `package` and `registry_package` tell of images at ghcr.io and are signed with HMAC.

docs.github.com, "Webhook events and payloads". Every push is told by both; one of them is enough.
"""

from __future__ import annotations

from collections.abc import Mapping

from watcher.core.hint import Hint
from watcher.web.hooks.message import (
    Json,
    Malformed,
    Message,
    hint_of,
    identifier_of,
    moment_of,
    object_in,
    optional_text,
    read_object,
    split_image,
    text_in,
)

GHCR = "ghcr.io"
_EVENTS = frozenset({"package", "registry_package"})
_ACTIONS = frozenset({"published", "updated"})


def read(body: bytes, headers: Mapping[str, str]) -> Message:
    identifier = identifier_of(headers.get("x-github-delivery"))
    event = headers.get("x-github-event")
    if event is None:
        raise Malformed("the header X-GitHub-Event is missing")
    document = read_object(body)
    if event not in _EVENTS:
        return Message(note="no event of packages", identifier=identifier)
    package = object_in(document, event)
    kind = optional_text(package, "package_type") or optional_text(package, "ecosystem")
    if kind.lower() != "container" or document.get("action") not in _ACTIONS:
        return Message(note="no push of an image", identifier=identifier)
    version = package.get("package_version")
    hint = _hint(package, version if isinstance(version, dict) else {})
    return Message(
        hints=(hint,) if hint.tag is not None else (),
        identifier=identifier,
        moment=moment_of(package.get("updated_at")),
        note="" if hint.tag is not None else "an image without a tag",
    )


def _hint(package: Json, version: Json) -> Hint:
    """The URL of the package names host, owner and tag; GitHub's own server has another host."""
    url = optional_text(version, "package_url")
    host, repository = split_image(url)
    if not url:
        owner = text_in(object_in(package, "owner"), "login")
        repository = f"{owner}/{text_in(package, 'name')}"
    tag = _tag(version)
    return hint_of(host or GHCR, repository.lower(), tag.get("name"), tag.get("digest"))


def _tag(version: Json) -> Json:
    metadata = version.get("container_metadata")
    tag = metadata.get("tag") if isinstance(metadata, dict) else None
    return tag if isinstance(tag, dict) else {}

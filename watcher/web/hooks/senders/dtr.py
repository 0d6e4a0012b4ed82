"""Docker Trusted Registry, now Mirantis Secure Registry: tags and manifests, in one wrapper.

docs.docker.com (Docker Enterprise), "Manage webhooks". MSR 4 is Harbor and speaks as Harbor does.
"""

from __future__ import annotations

from collections.abc import Mapping

from watcher.web.hooks.message import (
    Message,
    hint_of,
    moment_of,
    object_in,
    optional_text,
    read_object,
    split_image,
    text_in,
)

_PUSHES = frozenset({"TAG_PUSH", "POLL_MIRRORING"})
_DELETIONS = frozenset({"TAG_DELETE", "MANIFEST_DELETE"})


def read(body: bytes, headers: Mapping[str, str]) -> Message:
    document = read_object(body)
    kind, moment = text_in(document, "type"), moment_of(document.get("createdAt"))
    if kind not in _PUSHES | _DELETIONS:
        return Message(note="neither a push nor a deletion of a tag", moment=moment)
    contents = object_in(document, "contents")
    host, _ = split_image(optional_text(contents, "imageName"))
    hint = hint_of(
        host,
        f"{text_in(contents, 'namespace')}/{text_in(contents, 'repository')}",
        contents.get("tag"),
        contents.get("digest"),
        is_deletion=kind in _DELETIONS,
    )
    return Message(hints=(hint,), moment=moment)

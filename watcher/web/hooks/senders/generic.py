"""Whatever else can send JSON: `image`, or `repository` with `registry`, `tag` and `digest`.

docs/webhooks.md describes it. Optional beside these: `deleted: true`, `id` and `time`. Without a
registry all accounts that watch such a repository are meant.
"""

from __future__ import annotations

from collections.abc import Mapping

from watcher.core.hint import Hint
from watcher.core.reference import Reference
from watcher.web.hooks.message import (
    Json,
    Malformed,
    Message,
    hint_of,
    identifier_of,
    moment_of,
    optional_text,
    read_object,
    text_in,
)


def read(body: bytes, headers: Mapping[str, str]) -> Message:
    document = read_object(body)
    return Message(
        hints=(_hint(document),),
        identifier=identifier_of(document.get("id") or headers.get("x-watcher-delivery")),
        moment=moment_of(document.get("time")),
    )


def _hint(document: Json) -> Hint:
    is_deletion = document.get("deleted") is True
    if "image" in document:
        try:
            image = Reference.parse(text_in(document, "image"))
        except ValueError:
            raise Malformed("`image` is no image's name") from None
        return hint_of(
            image.registry, image.repository, image.tag, image.digest, is_deletion=is_deletion
        )
    return hint_of(
        optional_text(document, "registry") or None,
        text_in(document, "repository"),
        document.get("tag"),
        document.get("digest"),
        is_deletion=is_deletion,
    )

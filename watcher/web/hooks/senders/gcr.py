"""Google: Pub/Sub pushes what the topic `gcr` of a project says of Artifact Registry and gcr.io.

cloud.google.com, "Configure Pub/Sub notifications" of Artifact Registry, and "Push subscriptions"
of Pub/Sub, which repeats what is not acknowledged.
"""

from __future__ import annotations

import base64
import binascii
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
    tag_and_digest,
    text_in,
)


def read(body: bytes, headers: Mapping[str, str]) -> Message:
    message = object_in(read_object(body), "message")
    identifier = identifier_of(message.get("messageId") or message.get("message_id"))
    moment = moment_of(message.get("publishTime") or message.get("publish_time"))
    said = read_object(_data(message))
    action = text_in(said, "action")
    if action not in ("INSERT", "DELETE"):
        return Message(note="neither INSERT nor DELETE", identifier=identifier, moment=moment)
    hint = _hint(said, is_deletion=action == "DELETE")
    is_told = hint.tag is not None or hint.is_deletion
    return Message(
        hints=(hint,) if is_told else (),
        identifier=identifier,
        moment=moment,
        note="" if is_told else "an image without a tag",
    )


def _data(message: Json) -> bytes:
    try:
        return base64.b64decode(text_in(message, "data"), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("`message.data` is not base64") from None


def _hint(said: Json, *, is_deletion: bool) -> Hint:
    tagged, by_digest = optional_text(said, "tag"), optional_text(said, "digest")
    host, repository = split_image(tagged or by_digest)
    tag, _ = tag_and_digest(tagged)
    _, digest = tag_and_digest(by_digest)
    if host is None:
        raise Malformed("neither `tag` nor `digest` names an image")
    return hint_of(host, repository, tag, digest, is_deletion=is_deletion)

"""Docker Hub: one delivery per push, with the tag in `push_data`, and who is to be told in return.

docs.docker.com, "Webhooks". It neither signs nor numbers them.
"""

from __future__ import annotations

from collections.abc import Mapping

from watcher.core.reference import DOCKER_HUB_NAME
from watcher.web.hooks.message import (
    Message,
    hint_of,
    moment_of,
    object_in,
    optional_text,
    read_object,
    text_in,
)


def read(body: bytes, headers: Mapping[str, str]) -> Message:
    document = read_object(body)
    pushed, repository = object_in(document, "push_data"), object_in(document, "repository")
    return Message(
        hints=(hint_of(DOCKER_HUB_NAME, text_in(repository, "repo_name"), pushed.get("tag")),),
        moment=moment_of(pushed.get("pushed_at")),
        callback_url=optional_text(document, "callback_url") or None,
    )

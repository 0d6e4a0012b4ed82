"""Harbor: artifacts that were pushed or deleted, in its own format or as a CloudEvent.

goharbor.io, "Configure webhook notifications": payload formats Default and CloudEvents; version 1
spoke of images. A replication into Harbor is also a push there, so its own event is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from watcher.web.hooks.message import (
    Json,
    Message,
    hint_of,
    identifier_of,
    moment_of,
    object_in,
    objects_in,
    optional_text,
    read_object,
    split_image,
    text_in,
)

_PUSHES = frozenset({"PUSH_ARTIFACT", "harbor.artifact.pushed", "pushImage"})
_DELETIONS = frozenset({"DELETE_ARTIFACT", "harbor.artifact.deleted", "deleteImage"})


def read(body: bytes, headers: Mapping[str, str]) -> Message:
    document = read_object(body)
    kind = text_in(document, "type")
    moment = moment_of(document.get("occur_at") or document.get("time"))
    identifier = identifier_of(document.get("id"))
    if kind not in _PUSHES | _DELETIONS:
        return Message(note="neither a push nor a deletion", moment=moment, identifier=identifier)
    data = object_in(document, "data" if "specversion" in document else "event_data")
    repository = text_in(object_in(data, "repository"), "repo_full_name")
    return Message(
        hints=tuple(
            hint_of(
                _host(resource),
                repository,
                resource.get("tag"),
                resource.get("digest"),
                is_deletion=kind in _DELETIONS,
            )
            for resource in objects_in(data, "resources")
        ),
        moment=moment,
        identifier=identifier,
    )


def _host(resource: Json) -> str | None:
    return split_image(optional_text(resource, "resource_url"))[0]

"""Azure Container Registry: its own webhooks, and those of Event Grid in both of its schemas.

learn.microsoft.com, "Azure Container Registry webhook reference" and "Event Grid on Container
Registry". Event Grid sends a code first and delivers only to who gives it back; that is done for
who knows our token, and no URL that it names is ever called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from watcher.core.hint import Hint
from watcher.web.hooks.message import (
    Json,
    Malformed,
    Message,
    hint_of,
    identifier_of,
    list_of_objects,
    moment_of,
    object_in,
    optional_text,
    read_json,
    text_in,
)

_VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
_CODE = re.compile(r"[A-Za-z0-9-]{1,100}")
_ACTIONS = frozenset({"push", "delete"})
_REGISTRY = re.compile(r"/registries/([A-Za-z0-9]{5,50})(?:/|$)")


def read(body: bytes, headers: Mapping[str, str]) -> Message:
    document = read_json(body)
    events = list_of_objects(document if isinstance(document, list) else [document], "events")
    if not events:
        raise Malformed("there is no event")
    if events[0].get("eventType") == _VALIDATION:
        return Message(note="a subscription is set up", reply=_validation(events[0]))
    hints = tuple(hint for event in events if (hint := _hint(event)) is not None)
    first = events[0]
    moments = (first.get(key) for key in ("eventTime", "time", "timestamp"))
    return Message(
        hints=hints,
        identifier=identifier_of(first.get("id")) if len(events) == 1 else None,
        moment=next((moment for value in moments if (moment := moment_of(value))), None),
        note="" if hints else "neither a push nor a deletion of an image",
    )


def _validation(event: Json) -> Mapping[str, str]:
    code = text_in(object_in(event, "data"), "validationCode")
    if _CODE.fullmatch(code) is None:
        raise Malformed("the validation code is none")
    return {"validationResponse": code}


def _hint(event: Json) -> Hint | None:
    """Of an event of ACR itself, or of one that Event Grid carries in `data`."""
    content = event["data"] if isinstance(event.get("data"), dict) else event
    action = text_in(content, "action")
    if action not in _ACTIONS:
        return None
    target = object_in(content, "target")
    return hint_of(
        _host(event, content),
        text_in(target, "repository"),
        target.get("tag"),
        target.get("digest"),
        is_deletion=action == "delete",
    )


def _host(event: Json, content: Json) -> str | None:
    """As it was called, else what the registry's resource is named."""
    request = content.get("request")
    called = optional_text(request, "host") if isinstance(request, dict) else ""
    resource = optional_text(event, "topic") or optional_text(event, "source")
    found = _REGISTRY.search(resource)
    return called or (f"{found[1].lower()}.azurecr.io" if found else None)

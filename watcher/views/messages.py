"""The JSON shape of messages to notifiers, for the command line and the API. Pure."""

from __future__ import annotations

from typing import Any

from watcher.core.message import Message
from watcher.core.times import rfc3339


def message_json(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "key": message.key,
        "notifier": message.notifier,
        "status": message.status.value,
        "event": message.event,
        "kind": message.kind,
        "title": message.title,
        "text": message.text,
        "count": message.count,
        "created": rfc3339(message.created),
        "attempts": message.attempts,
        "tried": rfc3339(message.tried),
        "error": message.error,
    }

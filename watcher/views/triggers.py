"""The JSON shape of a trigger with its switch, for the API. Pure."""

from __future__ import annotations

from typing import Any

from watcher.core.trigger import Trigger


def trigger_json(trigger: Trigger, *, enabled: bool) -> dict[str, Any]:
    """`enabled` is what holds now; `configured` what the config says of it."""
    return {
        "name": trigger.name,
        "account": trigger.account,
        "repositories": list(trigger.repositories),
        "repository_pattern": trigger.repository_pattern,
        "pipeline": trigger.pipeline,
        "changes": sorted(kind.value for kind in trigger.changes),
        "fire": trigger.fire.value,
        "enabled": enabled,
        "configured": trigger.enabled,
    }

"""The event as stages tell it to the outside: as JSON, and as variables for commands."""

from __future__ import annotations

from watcher.core.pipeline import Json
from watcher.render.scope import build_scope
from watcher.stages.base import StageContext


def event(context: StageContext) -> dict[str, Json]:
    """What is known without asking a registry, with the names that expressions have (SPEC 4)."""
    scope = build_scope(context.execution, {})
    return {
        "execution": {**scope["execution"], "stage": context.spec.name, "attempt": context.attempt},
        "trigger": scope["trigger"],
        "image": scope["image"],
        "parameters": scope["parameters"],
    }


def variables(context: StageContext) -> dict[str, str]:
    """The same as WATCHER_* and VMware's DOCKER_* (SPEC 7.3); what is not known is empty."""
    scope = build_scope(context.execution, {})
    trigger = scope["trigger"]
    values = {
        "WATCHER_EXECUTION_ID": context.execution.id,
        "WATCHER_ATTEMPT": str(context.attempt),
        "WATCHER_PIPELINE": context.execution.pipeline.name,
        "WATCHER_STAGE": context.spec.name,
        "WATCHER_TRIGGER": trigger["name"],
        "WATCHER_ACCOUNT": trigger["account"],
        "WATCHER_REGISTRY": trigger["registry"],
        "WATCHER_REPOSITORY": trigger["repository"],
        "WATCHER_NAMESPACE": trigger["namespace"],
        "WATCHER_TAG": trigger["tag"],
        "WATCHER_DIGEST": trigger["digest"],
        "WATCHER_PREVIOUS_DIGEST": trigger["previous_digest"],
        "WATCHER_CHANGE": trigger["change"],
        "WATCHER_TIME": trigger["time"],
        "WATCHER_USER": trigger["user"],
        "WATCHER_IMAGE": scope["image"].get("reference"),
    }
    docker = {name: value for name, value in scope["input"].items() if name.startswith("DOCKER_")}
    return {name: str(value or "") for name, value in {**values, **docker}.items()}

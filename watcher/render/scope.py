"""The names that an expression sees, made from an execution (SPEC 4).

Pure and free of jinja2: also used where nothing is rendered, for the event of commands and
webhooks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from watcher.core.pipeline import Execution, Json

TRIGGER_NAMES = (
    "name",
    "type",
    "account",
    "registry",
    "repository",
    "namespace",
    "tag",
    "digest",
    "previous_digest",
    "change",
    "time",
    "artifacts",
    "parameters",
    "user",
)
EXECUTION_NAMES = ("id", "pipeline", "started")
IMAGE_NAMES = ("name", "tag", "reference")
IMAGE_DIGEST_NAMES = ("digest", "by_digest", "pinned")
SCOPE_NAMES = ("trigger", "image", "parameters", "execution", "stages", "input", "labels")


class Fact(StrEnum):
    """What must be asked of the registry before an expression can be rendered."""

    DIGEST = "digest"
    LABELS = "labels"


def build_scope(
    execution: Execution,
    outputs: Mapping[str, Json],
    *,
    digest: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Json]:
    """Every name of SPEC 4. `outputs` are by stage name.

    Without `digest` the digest that came with the event counts; without one either,
    `image.by_digest` and `image.pinned` are unknown names. Without `labels` there are none.
    """
    trigger = trigger_of(execution)
    trigger["digest"] = digest = digest or trigger["digest"] or execution.digest
    return {
        "trigger": trigger,
        "image": _image(trigger, digest),
        "parameters": dict(execution.parameters),
        "execution": {
            "id": execution.id,
            "pipeline": execution.pipeline.name,
            "started": _rfc3339(execution.started or execution.created),
        },
        "stages": dict(outputs),
        "input": {**execution.parameters, **docker_names(trigger)},
        "labels": dict(labels or {}),
    }


def trigger_of(execution: Execution) -> dict[str, Json]:
    """The `trigger` object, in which every name of SPEC 4 exists, if only as null."""
    return {**dict.fromkeys(TRIGGER_NAMES), **execution.source}


def docker_names(trigger: Mapping[str, Json]) -> dict[str, Json]:
    """The names that VMware's Docker trigger injects. The owner is the first part of the
    namespace; DOCKER_IMAGE can be pulled, the tag is apart."""
    namespace, _, name = (trigger["repository"] or "").rpartition("/")
    return {
        "DOCKER_EVENT_OWNER_NAME": namespace.partition("/")[0],
        "DOCKER_IMAGE": image_name(trigger),
        "DOCKER_REPO_NAME": name,
        "DOCKER_REPO_NAMESPACE": namespace,
        "DOCKER_TAG": trigger["tag"],
    }


def image_name(trigger: Mapping[str, Json]) -> str | None:
    """`registry/repository`; None for a run without an image."""
    if not trigger["registry"] or not trigger["repository"]:
        return None
    return f"{trigger['registry']}/{trigger['repository']}"


def _image(trigger: Mapping[str, Json], digest: str | None) -> dict[str, Json]:
    name, tag = image_name(trigger), trigger["tag"]
    if name is None:
        return {}
    image = {"name": name}
    if tag:
        image |= {"tag": tag, "reference": f"{name}:{tag}"}
    if digest:
        image |= {"digest": digest, "by_digest": f"{name}@{digest}"}
    if tag and digest:
        image["pinned"] = f"{name}:{tag}@{digest}"
    return image


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

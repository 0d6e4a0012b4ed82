"""Workloads as stages name and patch them: `deployment/web`, its containers, its pod template.

Each patch names the version of the object that it was computed from, so that it can't undo what
somebody changed meanwhile. Pure but for `observed`. Used by the stages that patch live workloads,
and by `undo`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from watcher.errors import ClusterError, ClusterFault, StageError
from watcher.kube import reading
from watcher.kube.client import ClusterClient
from watcher.kube.kind_names import WORKLOADS, named
from watcher.kube.objects import Object, ObjectKey, Resource
from watcher.kube.rollouts import status
from watcher.kube.rollouts.rollout import RESTARTED_AT

API_VERSION = "apps/v1"
_POLL = 0.5


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet by name."""

    kind: str
    name: str

    @staticmethod
    def parse(words: str) -> Workload:
        """Read `deployment/web`; kubectl's short names do too. Raises StageError."""
        _, kind, name = named(words, only=WORKLOADS)
        return Workload(kind, name)

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


async def find(
    client: ClusterClient, workload: Workload, namespace: str
) -> tuple[Resource, Object]:
    """The live workload. Raises ClusterError, NOT_FOUND too."""
    resource = await client.resource(API_VERSION, workload.kind)
    item = await client.get(resource, namespace, workload.name)
    if item is None:
        key = ObjectKey(resource.group, workload.kind, namespace, workload.name)
        raise ClusterError("there is no such object", fault=ClusterFault.NOT_FOUND, about=str(key))
    if reading.text(item, "metadata", "deletionTimestamp"):
        raise StageError(f"{ObjectKey.of(item)} is being deleted")
    return resource, item


async def observed(
    client: ClusterClient,
    resource: Resource,
    item: Object,
    *,
    sleep: Callable[[float], Awaitable[None]],
) -> Object | None:
    """The workload as soon as its controller has seen its present state; None when it is gone."""
    key = ObjectKey.of(item)
    current: Object | None = item
    while current is not None and not status.observed(current):
        await sleep(_POLL)
        current = await client.get(resource, key.namespace, key.name)
    return current


def template_mark(item: Object) -> str:
    """A fingerprint of what the object runs, whatever restarted it; empty where it runs nothing."""
    template = reading.section(item, "spec", "template")
    if item["kind"] == "CronJob":
        template = reading.section(item, "spec", "jobTemplate")
    elif item["kind"] == "Pod":
        template = reading.images(reading.section(item, "spec"))
    return _mark(template) if template else ""


def has_template(item: Object, template: Mapping[str, Any]) -> bool:
    """Whether the workload runs that pod template."""
    return template_mark(item) == _mark(template)


def is_same_template(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether both run the same, whatever restarted it."""
    return _mark(first) == _mark(second)


def container_image(item: Object, container: str) -> str:
    """The image of a container or init container. Raises StageError where there is none."""
    images = reading.images(reading.section(item, "spec", "template", "spec"))
    if container not in images:
        known = ", ".join(images) or "none"
        raise StageError(
            f"{ObjectKey.of(item)} has no container {container!r}", hint=f"its containers: {known}"
        )
    return images[container]


def image_patch(
    item: Object, container: str, image: str, annotations: Mapping[str, str | None]
) -> Object:
    """The strategic merge patch that gives a container an image, and the workload annotations
    (None removes one)."""
    pod = reading.section(item, "spec", "template", "spec")
    for key in ("containers", "initContainers"):
        if any(each.get("name") == container for each in reading.listed(pod, key)):
            changed = {key: [{"name": container, "image": image}]}
            return _patch(item, {"spec": changed}, annotations)
    raise StageError(f"{ObjectKey.of(item)} has no container {container!r}")


def restart_patch(item: Object, moment: str) -> Object:
    """The strategic merge patch that makes new pods of the same template."""
    return _patch(item, {"metadata": {"annotations": {RESTARTED_AT: moment}}}, {})


def template_patch(
    item: Object, template: Mapping[str, Any], annotations: Mapping[str, str | None]
) -> Object:
    """The strategic merge patch that puts another pod template in the place of the present one."""
    return _patch(item, {**template, "$patch": "replace"}, annotations)


def restarted_at(item: Object) -> str:
    """The mark of the last restart; empty where there was none."""
    return reading.text(item, "spec", "template", "metadata", "annotations", RESTARTED_AT)


def _patch(
    item: Object, template: Mapping[str, Any], annotations: Mapping[str, str | None]
) -> Object:
    metadata: dict[str, Any] = {"resourceVersion": item["metadata"]["resourceVersion"]}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"metadata": metadata, "spec": {"template": dict(template)}}


def _mark(template: Mapping[str, Any]) -> str:
    text = json.dumps(_without_restarts(template), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _without_restarts(template: Mapping[str, Any]) -> dict[str, Any]:
    """As it is compared: neither the mark of a restart nor empty mappings make a difference."""
    metadata = dict(reading.section(template, "metadata"))
    annotations = dict(reading.section(metadata, "annotations"))
    annotations.pop(RESTARTED_AT, None)
    metadata["annotations"] = annotations
    kept = {key: value for key, value in metadata.items() if value}
    return {**template, "metadata": kept}

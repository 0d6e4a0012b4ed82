"""Where the pod templates of Kubernetes' own kinds stand, and what of them holds containers.

Data only, pure; for the binding of images and for the checks of manifests.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")

POD_TEMPLATES: dict[tuple[str, str], str] = {
    ("", "Pod"): "",
    ("", "PodTemplate"): "template",
    ("", "ReplicationController"): "spec.template",
    **{("apps", kind): "spec.template" for kind in _WORKLOADS},
    **{("extensions", kind): "spec.template" for kind in _WORKLOADS},
    ("batch", "Job"): "spec.template",
    ("batch", "CronJob"): "spec.jobTemplate.spec.template",
}
"""By group and kind, whatever the version: the path of what has `metadata` and `spec` of a pod.
It is empty for a Pod, which is its own template."""


def group_and_kind(item: Object) -> tuple[str, str]:
    """(`apps`, `Deployment`); the group is empty for the core group."""
    group, slash, _ = str(item.get("apiVersion", "")).partition("/")
    return group if slash else "", str(item.get("kind", ""))


def pod_template_path(item: Object) -> str | None:
    """The path of the object's pod template, None for kinds that have none."""
    return POD_TEMPLATES.get(group_and_kind(item))


def below(path: str, rest: str) -> str:
    """`rest` seen from the object instead of from the template at `path`."""
    return f"{path}.{rest}" if path else rest

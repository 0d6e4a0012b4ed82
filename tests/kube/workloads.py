"""Objects as an API server shows them, small, for the tests of rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.kube.objects import Object

CLASSES = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "Pod": "v1",
    "PersistentVolumeClaim": "v1",
    "Namespace": "v1",
    "Service": "v1",
    "ConfigMap": "v1",
    "PodDisruptionBudget": "policy/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "APIService": "apiregistration.k8s.io/v1",
    "Widget": "example.com/v1",
}


def thing(
    kind: str,
    *,
    generation: int = 2,
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    name: str = "web",
    metadata: Mapping[str, Any] | None = None,
) -> Object:
    """An object of that kind in the namespace `shop`."""
    return {
        "apiVersion": CLASSES[kind],
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-of-{name}",
            "generation": generation,
            **(metadata or {}),
        },
        "spec": dict(spec or {}),
        "status": dict(status or {}),
    }


def workload(
    kind: str,
    *,
    image: str = "web:2",
    generation: int = 2,
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    name: str = "web",
    metadata: Mapping[str, Any] | None = None,
) -> Object:
    """An object with a pod template; its status is observed unless it says otherwise."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "web", "image": image}]},
    }
    return thing(
        kind,
        generation=generation,
        name=name,
        metadata=metadata,
        spec={"selector": {"matchLabels": labels}, "template": template, **(spec or {})},
        status={"observedGeneration": generation, **(status or {})},
    )


def rolled_out(name: str = "web", *, image: str = "web:2", generation: int = 2) -> Object:
    """A Deployment of three whose rollout is done."""
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 3)
    return workload(
        "Deployment",
        name=name,
        image=image,
        generation=generation,
        spec={"replicas": 3},
        status=counts,
    )


def rolling(name: str = "web", *, updated: int = 1, **status: Any) -> Object:
    """A Deployment of three in the middle of its rollout."""
    counts = {"replicas": 4, "updatedReplicas": updated, "availableReplicas": 3}
    return workload("Deployment", name=name, spec={"replicas": 3}, status={**counts, **status})


def condition(kind: str, status: str = "True", reason: str = "", message: str = "") -> Any:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def conditions(*found: Mapping[str, Any]) -> dict[str, Any]:
    return {"conditions": [*found]}


def owner(item: Object) -> dict[str, Any]:
    """`ownerReferences` to the object's controller."""
    metadata = item["metadata"]
    reference = {
        "apiVersion": item["apiVersion"],
        "kind": item["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    return {"ownerReferences": [reference]}


def replica_set(deployment: Object, *, revision: int, status: Any = None) -> Object:
    """The ReplicaSet of one revision of a Deployment."""
    name = f"{deployment['metadata']['name']}-{revision}"
    labels = {"app": deployment["metadata"]["name"], "pod-template-hash": str(revision)}
    return thing(
        "ReplicaSet",
        name=name,
        spec={"selector": {"matchLabels": labels}},
        status=status,
        metadata={
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            **owner(deployment),
        },
    )


def pod(
    controller: Object | None = None,
    *,
    name: str = "web-1-a",
    image: str = "web:2",
    phase: str = "Pending",
    labels: Mapping[str, str] | None = None,
    found: tuple[Mapping[str, Any], ...] = (),
    **containers: Mapping[str, Any],
) -> Object:
    """A pod whose container `web` (or more, by name) has a given `containerStatuses` entry."""
    statuses = [{"name": key, "image": image, **value} for key, value in containers.items()]
    meta = {"labels": dict(labels or {}), **(owner(controller) if controller else {})}
    return thing(
        "Pod",
        name=name,
        metadata=meta,
        spec={"containers": [{"name": "web", "image": image}]},
        status={"phase": phase, "containerStatuses": statuses, "conditions": [*found]},
    )


def is_waiting(reason: str, message: str = "", **rest: Any) -> dict[str, Any]:
    """A container's status that waits, such as in ImagePullBackOff."""
    waiting = {"waiting": {"reason": reason, "message": message}}
    return {"ready": False, "restartCount": 0, "state": waiting, **rest}


def ended(exit_code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": exit_code, "reason": reason, "message": message}}


def crashed(exit_code: int = 1, *, restarts: int = 3, reason: str = "Error") -> dict[str, Any]:
    """A container's status that waits after its last run ended."""
    return is_waiting(
        "CrashLoopBackOff",
        "back-off 10s restarting failed container",
        restartCount=restarts,
        lastState=ended(exit_code, reason),
    )

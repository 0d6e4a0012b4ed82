"""Which pods count for an object: those of its newest template, and what creates them.

Pure; used by `causes`, and by whoever needs the newest ReplicaSet of a Deployment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from watcher.kube import reading
from watcher.kube.objects import Object
from watcher.kube.reading import text
from watcher.kube.rollouts.pod_faults import PodFault, worst_fault

REVISION = "deployment.kubernetes.io/revision"
"""The annotation that numbers the ReplicaSets of a Deployment."""

_DIRECT_OWNERS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """The pods that count for an object. `current` run its newest template, `earlier` an older
    one; `owner` is what creates the current ones: the newest ReplicaSet, or the object itself."""

    owner: Object
    current: tuple[Object, ...] = ()
    earlier: tuple[Object, ...] = ()


def creates_pods(item: Object) -> bool:
    """Whether the object holds a pod template; others may have selectors for pods of strangers."""
    return bool(reading.section(item, "spec", "template", "spec"))


def newest_replica_set(replica_sets: Sequence[Object], owner: str) -> Object | None:
    """The ReplicaSet of the newest revision among those that the object with this uid controls."""

    def revision(item: Object) -> tuple[int, str]:
        number = text(item, "metadata", "annotations", REVISION)
        created = text(item, "metadata", "creationTimestamp")
        return (int(number) if number.isascii() and number.isdigit() else -1, created)

    return max(reading.owned_by(replica_sets, owner), key=revision, default=None)


def selector_text(item: Object) -> str | None:
    """`spec.selector` as a label selector of a request; None where it selects nothing."""
    selector = reading.section(item, "spec", "selector")
    parts = [f"{key}={value}" for key, value in reading.section(selector, "matchLabels").items()]
    for expression in reading.listed(selector, "matchExpressions"):
        key, values = text(expression, "key"), expression.get("values") or []
        among = f"({','.join(str(value) for value in values)})"
        match text(expression, "operator"):
            case "In":
                parts.append(f"{key} in {among}")
            case "NotIn":
                parts.append(f"{key} notin {among}")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts) or None


def worst_of(pods: Pods) -> PodFault | None:
    """The worst of the current pods; an earlier one only counts where it may block the update."""
    fault = worst_fault(pods.current)
    if fault is None and text(pods.owner, "kind") == "StatefulSet":
        return worst_fault(pods.earlier)
    return fault


def sorted_pods(item: Object, owner: Object | None, found: Sequence[Object]) -> Pods:
    """Of the pods that the selector finds those that count, newest template apart.

    Without `owner` nobody knows which ReplicaSet is the newest: the images decide, as they do for
    custom resources, whose pods something in between may own.
    """
    owned = reading.owned_by(found, reading.uid(owner)) if owner is not None else []
    if owner is None or (not owned and text(item, "kind") not in _DIRECT_OWNERS):
        return Pods(owner=item, current=tuple(_of_template(item, found)))
    label, value = _newest_label(item)
    if not value:
        return Pods(owner=owner, current=tuple(owned))
    current = [pod for pod in owned if text(pod, "metadata", "labels", label) == value]
    earlier = [pod for pod in owned if text(pod, "metadata", "labels", label) != value]
    return Pods(owner=owner, current=tuple(current), earlier=tuple(earlier))


def _newest_label(item: Object) -> tuple[str, str]:
    """The label that tells pods of the newest template, where the object says it."""
    match text(item, "kind"):
        case "StatefulSet":
            return "controller-revision-hash", text(item, "status", "updateRevision")
        case "DaemonSet":
            key = "deprecated.daemonset.template.generation"
            return "pod-template-generation", text(item, "metadata", "annotations", key)
        case _:
            return "", ""


def _of_template(item: Object, found: Sequence[Object]) -> list[Object]:
    """The pods with the template's images; all, where something rewrites images."""
    wanted = reading.images(reading.section(item, "spec", "template", "spec")).items()
    same = [pod for pod in found if wanted <= reading.images(reading.section(pod, "spec")).items()]
    return same or list(found)

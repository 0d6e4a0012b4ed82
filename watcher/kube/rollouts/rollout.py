"""Is what was applied rolled out? One pure function from an object to a verdict.

`assess` handles what holds for every kind (gone, being deleted, superseded, not observed yet) and
leaves the rest to the kind's rule. `is_followed` says what a stage's `wait` follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from watcher.kube import reading
from watcher.kube.objects import Object, group_of
from watcher.kube.reading import generation, uid
from watcher.kube.rollouts import status, workload_rules
from watcher.kube.rollouts.status import RolloutState, Status, failed, waiting

__all__ = ["RESTARTED_AT", "RolloutState", "Status", "assess", "is_followed"]

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""What `kubectl rollout restart` writes into a pod template: the same version, started anew."""

_RULES: Mapping[tuple[str, str], Callable[[Object], Status]] = MappingProxyType(
    {
        ("apps", "Deployment"): workload_rules.deployment,
        ("apps", "StatefulSet"): workload_rules.stateful_set,
        ("apps", "DaemonSet"): workload_rules.daemon_set,
        ("apps", "ReplicaSet"): workload_rules.replica_set,
        ("batch", "Job"): workload_rules.job,
        ("", "Pod"): workload_rules.pod,
        ("", "PersistentVolumeClaim"): status.volume_claim,
        ("", "Namespace"): status.namespace,
        ("", "Service"): status.service,
        ("policy", "PodDisruptionBudget"): status.disruption_budget,
        ("apiextensions.k8s.io", "CustomResourceDefinition"): status.custom_resource_definition,
        ("apiregistration.k8s.io", "APIService"): status.api_service,
    }
)
_FOLLOWED = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ReplicaSet"),
        ("batch", "Job"),
        ("", "Pod"),
        ("apiregistration.k8s.io", "APIService"),
    }
)
_OWN_GROUPS = frozenset({"", "apps", "autoscaling", "batch", "extensions", "policy"})


def is_followed(item: Object) -> bool:
    """Whether a wait follows objects of this kind: what runs pods, APIServices, custom resources.

    Not PersistentVolumeClaims: with WaitForFirstConsumer they stay Pending until a pod comes. Not
    Services: many clusters give a load balancer no address. Namespaces and
    CustomResourceDefinitions are awaited while applying. Custom resources that say nothing of
    their state are ready at once; those of groups below `k8s.io` are left out with Kubernetes' own.
    """
    kind = _kind(item)
    group = kind[0]
    is_custom = group not in _OWN_GROUPS and not group.endswith(".k8s.io")
    return is_custom or kind in _FOLLOWED


def assess(
    item: Object | None, *, applied: Object | None = None, seen_before: bool = True
) -> Status:
    """The verdict on an object as just read; never UNKNOWN.

    `applied` is what our apply returned: it tells what superseded it, and that a Job which is gone
    removed itself. `item` None means that there is none: deleted, or with `seen_before` False not
    there yet. READY never rests on a status that is older than the spec.
    """
    if item is None:
        return _gone(applied, seen_before)
    if applied is not None and (replaced := _superseded(item, applied)) is not None:
        return replaced
    if applied is not None and _is_stale(item, applied):
        return status.UNOBSERVED
    verdict = _RULES.get(_kind(item), status.anything_else)(item)
    is_leaving = bool(reading.text(item, "metadata", "deletionTimestamp"))
    if is_leaving and not _has_ended(item, verdict):
        return failed("is being deleted", "Deleted")
    return verdict


def _gone(applied: Object | None, seen_before: bool) -> Status:
    if not seen_before:
        return waiting("is not there yet", "Missing")
    if applied is not None and _kind(applied) == ("batch", "Job"):
        vanished = workload_rules.vanished_job(applied)
        if vanished is not None:
            return vanished
    return failed("was deleted by somebody", "Deleted")


def _superseded(item: Object, applied: Object) -> Status | None:
    is_other = uid(item) != uid(applied)
    if not is_other and generation(item) <= generation(applied) and _kind(item) != ("", "Pod"):
        return None
    if _content(item) == _content(applied):
        return None
    new = ", ".join(reading.plain(image) for image in sorted(_images(item)))
    return Status(
        state=RolloutState.SUPERSEDED,
        message=f"generation {generation(item)} ({new or 'another pod template'}) has replaced "
        f"generation {generation(applied)}, which was applied here",
        reason="Superseded",
    )


def _is_stale(item: Object, applied: Object) -> bool:
    return uid(item) == uid(applied) and generation(item) < generation(applied)


def _has_ended(item: Object, verdict: Status) -> bool:
    """A finished Job that is being deleted (by its time to live) has still finished."""
    return _kind(item) == ("batch", "Job") and (
        verdict.state is RolloutState.READY
        or (verdict.state is RolloutState.FAILED and verdict.reason != "Suspended")
    )


def _content(item: Object) -> object:
    """What runs: the pod template without a restart's mark, or a pod's images."""
    if _kind(item) == ("", "Pod"):
        return reading.images(reading.section(item, "spec"))
    template: dict[str, Any] = dict(reading.section(item, "spec", "template"))
    metadata = dict(reading.section(template, "metadata"))
    annotations = dict(reading.section(metadata, "annotations"))
    annotations.pop(RESTARTED_AT, None)
    return {**template, "metadata": {**metadata, "annotations": annotations}}


def _images(item: Object) -> set[str]:
    spec = reading.section(item, "spec")
    pod = spec if _kind(item) == ("", "Pod") else reading.section(spec, "template", "spec")
    return set(reading.images(pod).values())


def _kind(item: Object) -> tuple[str, str]:
    return group_of(reading.text(item, "apiVersion")), reading.text(item, "kind")

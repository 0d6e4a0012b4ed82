"""The order in which kinds are applied: what others need first, what stands in the way last.

Namespaces and CRDs, then what workloads use, then workloads, then what sends them traffic, then
webhooks, which could refuse all the rest. Deleting goes the other way round. The list is data, and
the documentation shows it. Pure; for planning, prune and delete.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from watcher.kube.objects import Object, ObjectKey
from watcher.render.paths import Pattern

GroupKind = tuple[str, str]

NAMESPACES: tuple[GroupKind, ...] = (("", "Namespace"),)
DEFINITIONS: tuple[GroupKind, ...] = (("apiextensions.k8s.io", "CustomResourceDefinition"),)
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_GATEWAY = "gateway.networking.k8s.io"

WAVES: tuple[tuple[GroupKind, ...], ...] = (
    NAMESPACES,
    DEFINITIONS,
    (),
    (
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "StorageClass"),
        ("node.k8s.io", "RuntimeClass"),
        ("networking.k8s.io", "IngressClass"),
        (_RBAC, "ClusterRole"),
        (_RBAC, "ClusterRoleBinding"),
    ),
    (
        ("", "ResourceQuota"),
        ("", "LimitRange"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("", "ServiceAccount"),
        (_RBAC, "Role"),
        (_RBAC, "RoleBinding"),
        ("", "Secret"),
        ("", "ConfigMap"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
    ),
    (("", "Service"),),
    (
        ("apps", "DaemonSet"),
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "ReplicaSet"),
        ("", "ReplicationController"),
        ("", "Pod"),
        ("batch", "Job"),
        ("batch", "CronJob"),
        ("autoscaling", "HorizontalPodAutoscaler"),
        ("policy", "PodDisruptionBudget"),
    ),
    (
        ("networking.k8s.io", "Ingress"),
        ("extensions", "Ingress"),
        (_GATEWAY, "HTTPRoute"),
        (_GATEWAY, "GRPCRoute"),
        (_GATEWAY, "TLSRoute"),
        (_GATEWAY, "TCPRoute"),
        (_GATEWAY, "UDPRoute"),
        ("apiregistration.k8s.io", "APIService"),
    ),
    (
        (_ADMISSION, "MutatingWebhookConfiguration"),
        (_ADMISSION, "ValidatingWebhookConfiguration"),
        (_ADMISSION, "ValidatingAdmissionPolicy"),
        (_ADMISSION, "ValidatingAdmissionPolicyBinding"),
    ),
)
"""Waves in order, and the kinds of each in order. The empty one is for objects of the kinds that
this very bundle defines; all other kinds that stand nowhere here come after the Services."""

NEVER_PRUNED: frozenset[GroupKind] = frozenset(
    {*NAMESPACES, *DEFINITIONS, ("", "PersistentVolumeClaim"), ("", "PersistentVolume")}
)
"""Deleting one of these deletes data; a person must ask for it."""

_OWN_WAVE = WAVES.index(())
_OTHERS_WAVE = WAVES.index((("", "Service"),))
_RANKS = {
    kind: (number, rank) for number, wave in enumerate(WAVES) for rank, kind in enumerate(wave)
}

_GROUP = Pattern.parse("spec.group")
_KIND = Pattern.parse("spec.names.kind")

_Place = tuple[int, int, GroupKind, str, str]


def waves(
    items: Iterable[Object], *, own_kinds: frozenset[GroupKind] = frozenset()
) -> list[list[Object]]:
    """The objects in waves, each to be finished before the next; none is empty.

    Inside a wave: by kind as listed, then by namespace and name, so that the same bundle always
    goes in the same order. `own_kinds` are those that CRDs of this very bundle define.
    """
    placed = sorted(((_place(item, own_kinds), item) for item in items), key=_by_place)
    return [[item for _, item in wave] for _, wave in groupby(placed, key=lambda pair: pair[0][0])]


def deletion_order(
    items: Iterable[Object], *, own_kinds: frozenset[GroupKind] = frozenset()
) -> list[Object]:
    """All of them, the other way round than they are applied."""
    return [item for wave in waves(items, own_kinds=own_kinds) for item in wave][::-1]


def prune_order(items: Iterable[Object]) -> list[Object]:
    """What may be pruned, in the order of deletion."""
    return deletion_order(item for item in items if not is_never_pruned(item))


def is_never_pruned(item: Object) -> bool:
    key = ObjectKey.of(item)
    return (key.group, key.kind) in NEVER_PRUNED


def defined_kinds(items: Iterable[Object]) -> frozenset[GroupKind]:
    """The (group, kind)s that the CRDs among the objects define."""
    return frozenset(kind for item in items if (kind := _defined_kind(item)) is not None)


def _defined_kind(item: Object) -> GroupKind | None:
    key = ObjectKey.of(item)
    if (key.group, key.kind) not in DEFINITIONS:
        return None
    groups = [slot.value for slot in _GROUP.find(item)]
    kinds = [slot.value for slot in _KIND.find(item)]
    pair = (*groups, *kinds)
    return pair if len(pair) == 2 and all(isinstance(part, str) for part in pair) else None


def _place(item: Object, own_kinds: frozenset[GroupKind]) -> _Place:
    key = ObjectKey.of(item)
    kind = (key.group, key.kind)
    if kind in own_kinds:
        wave, rank = _OWN_WAVE, 0
    else:
        wave, rank = _RANKS.get(kind, (_OTHERS_WAVE, len(WAVES[_OTHERS_WAVE])))
    return wave, rank, kind, key.namespace, key.name


def _by_place(pair: tuple[_Place, Object]) -> _Place:
    return pair[0]

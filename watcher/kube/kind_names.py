"""Objects as people name them, `deployment/web`, for the kinds that every cluster has.

kubectl's names, plural and short ones too: https://kubernetes.io/docs/reference/kubectl/#resource-types.
Pure; for the stages that name objects without a manifest.
"""

from __future__ import annotations

from collections.abc import Mapping

from watcher.errors import StageError
from watcher.kube.objects import check_name, group_of

_NAMES: Mapping[str, tuple[str, ...]] = {
    "apps/v1 Deployment": ("deployment", "deployments", "deploy"),
    "apps/v1 StatefulSet": ("statefulset", "statefulsets", "sts"),
    "apps/v1 DaemonSet": ("daemonset", "daemonsets", "ds"),
    "apps/v1 ReplicaSet": ("replicaset", "replicasets", "rs"),
    "batch/v1 Job": ("job", "jobs"),
    "batch/v1 CronJob": ("cronjob", "cronjobs", "cj"),
    "v1 Pod": ("pod", "pods", "po"),
    "v1 Service": ("service", "services", "svc"),
    "v1 ConfigMap": ("configmap", "configmaps", "cm"),
    "v1 Secret": ("secret", "secrets"),
    "v1 ServiceAccount": ("serviceaccount", "serviceaccounts", "sa"),
    "networking.k8s.io/v1 Ingress": ("ingress", "ingresses", "ing"),
    "networking.k8s.io/v1 NetworkPolicy": ("networkpolicy", "networkpolicies", "netpol"),
    "autoscaling/v1 HorizontalPodAutoscaler": (
        "horizontalpodautoscaler",
        "horizontalpodautoscalers",
        "hpa",
    ),
    "rbac.authorization.k8s.io/v1 Role": ("role", "roles"),
    "rbac.authorization.k8s.io/v1 RoleBinding": ("rolebinding", "rolebindings"),
}
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


def named(words: str, *, only: tuple[str, ...] = ()) -> tuple[str, str, str]:
    """API version, kind and name of `deployment/web`; `only` are the kinds that may be meant.

    Raises StageError for other words, ClusterError for a name that is none.
    """
    written, _, name = words.partition("/")
    for known, names in _NAMES.items():
        api_version, _, kind = known.partition(" ")
        group = group_of(api_version)
        if written.lower() not in (*names, *(f"{each}.{group}" for each in names if group)):
            continue
        if name and (not only or kind in only):
            return api_version, kind, check_name(name, kind)
    kinds = ", ".join(f"{kind.lower()}/NAME" for kind in only) if only else "KIND/NAME"
    hint = None if only else f"KIND is one of {', '.join(names[0] for names in _NAMES.values())}"
    raise StageError(f"{words!r} is not {kinds}", hint=hint)

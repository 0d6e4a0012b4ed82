"""The keys of a Kubernetes cluster (SPEC 7.1), and the Cluster that they make."""

from __future__ import annotations

from pathlib import Path

from watcher.config.fields import Field, ListOf, PathValue, Section, Text
from watcher.config.items import NAME, NAME_RULE, Item
from watcher.core.cluster import Cluster

NAMESPACE = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
NAMESPACE_RULE = "a namespace: at most 63 of a-z, 0-9 and dashes inside"
_NAMESPACE_PATTERN = r"[a-z0-9*]([-a-z0-9*]{0,61}[a-z0-9*])?"
_KIND = r"[A-Z][A-Za-z0-9]*(\.[a-z0-9]([-.a-z0-9]*[a-z0-9])?)?"

CLUSTER = Section(
    {
        "name": Field(
            Text(matches=NAME, rule=NAME_RULE),
            required=True,
            doc="What the `cluster` key of stages calls it.",
            example="production",
        ),
        "kubeconfig": Field(
            PathValue(),
            doc="The kubeconfig to use. Programs that it names for getting credentials are run.",
            example="/etc/registry-watcher/kubeconfig",
            default_doc="the pod's own account, else `$KUBECONFIG`, else `~/.kube/config`",
        ),
        "context": Field(
            Text(),
            doc="The context of the kubeconfig. It must be named where there are several: which "
            "one happens to be current does not count.",
            example="production-eu",
            default_doc="the only one",
        ),
        "namespace": Field(
            Text(matches=NAMESPACE, rule=NAMESPACE_RULE),
            doc="Where stages work that name no namespace.",
            example="web",
            default_doc="the context's or the pod's, else `default`",
        ),
        "allowed_namespaces": Field(
            ListOf(
                Text(matches=_NAMESPACE_PATTERN, rule="a namespace, or a pattern with *"),
                minimum=1,
                unique=True,
            ),
            doc="Namespaces that stages may touch, or patterns with `*`. Needed where the "
            "`namespace` of a stage is an expression.",
            example=["web", "web-*"],
            default_doc="each stage only its own namespace",
        ),
        "allowed_cluster_kinds": Field(
            ListOf(Text(matches=_KIND, rule="a kind: `Kind` or `Kind.group`"), unique=True),
            doc="Kinds without a namespace that `apply` may write, as `Kind` or `Kind.group`.",
            example=["Namespace", "CustomResourceDefinition.apiextensions.k8s.io"],
        ),
    }
)


def build(item: Item) -> Cluster | None:
    """The cluster of an item that was read; None after problems were reported."""
    if item.broken:
        return None
    data = item.data
    allowed = data.get("allowed_namespaces")
    cluster = Cluster(
        name=data["name"],
        kubeconfig=Path(data["kubeconfig"]) if "kubeconfig" in data else None,
        context=data.get("context"),
        namespace=data.get("namespace"),
        allowed_namespaces=tuple(allowed) if allowed is not None else None,
        allowed_cluster_kinds=frozenset(data.get("allowed_cluster_kinds", ())),
    )
    own = cluster.namespace
    if own is not None and not cluster.allows_namespace(own, own=own):
        message = f"stages would work in {own!r}, which `allowed_namespaces` leaves out"
        item.refuse("namespace", message, "add it there")
        return None
    return cluster

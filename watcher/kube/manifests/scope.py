"""Where an object may go: its namespace filled in, and what the config does not allow refused.

Decided before any request, from the kinds' scopes and the cluster's settings alone (SPEC 7.1,
`allowed_namespaces` and `allowed_cluster_kinds`). Pure; for every stage that writes objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from watcher.core.cluster import Cluster
from watcher.errors import StageError
from watcher.kube.manifests.bundle import Document, Refusal, duplicates, refuse
from watcher.kube.objects import Object, ObjectKey

_NAMESPACE = ("", "Namespace")


def placed(document: Document, *, namespaced: bool, cluster: Cluster, namespace: str) -> Object:
    """The object with its namespace, which is the stage's `namespace` unless it names one.

    `namespaced` is what the server's discovery says of its kind. The document is not changed.
    Raises StageError, with the key of the config to add to, for what the stage may not touch.
    """
    made = _with_namespace(document.object, namespaced=namespaced, namespace=namespace)
    refusal = _refusal(document, made, namespaced=namespaced, cluster=cluster, own=namespace)
    refuse([refusal] if refusal else [])
    return made


def placed_all(
    documents: Iterable[tuple[Document, bool]], *, cluster: Cluster, namespace: str
) -> tuple[Object, ...]:
    """Every document (with whether its kind is namespaced) as `placed` gives it.

    Raises StageError with a line for every refusal, also for an object that stands twice once
    the stage's namespace is filled in.
    """
    made: list[Document] = []
    refusals: list[Refusal] = []
    for document, namespaced in documents:
        item = _with_namespace(document.object, namespaced=namespaced, namespace=namespace)
        made.append(replace(document, object=item))
        if refusal := _refusal(
            document, item, namespaced=namespaced, cluster=cluster, own=namespace
        ):
            refusals.append(refusal)
    refuse([*refusals, *duplicates(made)])
    return tuple(document.object for document in made)


def check_namespace_allowed(cluster: Cluster, namespace: str, *, own: str) -> None:
    """For stages without manifests. Raises StageError when a stage that works in `own` may not
    touch `namespace`."""
    if not cluster.allows_namespace(namespace, own=own):
        raise StageError(
            f"the namespace {namespace} is not allowed in the cluster {cluster.name}",
            hint=_namespace_hint(cluster, namespace, own),
        )


def _with_namespace(item: Object, *, namespaced: bool, namespace: str) -> Object:
    metadata = {key: value for key, value in item["metadata"].items() if key != "namespace"}
    written = item["metadata"].get("namespace")
    if written or namespaced:
        metadata["namespace"] = written or namespace
    return {**item, "metadata": metadata}


def _refusal(
    document: Document, item: Object, *, namespaced: bool, cluster: Cluster, own: str
) -> Refusal | None:
    key = ObjectKey.of(item)
    about = f"{document.place}: {key}"
    if not namespaced:
        return _cluster_scoped(about, key, cluster, own)
    if cluster.allows_namespace(key.namespace, own=own):
        return None
    return Refusal(
        text=f"{about}: this namespace is not allowed in the cluster {cluster.name}",
        hint=_namespace_hint(cluster, key.namespace, own),
    )


def _cluster_scoped(about: str, key: ObjectKey, cluster: Cluster, own: str) -> Refusal | None:
    if key.namespace:
        return Refusal(
            text=f"{about}: a {key.kind} lives in no namespace",
            hint="remove metadata.namespace",
        )
    if not cluster.allows_cluster_kind(key.group, key.kind):
        name = f"{key.kind}.{key.group}" if key.group else key.kind
        return Refusal(
            text=f"{about}: this kind, which belongs to the whole cluster, is not allowed in the "
            f"cluster {cluster.name}",
            hint=f"add {name} to `allowed_cluster_kinds` of its entry in `clusters`",
        )
    if (key.group, key.kind) == _NAMESPACE and not cluster.allows_namespace(key.name, own=own):
        return Refusal(
            text=f"{about}: this namespace is not allowed in the cluster {cluster.name}",
            hint=_namespace_hint(cluster, key.name, own),
        )
    return None


def _namespace_hint(cluster: Cluster, namespace: str, own: str) -> str:
    if cluster.allowed_namespaces is None:
        return (
            "without `allowed_namespaces` a stage may touch its own namespace only; "
            f"set `allowed_namespaces: [{own}, {namespace}]` in its entry in `clusters`"
        )
    return f"add {namespace} to `allowed_namespaces` of its entry in `clusters`"

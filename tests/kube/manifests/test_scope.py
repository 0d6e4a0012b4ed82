"""SPEC 7.1: the namespace is filled in, and what the config does not allow is refused."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from watcher.core.cluster import Cluster
from watcher.errors import StageError
from watcher.kube.manifests.bundle import Document
from watcher.kube.manifests.scope import check_namespace_allowed, placed, placed_all

OWN = "shop"
NAMESPACED = {"apps/v1 Deployment", "v1 ConfigMap"}


def document(words: str) -> Document:
    """`apps/v1 Deployment web` or `apps/v1 Deployment web other`, the last being a namespace."""
    version, kind, name, *namespace = words.split()
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace[0].strip("'")
    item = {"apiVersion": version, "kind": kind, "metadata": metadata}
    return Document(object=item, source="deploy/web.yaml", number=2)


def is_namespaced(item: Document) -> bool:
    return f"{item.object['apiVersion']} {item.object['kind']}" in NAMESPACED


def cluster(
    namespaces: tuple[str, ...] | None = None, kinds: frozenset[str] = frozenset()
) -> Cluster:
    return Cluster(name="prod", allowed_namespaces=namespaces, allowed_cluster_kinds=kinds)


def place(words: str, settings: Cluster) -> dict[str, Any]:
    item = document(words)
    return placed(item, namespaced=is_namespaced(item), cluster=settings, namespace=OWN)


@pytest.mark.parametrize(
    ("words", "settings", "namespace"),
    [
        pytest.param("v1 ConfigMap a", cluster(), OWN, id="the stage's own by default"),
        pytest.param("v1 ConfigMap a ''", cluster(), OWN, id="an empty one is none"),
        pytest.param("v1 ConfigMap a shop", cluster(), OWN, id="its own by name"),
        pytest.param(
            "v1 ConfigMap a team-a", cluster(("shop", "team-*")), "team-a", id="a pattern"
        ),
        pytest.param("v1 Namespace shop", cluster(kinds=frozenset({"Namespace"})), None, id="own"),
        pytest.param(
            "v1 Namespace team-a",
            cluster(("team-*",), frozenset({"Namespace"})),
            None,
            id="a namespace that is allowed",
        ),
        pytest.param(
            "rbac.authorization.k8s.io/v1 ClusterRole a",
            cluster(kinds=frozenset({"ClusterRole.rbac.authorization.k8s.io"})),
            None,
            id="a cluster's kind with its group",
        ),
        pytest.param(
            "rbac.authorization.k8s.io/v1 ClusterRole a ''",
            cluster(kinds=frozenset({"ClusterRole"})),
            None,
            id="a cluster's kind",
        ),
    ],
)
def test_an_object_gets_its_namespace(words: str, settings: Cluster, namespace: str | None) -> None:
    assert place(words, settings)["metadata"].get("namespace") == namespace


@pytest.mark.parametrize(
    ("words", "settings", "message", "hint"),
    [
        pytest.param(
            "apps/v1 Deployment web kube-system",
            cluster(),
            "deploy/web.yaml, document 2: deployment.apps/web in namespace kube-system: this "
            "namespace is not allowed in the cluster prod",
            "without `allowed_namespaces` a stage may touch its own namespace only; set "
            "`allowed_namespaces: [shop, kube-system]` in its entry in `clusters`",
            id="another namespace",
        ),
        pytest.param(
            "v1 ConfigMap a other",
            cluster(("shop", "team-*")),
            "configmap/a in namespace other: this namespace is not allowed in the cluster prod",
            "add other to `allowed_namespaces` of its entry in `clusters`",
            id="a namespace that is not listed",
        ),
        pytest.param(
            "v1 ConfigMap a",
            cluster(("team-*",)),
            "configmap/a in namespace shop: this namespace is not allowed",
            "add shop to `allowed_namespaces`",
            id="the stage's own, which is not listed",
        ),
        pytest.param(
            "rbac.authorization.k8s.io/v1 ClusterRoleBinding a",
            cluster(("*",)),
            "clusterrolebinding.rbac.authorization.k8s.io/a: this kind, which belongs to the "
            "whole cluster, is not allowed in the cluster prod",
            "add ClusterRoleBinding.rbac.authorization.k8s.io to `allowed_cluster_kinds`",
            id="a cluster's kind",
        ),
        pytest.param(
            "acme.example/v1 ClusterRole a",
            cluster(kinds=frozenset({"ClusterRole.rbac.authorization.k8s.io"})),
            "clusterrole.acme.example/a: this kind",
            "add ClusterRole.acme.example to `allowed_cluster_kinds`",
            id="a kind of the same name in another group",
        ),
        pytest.param(
            "v1 Namespace a",
            cluster(("*",)),
            "namespace/a: this kind",
            "add Namespace to `allowed_cluster_kinds`",
            id="a namespace",
        ),
        pytest.param(
            "v1 Namespace kube-system",
            cluster(("team-*",), frozenset({"Namespace"})),
            "namespace/kube-system: this namespace is not allowed in the cluster prod",
            "add kube-system to `allowed_namespaces`",
            id="a namespace outside of those allowed",
        ),
        pytest.param(
            "v1 PersistentVolume a shop",
            cluster(kinds=frozenset({"PersistentVolume"})),
            "persistentvolume/a in namespace shop: a PersistentVolume lives in no namespace",
            "remove metadata.namespace",
            id="a namespace where none belongs",
        ),
    ],
)
def test_what_is_not_allowed_is_refused_with_the_key_to_add(
    words: str, settings: Cluster, message: str, hint: str
) -> None:
    with pytest.raises(StageError) as raised:
        place(words, settings)
    assert message in raised.value.message
    assert hint in (raised.value.hint or "")


def test_the_document_stays_as_it_is() -> None:
    item = document("v1 ConfigMap a")
    before = deepcopy(item.object)
    placed(item, namespaced=True, cluster=cluster(), namespace=OWN)
    assert item.object == before


def test_all_refusals_come_at_once_with_twins_of_the_filled_in_namespace() -> None:
    words = [
        "v1 ConfigMap a",
        "v1 ConfigMap a shop",
        "v1 ConfigMap b other",
        "v1 Namespace other",
        "v1 ConfigMap c",
    ]
    documents = [(item, is_namespaced(item)) for item in map(document, words)]
    with pytest.raises(StageError) as raised:
        placed_all(documents, cluster=cluster(), namespace=OWN)
    assert [line.split(": ")[1] for line in raised.value.message.splitlines()] == [
        "configmap/b in namespace other",
        "namespace/other",
        "configmap/a in namespace shop stands in deploy/web.yaml, document 2 too",
    ]


def test_placed_objects_come_in_order() -> None:
    documents = [(document(words), True) for words in ("v1 ConfigMap b", "v1 ConfigMap a")]
    made = placed_all(documents, cluster=cluster(), namespace=OWN)
    assert [(item["metadata"]["name"], item["metadata"]["namespace"]) for item in made] == [
        ("b", OWN),
        ("a", OWN),
    ]


def test_a_stage_without_manifests_asks_for_its_namespace() -> None:
    check_namespace_allowed(cluster(), OWN, own=OWN)
    with pytest.raises(StageError, match="the namespace other is not allowed in the cluster prod"):
        check_namespace_allowed(cluster(), "other", own=OWN)

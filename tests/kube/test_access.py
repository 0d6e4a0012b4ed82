"""Which rights a piece of work needs, and which are missing on a real server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kube.cluster import RealCluster
from watcher.core.cluster import Cluster
from watcher.kube.access import Right, Target, Use, merged, missing, to_apply, to_follow
from watcher.kube.client import ClusterClient
from watcher.kube.objects import Resource

DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments", namespaced=True)
CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps", namespaced=True)
NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)


def target(resource: Resource, name: str, namespace: str = "web") -> Target:
    return Target(resource=resource, namespace=namespace, name=name)


def said(rights: list[Right]) -> list[str]:
    return [str(right) for right in rights]


@pytest.mark.parametrize(
    ("right", "words", "rule"),
    [
        pytest.param(
            Right(
                namespace="web", group="apps", resource="deployments", verb="patch", names=("a",)
            ),
            "patch deployments.apps in namespace web (a)",
            "{apiGroups: [apps], resources: [deployments], verbs: [patch]}",
            id="of one object",
        ),
        pytest.param(
            Right(namespace="web", group="", resource="pods/log", verb="get"),
            "get pods/log in namespace web",
            '{apiGroups: [""], resources: [pods/log], verbs: [get]}',
            id="of the core group, with a subresource",
        ),
        pytest.param(
            Right(namespace="", group="", resource="namespaces", verb="create"),
            "create namespaces of the cluster",
            '{apiGroups: [""], resources: [namespaces], verbs: [create]}',
            id="of no namespace",
        ),
    ],
)
def test_a_right_is_told_as_kubectl_does_and_as_a_rule(right: Right, words: str, rule: str) -> None:
    assert (str(right), right.rule) == (words, rule)


def test_an_apply_reads_patches_and_creates_each_object() -> None:
    rights = merged(to_apply([target(CONFIG_MAPS, "a"), target(CONFIG_MAPS, "b")]))
    assert said(rights) == [
        "create configmaps in namespace web (a, b)",
        "get configmaps in namespace web (a, b)",
        "patch configmaps in namespace web (a, b)",
    ]


def test_an_explanation_looks_at_replica_sets_pods_events_and_logs() -> None:
    web = Target(resource=DEPLOYMENTS, namespace="web", name="web", runs_pods=True)
    rights = merged(to_follow([web]))
    assert said([right for right in rights if right.use is Use.EXPLAIN]) == [
        "list events in namespace web",
        "list pods in namespace web",
        "get pods/log in namespace web",
        "list replicasets.apps in namespace web",
    ]


def test_what_the_work_needs_is_not_asked_for_again_to_explain() -> None:
    one = Right(namespace="web", group="", resource="pods", verb="list")
    two = Right(namespace="web", group="", resource="pods", verb="list", use=Use.EXPLAIN)
    assert merged([two, one]) == [one]


def test_a_right_to_all_objects_takes_in_those_by_name() -> None:
    one = Right(namespace="web", group="", resource="pods", verb="get", names=("a",))
    every = Right(namespace="web", group="", resource="pods", verb="get")
    assert merged([one, every]) == merged([every, one]) == [every]


RULES: list[dict[str, Any]] = [
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]},
    {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "verbs": ["get", "patch", "create"],
        "resourceNames": ["a"],
    },
]


async def test_the_server_says_which_rights_are_missing(cluster: RealCluster) -> None:
    namespace = cluster.namespace()
    kubeconfig = cluster.service_account(namespace, RULES)
    settings = Cluster(name="test", kubeconfig=kubeconfig)
    wanted = to_apply(
        [
            target(DEPLOYMENTS, "web", namespace),
            target(CONFIG_MAPS, "a", namespace),
            target(CONFIG_MAPS, "b", namespace),
            target(NAMESPACES, "web", ""),
        ]
    )
    client = await ClusterClient.connect(settings, environment={})
    try:
        found = await missing(client, wanted)
    finally:
        await client.close()
    assert said(found) == [
        "create namespaces of the cluster (web)",
        "get namespaces of the cluster (web)",
        "patch namespaces of the cluster (web)",
        f"create configmaps in namespace {namespace} (b)",
        f"get configmaps in namespace {namespace} (b)",
        f"patch configmaps in namespace {namespace} (b)",
        f"create deployments.apps in namespace {namespace} (web)",
    ]

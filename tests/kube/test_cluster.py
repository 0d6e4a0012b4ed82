"""The test bed itself: what the other tests lean on."""

from __future__ import annotations

from tests.kube.cluster import RealCluster, wait


def test_a_new_namespace_takes_pods_which_become_ready(cluster: RealCluster) -> None:
    namespace = cluster.namespace()
    cluster.kubectl("-n", namespace, "run", "web", "--image=web:1")
    path = f"/api/v1/namespaces/{namespace}/pods/web"
    wait("the pod", lambda: cluster.get(path)["status"].get("phase") == "Running")

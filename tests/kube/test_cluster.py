"""The test bed itself: what the other tests lean on."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kube.behaviours import Behaviour
from tests.kube.cluster import RealCluster, wait
from tests.kube.logs import CRASH_LOG, LOG

DIGEST = f"sha256:{'bad' * 21}0"
CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}


@pytest.fixture
def namespace(cluster: RealCluster) -> str:
    return cluster.namespace()


def pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def make_pod(
    cluster: RealCluster, namespace: str, image: str, *, log: str | None = None, **spec: Any
) -> str:
    """Make the pod `web`; gives its path."""
    containers = [{"name": "web", "image": image}]
    annotations = {} if log is None else {LOG: log}
    pod = {
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"containers": containers, "restartPolicy": "Never", **spec},
    }
    cluster.created(pods(namespace), pod)
    return f"{pods(namespace)}/web"


def container(cluster: RealCluster, path: str) -> dict[str, Any]:
    statuses = cluster.get(path)["status"].get("containerStatuses", [{}])
    return dict(statuses[0])


def waits_with(cluster: RealCluster, path: str, reason: str) -> dict[str, Any]:
    """The container's status, once it waits for that reason."""

    def waiting() -> dict[str, Any]:
        return dict(container(cluster, path).get("state", {}).get("waiting", {}))

    wait(reason, lambda: waiting().get("reason") == reason)
    return container(cluster, path)


def phase(cluster: RealCluster, path: str, wanted: str) -> None:
    wait(wanted, lambda: cluster.get(path)["status"].get("phase") == wanted)


def ready_replicas(cluster: RealCluster, path: str) -> int:
    return int(cluster.get(path)["status"].get("readyReplicas", 0))


def test_a_deployment_rolls_out(cluster: RealCluster, namespace: str) -> None:
    create = ["create", "deployment", "web", "--image=web:1", "--replicas=3"]
    cluster.kubectl("-n", namespace, *create)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    wait("the replicas", lambda: ready_replicas(cluster, path) == 3)


@pytest.mark.parametrize(
    ("image", "reason", "message"),
    [
        pytest.param("web:2-bad", "ImagePullBackOff", 'image "web:2-bad"', id="back-off"),
        pytest.param("crash:1", "CrashLoopBackOff", "container=web", id="crash"),
        pytest.param("no-config", "CreateContainerConfigError", "not found", id="settings"),
        pytest.param("not a name", "InvalidImageName", '"not a name"', id="name"),
    ],
)
def test_a_container_fails_as_its_image_says(
    cluster: RealCluster, namespace: str, image: str, reason: str, message: str
) -> None:
    path = make_pod(cluster, namespace, image)
    status = waits_with(cluster, path, reason)
    assert message in status["state"]["waiting"]["message"]
    assert not status["ready"]


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        pytest.param("badge/crashes:slower", "Running", id="a word within a word means nothing"),
        pytest.param(f"web@{DIGEST}", "Running", id="nor does the digest"),
        pytest.param("127.0.0.1:5000/web", "Running", id="nor the port"),
        pytest.param("job-ok", "Succeeded", id="succeeds"),
        pytest.param("job-fail", "Failed", id="fails"),
    ],
)
def test_a_pod_ends_as_its_image_says(
    cluster: RealCluster, namespace: str, image: str, wanted: str
) -> None:
    path = make_pod(cluster, namespace, image)
    phase(cluster, path, wanted)
    assert container(cluster, path)["ready"] is (wanted == "Running")


def test_a_hanging_container_runs_and_is_not_ready(cluster: RealCluster, namespace: str) -> None:
    path = make_pod(cluster, namespace, "hang")
    phase(cluster, path, "Running")
    assert not container(cluster, path)["ready"]


def test_a_crash_counts_restarts_and_leaves_a_log(cluster: RealCluster, namespace: str) -> None:
    path = make_pod(cluster, namespace, "crash")
    status = waits_with(cluster, path, "CrashLoopBackOff")
    assert status["lastState"]["terminated"]["exitCode"] == 1
    wait("another restart", lambda: container(cluster, path)["restartCount"] > 1)
    assert cluster.request("GET", f"{path}/log?previous=true") == (200, CRASH_LOG)


def test_a_log_is_the_annotation_and_may_be_cut(cluster: RealCluster, namespace: str) -> None:
    path = make_pod(cluster, namespace, "web", log="one\ntwo\nthree\n")
    phase(cluster, path, "Running")
    assert cluster.request("GET", f"{path}/log?tailLines=2") == (200, "two\nthree\n")
    status, answer = cluster.request("GET", f"{path}/log?previous=true")
    assert (status, answer["reason"]) == (400, "BadRequest")


def test_warnings_are_told_as_events(cluster: RealCluster, namespace: str) -> None:
    make_pod(cluster, namespace, "bad")
    path = f"/api/v1/namespaces/{namespace}/events"

    def told() -> list[str]:
        return [each["message"] for each in cluster.get(path)["items"]]

    wait("the event", lambda: any(each.startswith("Failed to pull image") for each in told()))


def test_an_init_container_that_fails_keeps_the_others_waiting(
    cluster: RealCluster, namespace: str
) -> None:
    path = make_pod(cluster, namespace, "web", initContainers=[{"name": "first", "image": "bad"}])
    waits_with(cluster, path, "PodInitializing")
    first = cluster.get(path)["status"]["initContainerStatuses"][0]
    assert first["state"]["waiting"]["reason"] in {"ErrImagePull", "ImagePullBackOff"}


def test_what_no_node_takes_is_unschedulable(cluster: RealCluster, namespace: str) -> None:
    path = make_pod(cluster, namespace, "web", nodeSelector={"disk": "none-has-it"})

    def conditions() -> list[dict[str, Any]]:
        return list(cluster.get(path)["status"].get("conditions", []))

    wait("the scheduler", lambda: bool(conditions()))
    assert conditions()[0]["reason"] == "Unschedulable"


def test_a_deleted_pod_is_gone_at_once(cluster: RealCluster, namespace: str) -> None:
    path = make_pod(cluster, namespace, "web")
    phase(cluster, path, "Running")
    cluster.request("DELETE", path)
    wait("its end", lambda: cluster.request("GET", path)[0] == httpx.codes.NOT_FOUND, within=10)


def test_an_image_changed_in_place_is_played_anew(cluster: RealCluster, namespace: str) -> None:
    path = make_pod(cluster, namespace, "bad")
    waits_with(cluster, path, "ImagePullBackOff")
    cluster.kubectl("-n", namespace, "set", "image", "pod/web", "web=good")
    phase(cluster, path, "Running")


def test_a_digest_can_be_told_to_fail(cluster: RealCluster, namespace: str) -> None:
    digest = f"sha256:{'1' * 64}"
    cluster.behave(digest, Behaviour.CRASH)
    waits_with(cluster, make_pod(cluster, namespace, f"web@{digest}"), "CrashLoopBackOff")


def test_nothing_moves_while_the_kubelet_is_paused(cluster: RealCluster, namespace: str) -> None:
    with cluster.pause_kubelet():
        path = make_pod(cluster, namespace, "web")
        assert cluster.get(path)["status"]["phase"] == "Pending"
    phase(cluster, path, "Running")


def test_a_quota_refuses_pods(cluster: RealCluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "quota", "none", "--hard=pods=0")
    path = f"/api/v1/namespaces/{namespace}/resourcequotas/none"
    wait("the quota", lambda: "hard" in cluster.get(path)["status"])
    pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    status, answer = cluster.request("POST", pods(namespace), pod)
    assert (status, "exceeded quota" in answer["message"]) == (403, True)


def test_a_service_account_has_exactly_its_rights(cluster: RealCluster, namespace: str) -> None:
    account = cluster.service_account(namespace, [CONFIG_MAPS])
    assert can(cluster, account, "get", "configmaps", "-n", namespace)
    assert not can(cluster, account, "list", "configmaps", "-n", namespace)
    assert not can(cluster, account, "get", "configmaps", "-n", "default")


MANIFEST = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: watcher, namespace: somewhere}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: watcher, namespace: somewhere}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: everywhere}
rules: [{apiGroups: [""], resources: [namespaces], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everywhere}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: everywhere}
subjects: [{kind: ServiceAccount, name: watcher, namespace: somewhere}]
"""


def test_a_service_account_takes_its_rights_from_a_manifest(
    cluster: RealCluster, namespace: str, tmp_path: Path
) -> None:
    (tmp_path / "rbac.yaml").write_text(MANIFEST)
    account = cluster.service_account(namespace, tmp_path / "rbac.yaml")
    assert can(cluster, account, "get", "configmaps", "-n", namespace)
    assert can(cluster, account, "get", "namespaces")
    assert not can(cluster, account, "get", "secrets", "-n", namespace)


def can(cluster: RealCluster, kubeconfig: Path, *arguments: str) -> bool:
    try:
        cluster.kubectl(f"--kubeconfig={kubeconfig}", "auth", "can-i", *arguments)
    except AssertionError:
        return False
    return True


def test_a_certificate_makes_a_user_until_it_expires(cluster: RealCluster) -> None:
    user = cluster.certificate_user("someone", groups=("people",))
    assert not can(cluster, user, "get", "secrets")
    assert can(cluster, cluster.certificate_user("someone"), "get", "secrets")
    late = cluster.certificate_user("someone", expired=True)
    with pytest.raises(AssertionError, match=r"(?i)logged in|unauthorized|certificate"):
        cluster.kubectl(f"--kubeconfig={late}", "get", "namespaces")


def test_a_stranger_gets_nothing(cluster: RealCluster) -> None:
    trust = ssl.create_default_context(cafile=cluster.ca_file)
    with httpx.Client(base_url=cluster.url, verify=trust, trust_env=False) as stranger:
        assert stranger.get("/api/v1/namespaces").status_code == httpx.codes.FORBIDDEN


def test_the_product_knows_it_by_settings(cluster: RealCluster) -> None:
    settings = cluster.settings(namespace="web", allowed_namespaces=("web", "data"))
    assert (settings.name, settings.kubeconfig) == ("test", cluster.kubeconfig)
    assert settings.allows_namespace("data", own="web")

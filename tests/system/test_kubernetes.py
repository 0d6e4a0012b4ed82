"""From a push to a rollout: the real daemon, a real registry, a real API server with its
controllers, and a stand-in for the kubelet only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.kube.cluster import RealCluster
from tests.kube.proxy import Answer, FaultProxy, Hang
from tests.servers import RealRegistry, StartRegistry
from tests.system.watching import Daemon, Watcher, account, trigger, wait_until

REPOSITORY = "acme/web"
SLOW = 60.0
WRITE = r"/deployments/web\?(?!.*dryRun)"

pytestmark = pytest.mark.timeout(180)


class Shop:
    """A registry, a namespace with nothing in it, and a watcher that deploys from one to the
    other. The stage's options are those of the test."""

    def __init__(
        self, directory: Path, registry: RealRegistry, cluster: RealCluster, *, kubeconfig: Path
    ) -> None:
        self.directory = directory
        self.registry = registry
        self.cluster = cluster
        self.kubeconfig = kubeconfig
        self.namespace = cluster.namespace()
        self.manifest = directory / "web.yaml"
        self.write_manifest()
        self.watcher = Watcher(directory, self.config())

    @property
    def image(self) -> str:
        return f"{self.registry.address}/{REPOSITORY}"

    def write_manifest(self, *, settings: Mapping[str, str] | None = None, **spec: Any) -> None:
        """An ordinary manifest with an image that is to be bound, if need be with settings."""
        container = {"name": "web", "image": self.image}
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 2,
                "progressDeadlineSeconds": 5,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [container]},
                },
                **spec,
            },
        }
        objects: list[dict[str, Any]] = [deployment]
        if settings is not None:
            metadata = {"name": "settings"}
            config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
            objects.append({**config, "data": dict(settings)})
        self.manifest.write_text("---\n".join(f"{json.dumps(item)}\n" for item in objects))

    def config(self, *further: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        apply = {"manifests": [str(self.manifest)], "namespace": self.namespace, "wait": "60s"}
        stage = {"apply": {**apply, **options}, "on_failure": "rollback"}
        return {
            "clusters": [{"name": "test", "kubeconfig": str(self.kubeconfig)}],
            "accounts": [account(self.registry.address, REPOSITORY)],
            "triggers": [trigger("web", "deploy", REPOSITORY)],
            "pipelines": [{"name": "deploy", "stages": [stage, *further]}],
        }

    def baseline(self) -> None:
        self.registry.push(REPOSITORY, "0.1")
        assert self.watcher.run("run", "--once").returncode == 0

    def deployed(self, tag: str) -> None:
        """Push a tag that must end as a healthy rollout, under a running daemon."""
        self.registry.push(REPOSITORY, tag)
        self.ends(tag, "SUCCEEDED")

    def ends(self, tag: str, status: str) -> dict[str, Any]:
        """The run of a tag at its end."""

        def look() -> dict[str, Any]:
            runs: list[dict[str, Any]] = self.watcher.json("executions")
            found = [run for run in runs if run["tag"] == tag and run["finished"]]
            return found[0] if found else {}

        run = wait_until(look, f"the run of {tag} has ended", within=SLOW, every=0.3)
        assert run["status"] == status, json.dumps(run, indent=1)
        return run

    def live(self, kind: str = "deployments", name: str = "web") -> dict[str, Any]:
        return self.cluster.get(f"/apis/apps/v1/namespaces/{self.namespace}/{kind}/{name}")

    @property
    def live_image(self) -> str:
        (container,) = self.live()["spec"]["template"]["spec"]["containers"]
        return str(container["image"])

    def is_healthy(self) -> bool:
        status = self.live()["status"]
        replicas = self.live()["spec"]["replicas"]
        return bool(
            status.get("updatedReplicas") == status.get("availableReplicas") == replicas
            and status.get("replicas") == replicas
        )


@pytest.fixture
def shop(tmp_path: Path, start_registry: StartRegistry, cluster: RealCluster) -> Shop:
    return Shop(tmp_path, start_registry(), cluster, kubeconfig=cluster.kubeconfig)


def test_a_push_ends_as_a_healthy_rollout_that_kubectl_finds_no_drift_in(shop: Shop) -> None:
    shop.baseline()
    with shop.watcher.running():
        shop.deployed("1.0")
    assert shop.live_image == f"{shop.image}:1.0"
    assert shop.is_healthy()
    shop.write_manifest(
        template={
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": f"{shop.image}:1.0"}]},
        }
    )
    assert shop.cluster.kubectl("diff", f"--namespace={shop.namespace}", "-f", shop.manifest) == ""


def test_a_broken_image_is_rolled_back_and_comes_back_only_when_a_person_lets_it(
    shop: Shop,
) -> None:
    shop.baseline()
    with shop.watcher.running() as daemon:
        shop.deployed("1.0")
        shop.registry.push(REPOSITORY, "2.0-bad")
        run = shop.ends("2.0-bad", "FAILED")
        assert shop.live_image == f"{shop.image}:1.0"
        assert shop.is_healthy()
        (stage,) = run["stages"]
        assert "ErrImagePull" in stage["error"] or "ImagePullBackOff" in stage["error"]
        told = daemon.events("execution_finished", tag="2.0-bad") or daemon.events(
            "execution_finished", execution=run["id"]
        )
        assert "rolled back: apply" in told[0]["reason"]
        shop.registry.retag(REPOSITORY, "2.0-bad", "2.1-bad")
        wait_until(lambda: _outcome(shop, "2.1-bad") == "rejected", "it is rejected", every=0.3)
    explained = shop.watcher.run("explain", "web", "2.1-bad").stdout
    assert "rejected by the rollback" in explained
    assert [r["tag"] for r in shop.watcher.json("executions") if r["tag"] == "2.1-bad"] == []


def test_a_later_stage_that_fails_takes_the_rollout_back(shop: Shop) -> None:
    check = {"command": ["sh", "-c", '[ "$DOCKER_TAG" = 1.0 ]'], "on_failure": "rollback"}
    shop.watcher.write(shop.config(check))
    shop.baseline()
    with shop.watcher.running():
        shop.deployed("1.0")
        shop.registry.push(REPOSITORY, "2.0")
        shop.ends("2.0", "FAILED")
        assert shop.live_image == f"{shop.image}:1.0"
        assert shop.is_healthy()


def test_a_daemon_killed_while_it_waits_for_the_rollout_goes_on_waiting(shop: Shop) -> None:
    shop.baseline()
    with shop.cluster.pause_kubelet():
        daemon = shop.watcher.start()
        try:
            shop.registry.push(REPOSITORY, "1.0")
            wait_until(lambda: _exists(shop), "the deployment is there")
            generation = shop.live()["metadata"]["generation"]
        finally:
            daemon.kill()
        again = shop.watcher.start()
        again.wait_for("stage_started")
    try:
        shop.ends("1.0", "SUCCEEDED")
        assert shop.live()["metadata"]["generation"] == generation
        assert shop.is_healthy()
    finally:
        again.kill()


def test_a_daemon_killed_in_its_rollback_ends_the_rollback(shop: Shop) -> None:
    shop.baseline()
    with shop.watcher.running():
        shop.deployed("1.0")
    daemon = shop.watcher.start()
    try:
        shop.registry.push(REPOSITORY, "2.0-bad")
        _wait_for_rollback(daemon)
    finally:
        daemon.kill()
    with shop.watcher.running():
        run = shop.ends("2.0-bad", "FAILED")
    assert run["stages"][0]["attempts"] == 1
    assert shop.live_image == f"{shop.image}:1.0"
    assert shop.is_healthy()


@pytest.mark.parametrize("forwarded", [False, True], ids=["before", "after"])
def test_a_daemon_killed_in_the_middle_of_an_apply_ends_it(
    forwarded: bool,
    tmp_path: Path,
    start_registry: StartRegistry,
    cluster: RealCluster,
    cluster_proxy: FaultProxy,
) -> None:
    shop = Shop(tmp_path, start_registry(), cluster, kubeconfig=cluster_proxy.kubeconfig)
    shop.write_manifest(settings={"color": "blue"})
    shop.baseline()
    rule = cluster_proxy.fault("PATCH", WRITE, Hang(forwarded=forwarded))
    daemon = shop.watcher.start()
    try:
        shop.registry.push(REPOSITORY, "1.0")
        assert rule.struck.wait(SLOW), daemon.log.read_text()
    finally:
        daemon.kill()
    assert _exists(shop) is forwarded
    cluster_proxy.clear()
    with shop.watcher.running():
        shop.ends("1.0", "SUCCEEDED")
    assert shop.is_healthy()
    writes = [write.target for write in cluster_proxy.writes() if "configmaps" in write.target]
    assert writes == []


def test_a_rollback_that_fails_says_so_everywhere(
    tmp_path: Path,
    start_registry: StartRegistry,
    cluster: RealCluster,
    cluster_proxy: FaultProxy,
) -> None:
    shop = Shop(tmp_path, start_registry(), cluster, kubeconfig=cluster_proxy.kubeconfig)
    shop.baseline()
    refusal = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "Forbidden",
        "message": "no more for you",
        "code": 403,
    }
    with shop.watcher.running() as daemon:
        shop.deployed("1.0")
        cluster_proxy.fault("PATCH", WRITE, Answer(status=403, body=refusal), after=1, times=None)
        shop.registry.push(REPOSITORY, "2.0-bad")
        run = shop.ends("2.0-bad", "FAILED")
        (failed,) = daemon.events("rollback_failed")
    assert failed["level"] == "error"
    assert "no more for you" in failed["error"]
    (ended,) = daemon.events("execution_finished", execution=run["id"])
    assert "the rollout failed" in ended["reason"]
    assert "ROLLBACK FAILED: stage apply" in ended["reason"]
    assert "ROLLBACK FAILED" in shop.watcher.run("executions", run["id"]).stdout


def _wait_for_rollback(daemon: Daemon) -> None:
    wait_until(lambda: daemon.events("rollback_started"), "the rollback starts", within=SLOW)


def _exists(shop: Shop) -> bool:
    path = f"/apis/apps/v1/namespaces/{shop.namespace}/deployments/web"
    return shop.cluster.request("GET", path)[0] == 200


def _outcome(shop: Shop, tag: str) -> str | None:
    for entry in shop.watcher.json("activity"):
        if entry["tag"] == tag:
            return str(entry["triggers"][0]["outcome"])
    return None

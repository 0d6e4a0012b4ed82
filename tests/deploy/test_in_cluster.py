"""deploy/ against a real API server: each object by its OpenAPI description, then all applied; and
the rights in deploy/web are those that the example's pipeline needs, all of them and no other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.cli.conftest import Bench
from tests.cli.conftest import bench as bench
from tests.cli.conftest import registry as registry
from tests.cli.test_validate_clusters import granted, rule_in
from tests.deploy.manifests import DEPLOY, MONITORING, NAME, only, rendered, text_of, write_config
from tests.deploy.openapi import Description
from tests.kube.cluster import RealCluster, wait
from watcher.testing.registry import FakeRegistry

BASE = f"/api/v1/namespaces/{NAME}"
PLAIN = ["base", "web", "monitored", "sidecar"]


@pytest.fixture(scope="module")
def description(cluster: RealCluster) -> Description:
    return Description(json.loads(cluster.client.get("/openapi/v2").text))


@pytest.fixture
def applied(cluster: RealCluster) -> Iterator[RealCluster]:
    """A cluster with deploy/base in it, for one test."""
    cluster.kubectl("apply", "-k", DEPLOY / "base")
    yield cluster
    cluster.kubectl("delete", "-k", DEPLOY / "base", "--wait=false")
    gone = f"/api/v1/namespaces/{NAME}"
    wait(
        "the end of the namespace",
        lambda: cluster.request("GET", gone)[0] == httpx.codes.NOT_FOUND,
    )


@pytest.mark.parametrize("directory", PLAIN)
def test_every_object_is_as_the_server_describes_its_kind(
    description: Description, directory: str
) -> None:
    known = [each for each in rendered(directory) if each["apiVersion"] != MONITORING]
    assert known
    assert [line for each in known for line in description.problems(each)] == []


def test_so_is_the_example_of_the_secret(description: Description) -> None:
    example = yaml.safe_load((DEPLOY / "base" / "secret.example.yaml").read_text())
    assert description.problems(example) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        pytest.param(("replica",), 1, "Deployment.spec.replica: there is no such", id="unknown"),
        pytest.param(("replicas",), "1", "Deployment.spec.replicas: '1' is not of", id="a string"),
        pytest.param(("replicas",), True, "Deployment.spec.replicas: True is not", id="a boolean"),
        pytest.param(("selector",), None, "Deployment.spec.selector: None is not", id="nothing"),
        pytest.param(
            ("template", "spec", "containers", 0, "readyProbe"),
            {},
            "containers[0].readyProbe: there is no such field",
            id="deep inside",
        ),
    ],
)
def test_what_the_description_does_not_have_is_found(
    description: Description, path: tuple[Any, ...], value: Any, problem: str
) -> None:
    wrong = deepcopy(only("base", "Deployment"))
    inner = wrong["spec"]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (found,) = description.problems(wrong)
    assert problem in found


def test_a_required_field_that_is_missing_is_found(description: Description) -> None:
    wrong = deepcopy(only("base", "Deployment"))
    del wrong["spec"]["template"]["spec"]["containers"]
    (found,) = description.problems(wrong)
    assert found.endswith("containers: is missing")


def test_all_of_it_is_applied_and_the_pod_starts(applied: RealCluster) -> None:
    applied.kubectl("apply", "-f", DEPLOY / "base" / "secret.example.yaml")
    deployment = f"/apis/apps/v1/namespaces/{NAME}/deployments/{NAME}"
    wait(
        "the pod",
        lambda: applied.get(deployment)["status"].get("availableReplicas") == 1,
    )
    (pod,) = applied.get(f"{BASE}/pods")["items"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert set(volumes) == {"state", "config", "secrets", "tmp", "account"}
    again = applied.kubectl("apply", "-k", DEPLOY / "base")
    assert [line for line in again.splitlines() if not line.endswith(" unchanged")] == []


def test_the_rights_of_a_namespace_are_applied_in_any_namespace(
    cluster: RealCluster, tmp_path: Path
) -> None:
    namespace = cluster.namespace()
    text = text_of("web").replace("namespace: web\n", f"namespace: {namespace}\n")
    cluster.kubectl("apply", "-f", "-", input=text)
    user = f"system:serviceaccount:{NAME}:{NAME}"
    for inside, allowed in ((namespace, True), ("default", False)):
        question = {
            "user": user,
            "resourceAttributes": {
                "namespace": inside,
                "verb": "patch",
                "group": "apps",
                "resource": "deployments",
            },
        }
        wait(f"the rights in {inside}", partial(is_so, cluster, question, allowed=allowed))


def is_so(cluster: RealCluster, question: Mapping[str, Any], *, allowed: bool) -> bool:
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return cluster.created(path, {"spec": question})["status"]["allowed"] is allowed


def configure(bench: Bench, registry: FakeRegistry, kubeconfig: Path, namespace: str) -> None:
    """The example's config with its pipeline as it stands, in a namespace of the test."""
    path = write_config("base", bench.directory)
    config = yaml.safe_load(path.read_text().replace("namespace: web", f"namespace: {namespace}"))
    del config["http"]
    registry.push("library/nginx", "1.27.0")
    (account,) = config["accounts"]
    for key in ("username", "password_file"):
        del account[key]
    account |= {"address": registry.address, "plain_http": True}
    (own,) = config["clusters"]
    own |= {"kubeconfig": str(kubeconfig), "allowed_namespaces": [namespace]}
    path.write_text(json.dumps(config))
    web = (bench.directory / "web.yaml").read_text()
    image = f"{registry.address}/library/nginx"
    (bench.directory / "web.yaml").write_text(web.replace("image: nginx", f"image: {image}"))


def test_without_rights_those_of_the_example_are_missing_and_no_others(
    bench: Bench, cluster: RealCluster, registry: FakeRegistry
) -> None:
    namespace = cluster.namespace()
    configure(bench, registry, cluster.service_account(namespace), namespace)
    findings = bench.json("validate", "--online", code=1)["findings"]
    assert granted(rule_in(finding) for finding in findings) == granted(
        only("web", "Role")["rules"]
    )


def test_with_the_rights_of_the_example_its_pipeline_deploys(
    bench: Bench, cluster: RealCluster, registry: FakeRegistry
) -> None:
    namespace = cluster.namespace()
    account = cluster.service_account(namespace, only("web", "Role")["rules"])
    configure(bench, registry, account, namespace)
    bench.run("validate", "--online")
    bench.run("run", "--once")
    registry.push("library/nginx", "1.27.1")
    bench.run("run", "--once")
    (run,) = bench.json("executions")
    assert (run["tag"], run["status"]) == ("1.27.1", "SUCCEEDED"), run

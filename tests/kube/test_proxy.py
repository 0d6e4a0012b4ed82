"""The fault proxy itself: what it forwards, counts and breaks."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.kube.cluster import RealCluster
from tests.kube.proxy import Answer, Delay, Fault, FaultProxy, Hang, Reset


def client_of(cluster: RealCluster, kubeconfig: Path, *, timeout: float = 30.0) -> httpx.Client:
    content = json.loads(kubeconfig.read_text())
    return httpx.Client(
        base_url=content["clusters"][0]["cluster"]["server"],
        headers={"Authorization": f"Bearer {content['users'][0]['user']['token']}"},
        verify=ssl.create_default_context(cafile=cluster.ca_file),
        timeout=timeout,
        trust_env=False,
    )


@pytest.fixture
def client(cluster: RealCluster, cluster_proxy: FaultProxy) -> Iterator[httpx.Client]:
    with client_of(cluster, cluster_proxy.kubeconfig) as client:
        yield client


@pytest.fixture
def path(cluster: RealCluster) -> str:
    """The ConfigMaps of a new namespace."""
    return f"/api/v1/namespaces/{cluster.namespace()}/configmaps"


def named(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}}


def exists(cluster: RealCluster, path: str, name: str) -> bool:
    return cluster.request("GET", f"{path}/{name}")[0] == httpx.codes.OK


def test_it_forwards_and_keeps_what_was_asked(
    client: httpx.Client, cluster_proxy: FaultProxy, cluster: RealCluster, path: str
) -> None:
    made = client.post(path, params={"fieldManager": "test"}, json=named("one"))
    assert made.status_code == httpx.codes.CREATED
    assert client.get(f"{path}/two").json()["reason"] == "NotFound"
    assert exists(cluster, path, "one")
    asked = [(each.method, each.target) for each in cluster_proxy.requests()]
    assert asked == [("POST", f"{path}?fieldManager=test"), ("GET", f"{path}/two")]
    assert json.loads(cluster_proxy.requests("POST")[0].body) == named("one")


def test_kubectl_works_through_it(
    cluster: RealCluster, cluster_proxy: FaultProxy, path: str
) -> None:
    namespace = path.split("/")[4]
    through = f"--kubeconfig={cluster_proxy.kubeconfig}"
    cluster.kubectl(through, "-n", namespace, "create", "configmap", "one")
    assert len(cluster_proxy.requests("POST", "/configmaps")) == 1
    assert exists(cluster, path, "one")


def test_a_dry_run_and_a_review_of_access_are_no_writes(
    client: httpx.Client, cluster_proxy: FaultProxy, path: str
) -> None:
    client.post(path, params={"dryRun": "All"}, json=named("one"))
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review)
    client.get(path)
    assert cluster_proxy.writes() == []
    client.post(path, json=named("one"))
    assert [each.method for each in cluster_proxy.writes()] == ["POST"]


def test_it_answers_instead_the_times_it_was_told(
    client: httpx.Client, cluster_proxy: FaultProxy, path: str
) -> None:
    busy = Answer(status=429, headers={"Retry-After": "1"})
    cluster_proxy.fault("GET", r"/configmaps$", busy, after=1, times=2)
    answers = [client.get(path) for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 429, 429, 200]
    assert answers[1].headers["Retry-After"] == "1"
    assert answers[1].json()["code"] == httpx.codes.TOO_MANY_REQUESTS
    assert client.get(f"{path}/one").status_code == httpx.codes.NOT_FOUND


def test_an_answer_may_be_no_json_and_last_for_ever(
    client: httpx.Client, cluster_proxy: FaultProxy, path: str
) -> None:
    page = Answer(status=502, body=b"<html>", headers={"Content-Type": "text/html"})
    cluster_proxy.fault("", "", page, times=None)
    for _ in range(3):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (502, "<html>")
    cluster_proxy.clear()
    assert client.get(path).status_code == httpx.codes.OK
    assert len(cluster_proxy.requests()) == 1


def test_it_delays(client: httpx.Client, cluster_proxy: FaultProxy, path: str) -> None:
    cluster_proxy.fault("GET", path, Delay(0.3))
    begun = time.monotonic()
    assert client.get(path).status_code == httpx.codes.OK
    assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize(
    ("fault", "done"),
    [
        pytest.param(Reset(), False, id="reset before forwarding"),
        pytest.param(Reset(forwarded=True), True, id="reset after forwarding"),
        pytest.param(Hang(), False, id="hangs before forwarding"),
        pytest.param(Hang(forwarded=True), True, id="hangs after forwarding"),
    ],
)
def test_an_answer_that_never_comes(
    cluster: RealCluster, cluster_proxy: FaultProxy, path: str, fault: Fault, done: bool
) -> None:
    rule = cluster_proxy.fault("POST", path, fault)
    lost = (httpx.ReadError, httpx.RemoteProtocolError)  # within TLS a reset may look like an end
    expected = lost if isinstance(fault, Reset) else httpx.ReadTimeout
    with (
        client_of(cluster, cluster_proxy.kubeconfig, timeout=0.5) as client,
        pytest.raises(expected),
    ):
        client.post(path, json=named("one"))
    assert rule.struck.wait(10)
    assert exists(cluster, path, "one") is done


def test_a_service_account_keeps_its_own_rights_through_it(
    cluster: RealCluster, cluster_proxy: FaultProxy, path: str
) -> None:
    namespace = path.split("/")[4]
    reads = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    account = cluster.service_account(namespace, [reads])
    with client_of(cluster, cluster_proxy.through(account)) as client:
        assert client.get(path).status_code == httpx.codes.OK
        assert client.post(path, json=named("one")).status_code == httpx.codes.FORBIDDEN
    assert len(cluster_proxy.requests()) == 2


def test_a_watch_streams_and_the_proxy_ends_beside_it(cluster: RealCluster, path: str) -> None:
    with cluster.proxy() as proxy, client_of(cluster, proxy.kubeconfig) as client:
        with client.stream("GET", f"{path}?watch=1") as answer:
            lines = answer.iter_lines()
            cluster.created(path, named("late"))
            names = []
            while "late" not in names:
                names.append(json.loads(next(lines))["object"]["metadata"]["name"])
        with client.stream("GET", f"{path}?watch=1") as answer:
            assert answer.status_code == httpx.codes.OK
            begun = time.monotonic()
            proxy.closing.set()
    assert time.monotonic() - begun < 5


def test_its_certificate_may_have_expired(cluster: RealCluster) -> None:
    with (
        cluster.proxy(expired=True) as proxy,
        client_of(cluster, proxy.kubeconfig) as client,
        pytest.raises(httpx.ConnectError, match="certificate has expired"),
    ):
        client.get("/version")

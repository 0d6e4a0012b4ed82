"""The client against a real API server: what it asks, and what it makes of real refusals."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kube.cluster import RealCluster, wait
from tests.kube.identities import plugin, prints
from tests.kube.logs import LOG
from tests.kube.proxy import Answer, FaultProxy, Hang, Reset
from watcher.errors import ClusterError, ClusterFault, FieldConflict
from watcher.kube.client import ClusterClient, PatchType
from watcher.kube.connecting.exchange import Patience
from watcher.kube.connecting.transport import Timeouts
from watcher.kube.objects import FIELD_MANAGER, Object

F = ClusterFault
READ_CONFIG_MAPS = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]}]
SHORT = Patience(read=Timeouts(read=1.0, whole=5.0), write=Timeouts(read=1.0, whole=5.0))


@pytest.fixture
def namespace(cluster: RealCluster) -> str:
    return cluster.namespace()


@pytest.fixture
async def client(cluster: RealCluster, namespace: str) -> AsyncIterator[ClusterClient]:
    """An administrator's."""
    async with connected(cluster, namespace=namespace) as connection:
        yield connection


@asynccontextmanager
async def connected(
    cluster: RealCluster, *, patience: Patience | None = None, **settings: Any
) -> AsyncIterator[ClusterClient]:
    client = await ClusterClient.connect(
        cluster.settings(**settings), environment={"PATH": "/usr/bin:/bin"}, patience=patience
    )
    try:
        yield client
    finally:
        await client.close()


def config_map(namespace: str, name: str = "a", **data: str) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def workload(
    kind: str, namespace: str, *, image: str = "web:1", env: str = "", **spec: Any
) -> Object:
    container = {"name": "c", "image": image, "env": [{"name": "PASSWORD", "value": env}]}
    template: Object = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container]}}
    if kind == "Job":
        template["spec"]["restartPolicy"] = "Never"
    else:
        spec = {"selector": {"matchLabels": {"app": "a"}}, **spec}
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": "w", "namespace": namespace},
        "spec": {"template": template, **spec},
    }


async def applied(client: ClusterClient, item: Object, **options: Any) -> Object:
    resource = await client.resource(item["apiVersion"], item["kind"])
    return (await client.apply(resource, item, **options)).object


async def refused(client: ClusterClient, item: Object, **options: Any) -> ClusterError:
    with pytest.raises(ClusterError) as raised:
        await applied(client, item, **options)
    return raised.value


async def test_a_server_tells_its_version_and_its_kinds(client: ClusterClient) -> None:
    assert (await client.version()).startswith("v")
    deployment = await client.resource("apps/v1", "Deployment")
    assert (deployment.plural, deployment.namespaced) == ("deployments", True)
    assert not (await client.resource("v1", "Namespace")).namespaced
    assert {"get", "list", "patch", "delete"} <= deployment.verbs
    with pytest.raises(ClusterError) as raised:
        await client.resource("nope.example/v1", "Nope")
    assert raised.value.fault is F.KIND_UNKNOWN


async def test_an_apply_creates_once_changes_and_then_leaves_alone(
    client: ClusterClient, namespace: str
) -> None:
    resource = await client.resource("v1", "ConfigMap")
    first = await client.apply(resource, config_map(namespace, k="1"))
    same = await client.apply(resource, config_map(namespace, k="1"))
    changed = await client.apply(resource, config_map(namespace, k="2"))
    versions = [each.object["metadata"]["resourceVersion"] for each in (first, same, changed)]
    assert [first.created, same.created, changed.created] == [True, False, False]
    assert versions[0] == versions[1] != versions[2]
    assert changed.object["data"] == {"k": "2"}
    manager = changed.object["metadata"]["managedFields"][0]
    assert (manager["manager"], manager["operation"]) == (FIELD_MANAGER, "Apply")


async def test_a_dry_run_changes_nothing(client: ClusterClient, namespace: str) -> None:
    resource = await client.resource("v1", "ConfigMap")
    tried = await client.apply(resource, config_map(namespace, k="1"), dry_run=True)
    assert tried.created
    assert tried.object["data"] == {"k": "1"}
    assert "resourceVersion" not in tried.object["metadata"]
    assert await client.get(resource, namespace, "a") is None


async def test_objects_are_read_one_by_one_and_in_lists(
    client: ClusterClient, namespace: str
) -> None:
    resource = await client.resource("v1", "ConfigMap")
    for name in ("a", "b"):
        item = config_map(namespace, name)
        item["metadata"]["labels"] = {"which": name}
        await client.apply(resource, item)
    found = await client.get(resource, namespace, "a")
    chosen = await client.list(resource, namespace, labels="which in (a,b)")
    everywhere = await client.list(resource, labels="which=b")
    assert found is not None
    assert found["metadata"]["labels"] == {"which": "a"}
    assert [(each["kind"], each["metadata"]["name"]) for each in chosen] == [
        ("ConfigMap", "a"), ("ConfigMap", "b"),
    ]  # fmt: skip
    assert (namespace, "b") in [
        (each["metadata"]["namespace"], each["metadata"]["name"]) for each in everywhere
    ]
    assert await client.list(resource, namespace, labels="which=none") == []


async def test_a_delete_is_of_the_very_object(client: ClusterClient, namespace: str) -> None:
    resource = await client.resource("v1", "ConfigMap")
    uid = (await applied(client, config_map(namespace)))["metadata"]["uid"]
    other = uid[:-4] + "0000" if not uid.endswith("0000") else uid[:-4] + "1111"
    with pytest.raises(ClusterError) as raised:
        await client.delete(resource, namespace, "a", uid=other)
    assert raised.value.fault is F.VERSION_CONFLICT
    assert await client.delete(resource, namespace, "a", uid=uid, dry_run=True)
    assert await client.get(resource, namespace, "a") is not None
    assert await client.delete(resource, namespace, "a", uid=uid)
    assert not await client.delete(resource, namespace, "a")


async def test_the_three_kinds_of_patches(client: ClusterClient, namespace: str) -> None:
    resource = await client.resource("v1", "ConfigMap")
    patch = partial(client.patch, resource, namespace, "a")
    await client.create(resource, config_map(namespace, k="1"))
    await patch({"data": {"m": "2"}}, content_type=PatchType.MERGE)
    await patch([{"op": "add", "path": "/data/j", "value": "3"}], content_type=PatchType.JSON)
    done = await patch({"data": {"k": None}}, content_type=PatchType.STRATEGIC)
    assert done["data"] == {"m": "2", "j": "3"}
    with pytest.raises(ClusterError) as raised:
        await client.patch(resource, namespace, "none", {}, content_type=PatchType.MERGE)
    assert raised.value.fault is F.NOT_FOUND


async def test_a_status_is_patched_as_a_subresource(client: ClusterClient, namespace: str) -> None:
    item = await applied(client, workload("Deployment", namespace, replicas=0))
    resource = await client.resource("apps/v1", "Deployment")
    condition = {"type": "Ours", "status": "True"}
    body = {"status": {"conditions": [condition]}}
    done = await client.patch(
        resource, namespace, "w", body, content_type=PatchType.MERGE, subresource="status"
    )
    assert done["metadata"]["generation"] == item["metadata"]["generation"]
    assert "Ours" in {each["type"] for each in done["status"]["conditions"]}


async def test_what_exists_is_not_created_again(client: ClusterClient, namespace: str) -> None:
    resource = await client.resource("v1", "ConfigMap")
    assert (await client.create(resource, config_map(namespace), dry_run=True))["kind"]
    await client.create(resource, config_map(namespace))
    with pytest.raises(ClusterError) as raised:
        await client.create(resource, config_map(namespace))
    assert raised.value.fault is F.EXISTS
    assert raised.value.about == f"configmap/a in namespace {namespace}"


async def test_a_log_is_read_to_its_last_lines(
    cluster: RealCluster, client: ClusterClient, namespace: str
) -> None:
    metadata = {"name": "p", "annotations": {LOG: "one\ntwo\nthree\n"}}
    spec = {"containers": [{"name": "c", "image": "web:1"}]}
    path = f"/api/v1/namespaces/{namespace}/pods"
    cluster.created(path, {"metadata": metadata, "spec": spec})
    wait("the pod", lambda: cluster.get(f"{path}/p")["status"]["phase"] == "Running")
    assert await client.pod_log(namespace, "p", "c", lines=2) == "two\nthree\n"
    with pytest.raises(ClusterError):
        await client.pod_log(namespace, "p", "c", previous=True)


async def test_a_field_of_another_is_a_conflict_that_names_it(
    cluster: RealCluster, client: ClusterClient, namespace: str
) -> None:
    await applied(client, config_map(namespace, k="ours"))
    cluster.request(
        "PATCH", f"/api/v1/namespaces/{namespace}/configmaps/a?fieldManager=human",
        {"data": {"k": "theirs"}}, content_type="application/merge-patch+json",
    )  # fmt: skip
    error = await refused(client, config_map(namespace, k="ours again"))
    assert error.fault is F.FIELD_CONFLICT
    assert error.conflicts == (FieldConflict(".data.k", "human"),)
    assert (await applied(client, config_map(namespace, k="x"), force=True))["data"] == {"k": "x"}


async def test_another_version_of_an_object_is_a_conflict_also_by_force(
    client: ClusterClient, namespace: str
) -> None:
    seen = await applied(client, config_map(namespace, k="1"))
    await applied(client, config_map(namespace, k="2"))
    late = config_map(namespace, k="3")
    late["metadata"]["resourceVersion"] = seen["metadata"]["resourceVersion"]
    error = await refused(client, late, force=True)
    assert (error.fault, error.temporary) == (F.VERSION_CONFLICT, True)


async def test_a_field_that_does_not_exist_is_the_user_s_mistake_and_sent_once(
    client: ClusterClient, namespace: str
) -> None:
    item = workload("Deployment", namespace, replcias=3)
    await client.resource("apps/v1", "Deployment")
    before = client.sent
    error = await refused(client, item)
    assert (error.fault, error.temporary, client.sent - before) == (F.INVALID, False, 1)
    assert ".spec.replcias" in str(error)
    assert error.about == f"deployment.apps/w in namespace {namespace}"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param({"replicas": "three"}, "replicas", id="a wrong type"),
        pytest.param({"replicas": -1}, "spec.replicas", id="a value out of range"),
        pytest.param({"selector": {"matchLabels": {"app": "z"}}}, "labels", id="selector"),
    ],
)
async def test_a_wrong_value_is_named_by_its_field(
    change: dict[str, Any], named: str, client: ClusterClient, namespace: str
) -> None:
    error = await refused(client, workload("Deployment", namespace, **change))
    assert error.fault is F.INVALID
    assert named in str(error)


async def test_a_field_that_can_t_change_is_immutable(
    client: ClusterClient, namespace: str
) -> None:
    await applied(client, workload("Deployment", namespace))
    item = workload("Deployment", namespace)
    item["spec"]["selector"] = {"matchLabels": {"app": "b"}}
    item["spec"]["template"]["metadata"]["labels"] = {"app": "b"}
    error = await refused(client, item, dry_run=True)
    assert error.fault is F.IMMUTABLE
    assert "spec.selector" in str(error)


async def test_a_job_that_can_t_change_shows_none_of_its_environment(
    client: ClusterClient, namespace: str
) -> None:
    await applied(client, workload("Job", namespace, image="job-ok:1", env="hunter2"))
    error = await refused(client, workload("Job", namespace, image="job-ok:2", env="hunter3"))
    assert error.fault is F.IMMUTABLE
    assert "spec.template" in str(error)
    assert "hunter" not in f"{error}{error!r}{error.hint}"


async def test_a_secret_that_is_no_base64_shows_none_of_it(
    client: ClusterClient, namespace: str
) -> None:
    item = config_map(namespace, k="s3cret-s3cret!")
    error = await refused(client, {**item, "kind": "Secret"})
    assert error.fault is F.INVALID
    assert "s3cret" not in f"{error}{error!r}{error.hint}"


async def test_an_object_that_is_too_large_is_refused_once(
    client: ClusterClient, namespace: str
) -> None:
    await client.resource("v1", "ConfigMap")
    before = client.sent
    errors = [
        await refused(client, config_map(namespace, k="x" * size)) for size in (1 << 21, 1 << 22)
    ]
    assert [error.fault for error in errors] == [F.INVALID, F.INVALID]
    assert client.sent - before == 2


async def test_a_namespace_that_is_not_there_is_missing(client: ClusterClient) -> None:
    error = await refused(client, config_map("no-such-namespace"))
    assert error.fault is F.NAMESPACE_MISSING
    resource = await client.resource("v1", "Namespace")
    assert await client.get(resource, "", "no-such-namespace") is None


async def test_a_namespace_that_is_being_deleted_says_so(
    cluster: RealCluster, client: ClusterClient, namespace: str
) -> None:
    kept = config_map(namespace, "kept")
    kept["metadata"]["finalizers"] = ["registry-watcher.example/test"]
    await applied(client, kept)
    path = f"/api/v1/namespaces/{namespace}"
    cluster.request("DELETE", path)
    try:
        error = await refused(client, config_map(namespace, "late"))
        assert (error.fault, error.temporary) == (F.NAMESPACE_TERMINATING, True)
    finally:
        cluster.request(
            "PATCH", f"{path}/configmaps/kept", {"metadata": {"finalizers": None}},
            content_type="application/merge-patch+json",
        )  # fmt: skip


async def test_a_quota_that_is_used_up_says_so(
    cluster: RealCluster, client: ClusterClient, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "0"}}}
    cluster.created(path, quota)
    wait("the quota", lambda: "used" in cluster.get(f"{path}/q")["status"])
    error = await refused(client, config_map(namespace, "more"))
    assert (error.fault, error.temporary) == (F.QUOTA, True)
    assert "exceeded quota: q" in str(error)


async def test_a_kind_is_known_as_soon_as_its_definition_is_established(
    cluster: RealCluster, client: ClusterClient, namespace: str
) -> None:
    group = f"g{secrets.token_hex(4)}.example"
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {"type": "object", "properties": {
                        "size": {"type": "integer", "minimum": 1}}}},
                }}},
            ],
        },
    }  # fmt: skip
    widget = {
        "apiVersion": f"{group}/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": namespace},
        "spec": {"size": 1},
    }
    with pytest.raises(ClusterError, match="the cluster knows no Widget"):
        await client.resource(f"{group}/v1", "Widget")
    await applied(client, definition)
    try:
        assert (await applied(client, await _settled(client, widget)))["spec"] == {"size": 1}
        wrong = {**widget, "spec": {"size": 0}}
        assert "spec.size" in str(await refused(client, wrong))
    finally:
        cluster.request(
            "DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{group}"
        )
    await _gone(client, widget)


async def _settled(client: ClusterClient, item: Object) -> Object:
    """The item, once its kind takes a dry run."""
    async with asyncio.timeout(30):
        while True:
            try:
                await applied(client, item, dry_run=True)
            except ClusterError as error:
                assert error.fault is F.KIND_UNKNOWN, error  # noqa: PT017
                await asyncio.sleep(0.05)
            else:
                return item


async def _gone(client: ClusterClient, item: Object) -> None:
    """Until the kind is unknown again: discovery is not believed for longer than the server."""
    async with asyncio.timeout(30):
        while True:
            try:
                await applied(client, item, dry_run=True)
            except ClusterError as error:
                if error.fault is F.KIND_UNKNOWN:
                    return
            await asyncio.sleep(0.05)


async def test_a_right_that_is_missing_is_named(cluster: RealCluster, namespace: str) -> None:
    account = cluster.service_account(namespace, READ_CONFIG_MAPS)
    async with connected(cluster, kubeconfig=account) as client:
        assert client.namespace == namespace
        assert await client.allowed(
            {"verb": "patch", "resource": "configmaps", "namespace": namespace}
        )
        assert not await client.allowed(
            {"verb": "create", "resource": "configmaps", "namespace": namespace}
        )
        error = await refused(client, config_map(namespace))
    assert (error.fault, error.temporary) == (F.FORBIDDEN, False)
    assert str(error.hint).startswith("grant create on configmaps")


@pytest.mark.parametrize(
    "user",
    [
        pytest.param({"token": "wrong"}, id="a wrong token"),
        pytest.param({"username": "bob", "password": "wrong"}, id="a wrong password"),
    ],
)
async def test_a_credential_that_is_wrong_is_not_accepted(
    user: dict[str, str], cluster: RealCluster
) -> None:
    file = cluster.kubeconfig_for(user)
    async with connected(cluster, kubeconfig=file) as client:
        with pytest.raises(ClusterError) as raised:
            await client.resource("v1", "ConfigMap")
    assert raised.value.fault in (F.UNAUTHORIZED, F.ANONYMOUS)


async def test_an_expired_client_certificate_is_named(cluster: RealCluster) -> None:
    file = cluster.certificate_user("late", expired=True)
    with pytest.raises(ClusterError, match=r"the client certificate for .* expired on") as raised:
        async with connected(cluster, kubeconfig=file):
            pass
    assert raised.value.fault is F.CONFIGURATION


async def test_an_expired_server_certificate_is_named(cluster: RealCluster) -> None:
    with cluster.proxy(expired=True) as proxy:
        async with connected(cluster, kubeconfig=proxy.kubeconfig) as client:
            with pytest.raises(ClusterError, match="certificate has expired") as raised:
                await client.version()
    assert (raised.value.fault, raised.value.temporary) == (F.CONFIGURATION, False)
    assert client.sent == 1


async def test_an_exec_plug_in_s_token_is_accepted(cluster: RealCluster, tmp_path: Path) -> None:
    user = plugin(tmp_path, prints(cluster.identities.admin_token))
    user["exec"]["command"] = str(tmp_path / "plugin")
    async with connected(cluster, kubeconfig=cluster.kubeconfig_for(user)) as client:
        assert (await client.resource("v1", "Pod")).plural == "pods"


async def test_a_failing_exec_plug_in_sends_nothing(
    cluster_proxy: FaultProxy, cluster: RealCluster, tmp_path: Path
) -> None:
    user = plugin(tmp_path, "exit 1")
    user["exec"]["command"] = str(tmp_path / "plugin")
    file = cluster.kubeconfig_for(user, url=cluster_proxy.url)
    with pytest.raises(ClusterError, match="failed with exit code 1"):
        async with connected(cluster, kubeconfig=file):
            pass
    assert cluster_proxy.requests() == []


async def test_a_token_file_that_rotates_is_read_again(
    cluster: RealCluster, namespace: str, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(f"{cluster.identities.admin_token}\n")
    file = cluster.kubeconfig_for({"tokenFile": str(token)}, namespace=namespace)
    async with connected(cluster, kubeconfig=file) as client:
        await client.resource("v1", "ConfigMap")
    token.write_text("revoked")
    async with connected(cluster, kubeconfig=file) as client:
        token.write_text(f"{cluster.identities.admin_token}\n")
        assert (await client.resource("v1", "ConfigMap")).plural == "configmaps"


async def test_a_pod_s_own_account_is_used(
    cluster: RealCluster, namespace: str, tmp_path: Path
) -> None:
    import yaml

    kubeconfig = yaml.safe_load(cluster.service_account(namespace, READ_CONFIG_MAPS).read_text())
    (tmp_path / "token").write_text(kubeconfig["users"][0]["user"]["token"])
    authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(authority))
    (tmp_path / "namespace").write_text(namespace)
    host, _, port = cluster.url.removeprefix("https://").partition(":")
    client = await ClusterClient.connect(
        cluster.settings(kubeconfig=None),
        environment={"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
        service_account=tmp_path,
        home=tmp_path,
    )
    resource = await client.resource("v1", "ConfigMap")
    assert client.namespace == namespace
    assert await client.get(resource, namespace, "none") is None
    await client.close()


async def test_an_apply_whose_answer_was_lost_is_done_once(
    cluster_proxy: FaultProxy, cluster: RealCluster, namespace: str
) -> None:
    cluster_proxy.fault("PATCH", "/configmaps/", Reset(forwarded=True))
    async with connected(cluster, kubeconfig=cluster_proxy.kubeconfig) as client:
        done = await applied(client, config_map(namespace, k="1"))
    live = cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/a")
    assert live["metadata"]["resourceVersion"] == done["metadata"]["resourceVersion"]
    assert len(cluster_proxy.writes()) == 2


async def test_a_create_whose_answer_was_lost_is_not_repeated(
    cluster_proxy: FaultProxy, cluster: RealCluster, namespace: str
) -> None:
    cluster_proxy.fault("POST", "/configmaps", Reset(forwarded=True))
    async with connected(cluster, kubeconfig=cluster_proxy.kubeconfig) as client:
        resource = await client.resource("v1", "ConfigMap")
        with pytest.raises(ClusterError) as raised:
            await client.create(resource, config_map(namespace))
        assert await client.get(resource, namespace, "a") is not None
    assert raised.value.fault is F.UNAVAILABLE
    assert len(cluster_proxy.writes()) == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Answer(status=429, headers={"Retry-After": "1"}), id="429"),
        pytest.param(Answer(status=503), id="503"),
        pytest.param(Hang(), id="a hang"),
        pytest.param(Reset(), id="a reset"),
    ],
)
async def test_a_passing_fault_costs_one_more_request(
    fault: Answer | Hang | Reset, cluster_proxy: FaultProxy, cluster: RealCluster, namespace: str
) -> None:
    cluster_proxy.fault("PATCH", "/configmaps/", fault)
    started = datetime.now(UTC)
    async with connected(cluster, patience=SHORT, kubeconfig=cluster_proxy.kubeconfig) as client:
        assert (await applied(client, config_map(namespace, k="1")))["data"] == {"k": "1"}
    assert len(cluster_proxy.requests("PATCH")) == 2
    assert (datetime.now(UTC) - started).total_seconds() < 20


async def test_two_hundred_objects_are_applied_four_at_a_time(
    client: ClusterClient, namespace: str
) -> None:
    await client.resource("v1", "ConfigMap")
    before = client.sent
    names = [f"a{number}" for number in range(200)]
    await asyncio.gather(*(applied(client, config_map(namespace, name)) for name in names))
    assert client.sent - before == 200
    resource = await client.resource("v1", "ConfigMap")
    found = {each["metadata"]["name"] for each in await client.list(resource, namespace)}
    assert set(names) <= found

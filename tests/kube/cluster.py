"""A real Kubernetes API server with its controllers for tests, started once per test session.

A test takes the fixture `cluster` and works in a namespace of its own. Where the programs are
missing it is skipped, with the reason; where TESTS_REQUIRE_CLUSTER is set, as .ci/run does, that
is a failure. Each xdist worker that needs one starts its own (0.5 GB of memory).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.kube import rights
from tests.kube.behaviours import Behaviour
from tests.kube.pki import (
    ADMINISTRATORS,
    LOOPBACK,
    Identities,
    client_certificate,
    make_identities,
    write_kubeconfig,
)
from tests.kube.processes import (
    PROGRAMS,
    EndedEarly,
    Processes,
    binaries,
    connect,
    start_kubelet,
    start_servers,
)
from tests.kube.proxy import FaultProxy, running_proxy
from watcher.core.cluster import Cluster

JSON = "application/json"
TRIES = 3
WAITS = 60.0


@dataclass(frozen=True, kw_only=True)
class RealCluster:
    """A running API server. `kubeconfig` is an administrator's, with a client certificate."""

    url: str
    directory: Path
    kubeconfig: Path
    identities: Identities
    processes: Processes
    behaviours: Path
    client: httpx.Client

    @property
    def ca_file(self) -> Path:
        return self.identities.authority.certificate

    def settings(self, **changes: Any) -> Cluster:
        """The cluster as the product's config knows it: the administrator's, named `test`."""
        return replace(Cluster(name="test", kubeconfig=self.kubeconfig), **changes)

    def namespace(self) -> str:
        """A new namespace that pods can be created in."""
        name = f"test-{secrets.token_hex(5)}"
        self.created("/api/v1/namespaces", {"metadata": {"name": name}})
        path = f"/api/v1/namespaces/{name}"
        pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
        wait(
            f"the namespace {name}",
            lambda: (
                self.request("POST", f"{path}/pods?dryRun=All", pod)[0] == httpx.codes.CREATED
                and self.request("GET", f"{path}/configmaps/kube-root-ca.crt")[0] == httpx.codes.OK
            ),
        )
        return name

    def request(
        self, method: str, path: str, body: object = None, *, content_type: str = JSON
    ) -> tuple[int, Any]:
        """Status and JSON of the administrator's request; of text, the text. A body that is not
        text or bytes is sent as JSON."""
        content = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
        answer = self.client.request(
            method, path, content=content, headers={"Content-Type": content_type}
        )
        is_json = answer.headers.get("Content-Type", "").startswith(JSON)
        return answer.status_code, answer.json() if is_json else answer.text

    def created(self, path: str, body: object) -> dict[str, Any]:
        """POST what has to succeed; gives the object."""
        status, answer = self.request("POST", path, body)
        assert status == httpx.codes.CREATED, answer
        return dict(answer)

    def get(self, path: str) -> dict[str, Any]:
        """GET what has to be there."""
        status, answer = self.request("GET", path)
        assert status == httpx.codes.OK, answer
        return dict(answer)

    def kubectl(self, *arguments: str | Path, input: str | None = None) -> str:  # noqa: A002
        """What the real kubectl prints; AssertionError with its words where it fails (`diff` fails
        where there is a difference)."""
        if shutil.which("kubectl") is None:
            missing("kubectl is not installed (apt-get install kubernetes-client)")
        home = self.directory / "kubectl"
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", f"--cache-dir={home}", *arguments],
            input=input,
            capture_output=True,
            text=True,
            timeout=WAITS,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def service_account(
        self,
        namespace: str,
        rules: Sequence[Mapping[str, Any]] | Path = (),
        *,
        cluster_rules: Sequence[Mapping[str, Any]] = (),
    ) -> Path:
        """A kubeconfig of a new service account with exactly these rights, by a token of an hour.

        `rules` hold in the namespace, `cluster_rules` everywhere. A path is a manifest: the rules
        of its Roles, and of the ClusterRoles that it binds in the whole cluster.
        """
        if isinstance(rules, Path):
            documents = list(yaml.safe_load_all(rules.read_text()))
            rules, cluster_rules = rights.rules_of(documents)
        name = f"test-{secrets.token_hex(5)}"
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.created(accounts, {"metadata": {"name": name}})
        grants = rights.grants(namespace, name, rules, cluster_rules)
        for path, grant in grants:
            self.created(path, grant)
        for question in rights.questions(namespace, name, rules, cluster_rules):
            wait("the granted rights", partial(self._allowed, question))
        asked = {"spec": {"expirationSeconds": 3600}}
        token = self.created(f"{accounts}/{name}/token", asked)["status"]["token"]
        return self.kubeconfig_for({"token": token}, namespace=namespace)

    def certificate_user(
        self, name: str, *, groups: Sequence[str] = (ADMINISTRATORS,), expired: bool = False
    ) -> Path:
        """A kubeconfig of a user with a client certificate, if need be one that has expired."""
        authority = self.identities.authority
        pem = authority.issue_client(name, organizations=tuple(groups), expired=expired)
        return self.kubeconfig_for(client_certificate(pem))

    def kubeconfig_for(
        self, user: Mapping[str, Any], *, url: str | None = None, namespace: str = "default"
    ) -> Path:
        """A new kubeconfig with the user as given; `url` where it is not this server's own."""
        return write_kubeconfig(
            self.directory / f"{secrets.token_hex(5)}.kubeconfig",
            url=url or self.url,
            ca_file=self.ca_file,
            user=user,
            namespace=namespace,
        )

    def behave(self, text: str, behaviour: Behaviour) -> None:
        """How containers fare whose image contains `text`, such as a digest; for pods seen from
        now on."""
        told = json.loads(self.behaviours.read_text()) | {text: behaviour}
        new = self.behaviours.with_suffix(".new")
        new.write_text(json.dumps(told))
        new.replace(self.behaviours)

    @contextmanager
    def pause_kubelet(self) -> Iterator[None]:
        """Within the block no pod starts, ends or changes."""
        kubelet = self.processes.running["kubelet"]
        kubelet.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            kubelet.send_signal(signal.SIGCONT)

    @contextmanager
    def proxy(self, *, expired: bool = False) -> Iterator[FaultProxy]:
        """A proxy to this cluster (tests/kube/proxy.py), if need be with an expired certificate."""
        pem = self.identities.server
        if expired:
            pem = self.identities.authority.issue(LOOPBACK, expired=True)
        trust = ssl.create_default_context(cafile=self.ca_file)
        with running_proxy(upstream=self.url, trust=trust, pem=pem) as proxy:
            admin = {"token": self.identities.admin_token}
            proxy.kubeconfig = self.kubeconfig_for(admin, url=proxy.url)
            yield proxy

    def _allowed(self, question: Mapping[str, Any]) -> bool:
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(self.created(path, {"spec": question})["status"]["allowed"])


def wait(what: str, done: Callable[[], bool], *, within: float = WAITS) -> None:
    """Until `done` is true; AssertionError that says what was waited for after `within` seconds."""
    deadline = time.monotonic() + within
    while not done():
        assert time.monotonic() < deadline, f"waited {within:.0f} s for {what}"
        time.sleep(0.02)


def missing(reason: str) -> None:
    """Skip the test, or fail it where TESTS_REQUIRE_CLUSTER is set."""
    if os.environ.get("TESTS_REQUIRE_CLUSTER"):
        pytest.fail(reason)
    pytest.skip(reason)


def need_cluster() -> None:
    """Skip or fail where the API server's programs are not there."""
    place = binaries()
    lacking = [name for name in PROGRAMS if shutil.which(place / name) is None]
    if lacking:
        missing(f"{', '.join(lacking)} not found in {place} (.ci/build-apiserver puts them there)")


@contextmanager
def running_cluster(directory: Path) -> Iterator[RealCluster]:
    """Run a cluster with its files in `directory`, until the block ends."""
    identities = make_identities(directory)
    with tempfile.TemporaryDirectory(dir=directory, prefix="etcd-") as data:
        processes, url = _started(directory, identities, Path(data))
        try:
            with connect(url, identities) as client:
                cluster = _ready(directory, url, identities, processes, client)
                yield cluster
        finally:
            processes.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """The one cluster of this test session."""
    need_cluster()
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def cluster_proxy(cluster: RealCluster) -> Iterator[FaultProxy]:
    """A proxy in front of the cluster, for one test."""
    with cluster.proxy() as proxy:
        yield proxy


def _started(directory: Path, identities: Identities, data: Path) -> tuple[Processes, str]:
    """Again with other ports where a process ends early: another program may have taken one."""
    ended: list[str] = []
    for number in range(TRIES):
        processes = Processes(directory=directory)
        try:
            return processes, start_servers(processes, identities, data / str(number))
        except EndedEarly as early:
            processes.stop()
            ended.append(str(early))
        except BaseException:
            processes.stop()
            raise
    raise AssertionError("\n".join(ended))


def _ready(
    directory: Path, url: str, identities: Identities, processes: Processes, client: httpx.Client
) -> RealCluster:
    cluster = RealCluster(
        url=url,
        directory=directory,
        kubeconfig=write_kubeconfig(
            directory / "admin.kubeconfig",
            url=url,
            ca_file=identities.authority.certificate,
            user=client_certificate(
                identities.authority.issue_client("admin", organizations=(ADMINISTRATORS,))
            ),
        ),
        identities=identities,
        processes=processes,
        behaviours=start_kubelet(processes, url, identities),
        client=client,
    )
    nodes = "/api/v1/nodes?limit=1"
    processes.wait("the node", lambda: _has_ready_node(cluster.get(nodes)["items"]))
    cluster.namespace()
    return cluster


def _has_ready_node(nodes: Sequence[Mapping[str, Any]]) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for node in nodes
        for condition in node.get("status", {}).get("conditions", [])
    )

"""The processes of a test cluster: etcd, kube-apiserver, kube-controller-manager and the kubelet
stand-in, on free loopback ports. They are stopped by their handles, and die with this process.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.kube.pki import LOOPBACK, Identities, write_kubeconfig

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
STARTS_WITHIN = 90.0
_ISSUER = "https://kubernetes.default.svc"
_NODE_CONTROLLERS = ("node-lifecycle", "node-ipam", "service-lb", "node-route")
_OLD_NODE_CONTROLLERS = ("nodelifecycle", "nodeipam", "service", "route")


class EndedEarly(Exception):
    """A process of the cluster ended while the cluster started."""


def binaries() -> Path:
    """Where envtest looks: $KUBEBUILDER_ASSETS, else its usual place."""
    return Path(os.environ.get("KUBEBUILDER_ASSETS") or "/usr/local/kubebuilder/bin")


@dataclass(kw_only=True)
class Processes:
    """What runs, and where its log is."""

    directory: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str | Path]) -> None:
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with self.log(name).open("wb") as log:
            self.running[name] = subprocess.Popen(
                [*guard, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).parents[2],
            )

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Until `done`; EndedEarly where a process ends meanwhile."""
        deadline = time.monotonic() + STARTS_WITHIN
        while not done():
            for name, process in self.running.items():
                if process.poll() is not None:
                    raise EndedEarly(f"{name} ended: {self.log(name).read_text()[-2000:]}")
            assert time.monotonic() < deadline, f"waited {STARTS_WITHIN:.0f} s for {what}"
            time.sleep(0.05)

    def stop(self) -> None:
        """What they hold is thrown away, so nobody is asked to end in good order."""
        for process in self.running.values():
            process.kill()
        for process in self.running.values():
            process.wait()


def start_servers(processes: Processes, identities: Identities, data: Path) -> str:
    """Start etcd, the API server and the controllers; gives the API server's URL."""
    etcd, peer, api, controllers = free_ports(4)
    url, health = f"https://{LOOPBACK}:{api}", f"https://{LOOPBACK}:{controllers}"
    processes.start("etcd", _etcd(etcd, peer, data))
    processes.start("kube-apiserver", _api_server(api, etcd, identities, processes.directory))
    command = _controllers(controllers, url, identities, processes.directory)
    with connect(url, identities) as client:
        processes.wait("the API server", lambda: _answers(client, f"{url}/readyz"))
        processes.start("kube-controller-manager", command)
        processes.wait("the controllers", lambda: _answers(client, f"{health}/healthz"))
    return url


def start_kubelet(processes: Processes, url: str, identities: Identities) -> Path:
    """Start the stand-in of tests/kube/kubelet.py; gives the file that it reads behaviours from."""
    behaviours = processes.directory / "behaviours.json"
    behaviours.write_text("{}")
    token = processes.directory / "admin.token"
    token.write_text(identities.admin_token)
    files = [identities.authority.certificate, identities.server, token, behaviours]
    processes.start("kubelet", [sys.executable, "-m", "tests.kube.kubelet", url, *files])
    return behaviours


def connect(url: str, identities: Identities) -> httpx.Client:
    """An administrator's client that has nothing in common with the code under test."""
    return httpx.Client(
        base_url=url,
        verify=ssl.create_default_context(cafile=identities.authority.certificate),
        headers={"Authorization": f"Bearer {identities.admin_token}"},
        timeout=30.0,
        trust_env=False,
    )


def free_ports(count: int) -> list[int]:
    """Loopback ports, all different, that nobody listens on now."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind((LOOPBACK, 0))
        return [listener.getsockname()[1] for listener in listeners]


def _answers(client: httpx.Client, url: str) -> bool:
    """Not where another program has the port: its certificate is none of ours."""
    try:
        return client.get(url, timeout=2.0).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _etcd(port: int, peer: int, data: Path) -> list[str | Path]:
    url, peers = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{peer}"
    return [
        binaries() / "etcd",
        "--name=test",
        f"--data-dir={data}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=test={peers}",
    ]


def _api_server(port: int, etcd: int, identities: Identities, directory: Path) -> list[str | Path]:
    return [
        binaries() / "kube-apiserver",
        f"--etcd-servers=http://{LOOPBACK}:{etcd}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={port}",
        "--endpoint-reconciler-type=none",  # the others refuse a loopback address
        f"--cert-dir={directory}",
        f"--tls-cert-file={identities.server}",
        f"--tls-private-key-file={identities.server}",
        f"--client-ca-file={identities.authority.certificate}",
        f"--token-auth-file={identities.tokens}",
        "--authorization-mode=RBAC",
        f"--service-account-issuer={_ISSUER}",
        f"--api-audiences={_ISSUER}",
        f"--service-account-key-file={identities.signing_key}",
        f"--service-account-signing-key-file={identities.signing_key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
    ]


def _controllers(port: int, url: str, identities: Identities, directory: Path) -> list[str | Path]:
    program = binaries() / "kube-controller-manager"
    kubeconfig = write_kubeconfig(
        directory / "controllers.kubeconfig",
        url=url,
        ca_file=identities.authority.certificate,
        user={"token": identities.controllers_token},
    )
    return [
        program,
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",  # else aggregated roles stay empty
        f"--service-account-private-key-file={identities.signing_key}",
        f"--root-ca-file={identities.authority.certificate}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={identities.server}",
        f"--tls-private-key-file={identities.server}",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        *_without_node_controllers(program),
    ]


def _without_node_controllers(program: Path) -> list[str]:
    """There is no node to look after. The controllers got new names in Kubernetes 1.27."""
    told = subprocess.run(
        [program, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    if f"{_NODE_CONTROLLERS[0]}-controller" in told.stdout:
        names = tuple(f"{name}-controller" for name in _NODE_CONTROLLERS)
        return [f"--controllers={','.join(['*', *(f'-{name}' for name in names)])}"]
    unwanted = ",".join(f"-{name}" for name in _OLD_NODE_CONTROLLERS)
    insecure = ["--port=0"] if "--port int" in told.stdout else []
    return [f"--controllers=*,{unwanted}", *insecure]

"""`apply` of one bundle of 200 objects, beside `kubectl apply --server-side`, and beside
`kubectl diff` with such an apply after it: the same work, since `apply` dry-runs everything first.

Against the API server of the tests, in turns, start-up included; each in namespaces of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import Command, Goal, environment, spread, table
from benchmarks.scene import WATCHER, Setting
from tests.kube.cluster import RealCluster, running_cluster
from tests.kube.processes import PROGRAMS, binaries
from tests.kube.proxy import FaultProxy

ROUNDS = 3
_QUICK_DIVISOR = 20
MAPS, SERVICES, DEPLOYMENTS = 120, 40, 40
OBJECTS = MAPS + SERVICES + DEPLOYMENTS
OURS, APPLY, BOTH = "watcher: apply", "kubectl apply", "kubectl diff, apply"
FIRST, AGAIN = "first", "unchanged"
_DIFFERS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of processes that ended: seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where commands are to work: by which kubeconfig, in which namespace."""

    directory: Path
    kubeconfig: Path
    namespace: str
    manifest: Path


Way = Callable[[Place], list[Command]]


def run(setting: Setting) -> list[Goal]:
    """Print the table; there are no goals."""
    lacking = _lacking()
    if lacking:
        print(f"skipped: {', '.join(lacking)} not found (see CONTRIBUTING.md)")
        return []
    with TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "cluster").mkdir()
        manifest = directory / "bundle.json"
        manifest.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "List",
                    "items": bundle(_QUICK_DIVISOR if setting.quick else 1),
                }
            )
        )
        with running_cluster(directory / "cluster") as cluster, cluster.proxy() as proxy:
            _compare(cluster, proxy, manifest, 1 if setting.quick else ROUNDS)
    return []


def bundle(divisor: int = 1) -> list[dict[str, Any]]:
    """What is applied, or a part of it; nothing of it starts a pod."""
    maps = [
        _object("v1", "ConfigMap", number, data={"number": str(number), "text": "x" * 200})
        for number in range(MAPS // divisor)
    ]
    ports = [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]
    services = [
        _object("v1", "Service", number, spec={"selector": _labels(number), "ports": ports})
        for number in range(SERVICES // divisor)
    ]
    return [*maps, *services, *(_deployment(number) for number in range(DEPLOYMENTS // divisor))]


def _object(version: str, kind: str, number: int, **content: Any) -> dict[str, Any]:
    metadata = {"name": f"item-{number:03}", "labels": _labels(number)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _deployment(number: int) -> dict[str, Any]:
    container = {"name": "web", "image": "acme/web:1.0", "ports": [{"containerPort": 8080}]}
    template = {"metadata": {"labels": _labels(number)}, "spec": {"containers": [container]}}
    selector = {"matchLabels": _labels(number)}
    spec = {"replicas": 0, "selector": selector, "template": template}
    return _object("apps/v1", "Deployment", number, spec=spec)


def _labels(number: int) -> dict[str, str]:
    return {"app": f"item-{number:03}"}


def _compare(cluster: RealCluster, proxy: FaultProxy, manifest: Path, rounds: int) -> None:
    costs: dict[tuple[str, str], list[Cost]] = {}
    ways = _ways(manifest.parent / "kubectl-cache")
    counted = {name: _requests(cluster, proxy, manifest, way) for name, way in ways.items()}
    for _ in range(rounds):
        for name, way in ways.items():
            commands = way(_place(cluster, cluster.kubeconfig, manifest))
            for moment in (FIRST, AGAIN):
                costs.setdefault((name, moment), []).append(_cost(commands))
    print(
        f"\n{OBJECTS} objects ({MAPS} ConfigMaps, {SERVICES} Services, {DEPLOYMENTS} Deployments)"
    )
    print(f"{_server_version()}; {_kubectl_version()}; median of {rounds}, and extremes")
    for moment in (FIRST, AGAIN):
        print(f"\n{moment} apply")
        print(table(_rows(costs, counted, moment)))


def _rows(
    costs: Mapping[tuple[str, str], Sequence[Cost]],
    counted: Mapping[str, Mapping[str, int]],
    moment: str,
) -> list[tuple[str, ...]]:
    """The ratios say how many times as much as ours each one took."""
    rows: list[tuple[str, ...]] = [("", "wall s", "CPU s", "requests", "wall ratio", "CPU ratio")]
    ours = costs[OURS, moment]
    for name in counted:
        theirs = costs[name, moment]
        wall, cpu = [one.wall for one in theirs], [one.cpu for one in theirs]
        wall_ratio = statistics.median(wall) / statistics.median(one.wall for one in ours)
        cpu_ratio = statistics.median(cpu) / statistics.median(one.cpu for one in ours)
        ratios = f"{wall_ratio:.2f}", f"{cpu_ratio:.2f}"
        rows.append((name, spread(wall), spread(cpu), str(counted[name][moment]), *ratios))
    return rows


def _ways(cache: Path) -> dict[str, Way]:
    """kubectl keeps what the server offers in a cache, which is filled before it is measured."""

    def kubectl(place: Place, *words: str) -> Command:
        flags = [f"--kubeconfig={place.kubeconfig}", f"--cache-dir={cache}"]
        where = [f"--namespace={place.namespace}", f"--filename={place.manifest}"]
        return ["kubectl", *flags, *words, "--server-side", *where]

    return {
        OURS: lambda place: [_watcher(place)],
        APPLY: lambda place: [kubectl(place, "apply")],
        BOTH: lambda place: [kubectl(place, "diff"), kubectl(place, "apply")],
    }


def _watcher(place: Place) -> Command:
    """One process: config, state file, engine and stage, for one run of a pipeline."""
    apply = {"manifests": [str(place.manifest)], "namespace": place.namespace, "wait": False}
    stage = {"apply": {**apply, "bind": "off"}}
    account = {"name": "bench", "address": "127.0.0.1:1", "repositories": ["acme/web"]}
    trigger = {"name": "web", "account": "bench", "repository": "acme/web", "pipeline": "deploy"}
    config = {
        "state": str(place.directory / "state.db"),
        "clusters": [{"name": "bench", "kubeconfig": str(place.kubeconfig)}],
        "accounts": [account],
        "triggers": [trigger],
        "pipelines": [{"name": "deploy", "stages": [stage]}],
    }
    path = place.directory / "config.json"
    path.write_text(json.dumps(config))
    words = ["trigger", "web", "--tag", "1.0", "--force", "--wait"]
    return [WATCHER, "-c", str(path), "--log-level", "error", *words]


def _place(cluster: RealCluster, kubeconfig: Path, manifest: Path) -> Place:
    namespace = cluster.namespace()
    directory = manifest.parent / namespace
    directory.mkdir()
    return Place(directory=directory, kubeconfig=kubeconfig, namespace=namespace, manifest=manifest)


def _requests(cluster: RealCluster, proxy: FaultProxy, manifest: Path, way: Way) -> dict[str, int]:
    """Counted beside the measured runs, by a proxy that would slow these down."""
    commands = way(_place(cluster, proxy.kubeconfig, manifest))
    for command in commands:
        _ended(command)  # fills kubectl's cache for this address
    commands = way(_place(cluster, proxy.kubeconfig, manifest))
    counts = {}
    for moment in (FIRST, AGAIN):
        proxy.clear()
        _cost(commands)
        counts[moment] = len(proxy.requests())
    for command in way(_place(cluster, cluster.kubeconfig, manifest)):
        _ended(command)  # and for the other
    return counts


def _cost(commands: Sequence[Command]) -> Cost:
    began = time.monotonic()
    cpu = sum(_ended(command) for command in commands)
    return Cost(wall=time.monotonic() - began, cpu=cpu)


def _ended(command: Command) -> float:
    """Run a program to its end; its CPU seconds, with those of the programs that it ran. `diff`
    ends with 1 where there is a difference. Raises RuntimeError where it fails."""
    quiet = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    process = os.posix_spawnp(command[0], list(command), environment(), file_actions=quiet)
    _, status, usage = os.wait4(process, 0)
    code = os.waitstatus_to_exitcode(status)
    if code != 0 and not (code == _DIFFERS and "diff" in command):
        raise RuntimeError(f"{' '.join(command)} ended with {code}")
    return usage.ru_utime + usage.ru_stime


def _lacking() -> list[str]:
    place = binaries()
    programs = [str(place / name) for name in PROGRAMS]
    return [name for name in [*programs, "kubectl", "diff"] if shutil.which(name) is None]


def _server_version() -> str:
    command = [str(binaries() / "kube-apiserver"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return f"kube-apiserver: {said.strip()}"


def _kubectl_version() -> str:
    command = ["kubectl", "version", "--client", "--output=json"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return f"kubectl: {json.loads(said)['clientVersion']['gitVersion']}"

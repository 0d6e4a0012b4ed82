"""The manifests in deploy/ as kubectl's kustomize renders them, and what tests ask of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.kube.cluster import missing

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "registry-watcher"
MONITORING = "monitoring.coreos.com/v1"  # kinds that the Prometheus operator brings
Object = Mapping[str, Any]


@cache
def text_of(directory: str) -> str:
    """What `kubectl apply -k deploy/DIRECTORY` would send."""
    if shutil.which("kubectl") is None:
        missing("kubectl is not installed (apt-get install kubernetes-client)")
    done = subprocess.run(
        ["kubectl", "kustomize", DEPLOY / directory], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "it warns of something deprecated"
    return done.stdout


def rendered(directory: str) -> Sequence[Object]:
    return list(yaml.safe_load_all(text_of(directory)))


def only(directory: str, kind: str) -> Object:
    """The one object of this kind."""
    (found,) = (each for each in rendered(directory) if each["kind"] == kind)
    return found


def pod(directory: str) -> Mapping[str, Any]:
    """The spec of the pods that it makes."""
    return dict(only(directory, "Deployment")["spec"]["template"]["spec"])


def watcher(directory: str) -> Mapping[str, Any]:
    """The watcher's container."""
    (found,) = (each for each in pod(directory)["containers"] if each["name"] == "watcher")
    return dict(found)


def mounts(directory: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where the watcher's container has which volume."""
    volumes = {each["name"]: each for each in pod(directory)["volumes"]}
    for mount in watcher(directory)["volumeMounts"]:
        yield mount["mountPath"], volumes[mount["name"]]


def write_config(directory: str, place: Path) -> Path:
    """The ConfigMap's files as a pod sees them; the config's path."""
    for name, content in only(directory, "ConfigMap")["data"].items():
        (place / name).write_text(content)
    return place / "config.yaml"

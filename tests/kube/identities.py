"""Kubeconfigs, exec plug-ins and accounts of pods, as tests need them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kube.clients import CONFIG_MAP, config_map, connected
from tests.kube.faulty_api import FaultyApi, Reply, Table, refused
from tests.registry.certificates import Authority
from watcher.errors import ClusterError, ClusterFault

LOOPBACK = "127.0.0.1"
GOOD: Table = {f"GET {CONFIG_MAP}": Reply(body=config_map())}
V1 = "client.authentication.k8s.io/v1"
UNAUTHORIZED = refused(401, "Unauthorized", "Unauthorized")


def after_401(*replies: Reply) -> Table:
    return {f"GET {CONFIG_MAP}": [UNAUTHORIZED, *replies]}


def plugin(directory: Path, script: str, **more: Any) -> dict[str, Any]:
    """A user whose plug-in is that shell script; each run adds a line to `runs`."""
    program = directory / "plugin"
    program.write_text(f'#!/bin/sh\necho run >>"{directory}/runs"\n{script}\n')
    program.chmod(0o700)
    return {"exec": {"apiVersion": V1, "command": "./plugin", "interactiveMode": "Never", **more}}


def prints(token: str, *, expires: str | None = None, api_version: str = V1) -> str:
    status = {"token": token, **({"expirationTimestamp": expires} if expires else {})}
    credential = {"apiVersion": api_version, "kind": "ExecCredential", "status": status}
    return f"cat <<'END'\n{json.dumps(credential)}\nEND"


def numbered(directory: Path, *, expires: str | None = None) -> str:
    """A script whose token tells which run it is of: t1, t2..."""
    return prints("tNUMBER", expires=expires).replace(
        "cat <<", f'sed "s/NUMBER/$(grep -c run {directory}/runs)/" <<'
    )


def runs(directory: Path) -> int:
    file = directory / "runs"
    return len(file.read_text().splitlines()) if file.exists() else 0


async def refusal(kubeconfig: Path | None, **options: Any) -> ClusterError:
    """The error that connecting ends with, before anything is sent."""
    with pytest.raises(ClusterError) as raised:
        async with connected(kubeconfig, **options):
            pass
    assert raised.value.fault is ClusterFault.CONFIGURATION
    return raised.value


def write(path: Path, **content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    return path


def contexts(path: Path, *names: str, url: str = "https://c.example", **more: Any) -> Path:
    """A kubeconfig with a context, a cluster and a user of each name; tokens are named alike."""
    return write(
        path,
        clusters=[{"name": n, "cluster": {"server": url}} for n in names],
        users=[{"name": n, "user": {"token": f"token-{n}"}} for n in names],
        contexts=[
            {"name": n, "context": {"cluster": n, "user": n, "namespace": f"ns-{n}"}} for n in names
        ],
        **more,
    )


def pod_account(directory: Path, authority: Authority, token: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "token").write_text(token)
    (directory / "ca.crt").write_bytes(authority.certificate.read_bytes())
    (directory / "namespace").write_text("team-a\n")
    return directory


def pod_environment(api: FaultyApi) -> dict[str, str]:
    host, _, port = api.url.rpartition("://")[2].partition(":")
    return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}

"""What deploy/ says holds together: with the image, with its own config, and with the strictest of
the Pod Security Standards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import (
    DEPLOY,
    MONITORING,
    NAME,
    mounts,
    only,
    pod,
    rendered,
    watcher,
    write_config,
)
from watcher import __version__
from watcher.cli.app import COMMANDS
from watcher.config.load import Config, load
from watcher.stages import OPTIONS, UNDOABLE

DOCKERFILE = (DEPLOY.parent / "Dockerfile").read_text()
WITH_PODS = ["base", "sidecar"]
DRAIN_SECONDS = 20
MOST_MIB = 90  # 10 000 repositories, docs/performance.md: 0.76 of 118
SECRETS = "/run/secrets/registry-watcher"


def config_of(directory: str, place: Path) -> Config:
    path = write_config(directory, place)
    return load(path, stages=OPTIONS, undoable=UNDOABLE, environment={"HOME": str(place)})


# Pod Security Standards, profile "restricted": every control that a Deployment can break.


def containers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(key, ())


def context_of(spec: Mapping[str, Any], container: Mapping[str, Any], key: str) -> Any:
    """A container's own setting, else that of its pod."""
    own = container.get("securityContext", {})
    return own.get(key, spec.get("securityContext", {}).get(key))


def each_container(
    holds: Callable[[Mapping[str, Any], Mapping[str, Any]], bool],
) -> Callable[[Mapping[str, Any]], bool]:
    return lambda spec: all(holds(spec, container) for container in containers(spec))


ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
RESTRICTED: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "no namespaces of the host": lambda spec: (
        not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    ),
    "no ports of the host": each_container(
        lambda _, one: not any(port.get("hostPort") for port in one.get("ports", ()))
    ),
    "not privileged": each_container(lambda spec, one: not context_of(spec, one, "privileged")),
    "volumes of allowed kinds only": lambda spec: all(
        set(volume) - {"name"} <= ALLOWED_VOLUMES for volume in spec.get("volumes", ())
    ),
    "no gain of privileges": each_container(
        lambda spec, one: context_of(spec, one, "allowPrivilegeEscalation") is False
    ),
    "never root": each_container(lambda spec, one: context_of(spec, one, "runAsNonRoot") is True),
    "a user that is not root": each_container(
        lambda spec, one: context_of(spec, one, "runAsUser") > 0
    ),
    "the runtime's seccomp profile": each_container(
        lambda spec, one: context_of(spec, one, "seccompProfile") == {"type": "RuntimeDefault"}
    ),
    "no capabilities": each_container(
        lambda spec, one: context_of(spec, one, "capabilities") == {"drop": ["ALL"]}
    ),
    "default proc, no sysctls": lambda spec: not spec.get("securityContext", {}).get("sysctls"),
}


@pytest.mark.parametrize("control", RESTRICTED)
@pytest.mark.parametrize("directory", WITH_PODS)
def test_pods_keep_to_the_restricted_pod_security_standard(directory: str, control: str) -> None:
    assert RESTRICTED[control](pod(directory))


def test_its_namespace_demands_that_standard() -> None:
    labels = only("base", "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


# The pod and the image


@pytest.mark.parametrize("directory", WITH_PODS)
def test_there_is_one_watcher_at_a_time(directory: str) -> None:
    spec = only(directory, "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("directory", WITH_PODS)
def test_the_root_file_system_is_read_only_and_the_state_is_kept(directory: str) -> None:
    places = dict(mounts(directory))
    assert watcher(directory)["securityContext"]["readOnlyRootFilesystem"] is True
    assert "STATE_DIRECTORY=/var/lib/registry-watcher" in DOCKERFILE
    assert "persistentVolumeClaim" in places["/var/lib/registry-watcher"]
    assert "configMap" in places["/etc/registry-watcher"]
    assert pod(directory)["securityContext"]["fsGroup"] == 65532


@pytest.mark.parametrize("directory", WITH_PODS)
def test_the_config_is_reloaded_in_place(directory: str) -> None:
    """Mounts of single files are never refreshed; a name with a hash would restart the pod."""
    assert only(directory, "ConfigMap")["metadata"]["name"] == NAME
    assert not any("subPath" in mount for mount in watcher(directory)["volumeMounts"])


@pytest.mark.parametrize("directory", WITH_PODS)
def test_stages_may_drain_before_the_pod_is_killed(directory: str) -> None:
    assert pod(directory)["terminationGracePeriodSeconds"] >= DRAIN_SECONDS + 5


@pytest.mark.parametrize("directory", WITH_PODS)
def test_the_watcher_has_room_for_what_was_measured(directory: str) -> None:
    resources = watcher(directory)["resources"]
    room = {key: int(resources[key]["memory"].removesuffix("Mi")) for key in resources}
    assert room["limits"] >= 2 * MOST_MIB
    assert room["requests"] >= MOST_MIB
    assert "cpu" not in resources["limits"]


@pytest.mark.parametrize("directory", WITH_PODS)
def test_the_image_is_of_this_version(directory: str) -> None:
    assert watcher(directory)["image"] == f"registry.example/registry-watcher:{__version__}"


def test_probes_by_command_call_a_command_that_there_is() -> None:
    for probe in ("startupProbe", "livenessProbe"):
        program, command, _ = watcher("sidecar")[probe]["exec"]["command"]
        assert (program, command) == ("watcher", "health")
        assert command in COMMANDS


def test_probes_by_http_ask_for_a_restart_only_where_one_helps() -> None:
    paths = {
        probe: watcher("base")[probe]["httpGet"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": {"path": "/livez", "port": "http"},
        "livenessProbe": {"path": "/livez", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
    }


# The config in the ConfigMap


@pytest.mark.parametrize("directory", WITH_PODS)
def test_the_config_is_a_config(directory: str, tmp_path: Path) -> None:
    assert config_of(directory, tmp_path).pipelines


def test_what_the_pipeline_applies_lies_beside_the_config(tmp_path: Path) -> None:
    (stage,) = config_of("base", tmp_path).pipelines[0].stages
    assert [(tmp_path / name).exists() for name in stage.options["manifests"]] == [True]


def test_the_port_is_the_same_from_the_config_to_prometheus(tmp_path: Path) -> None:
    http = config_of("base", tmp_path).http
    assert http is not None
    (port,) = watcher("base")["ports"]
    (offered,) = only("base", "Service")["spec"]["ports"]
    (let_in,) = only("base", "NetworkPolicy")["spec"]["ingress"]
    (scraped,) = only("monitored", "ServiceMonitor")["spec"]["endpoints"]
    assert (http.host, http.port) == ("0.0.0.0", port["containerPort"])
    assert offered["port"] == port["containerPort"]
    assert port["name"] == offered["targetPort"] == let_in["ports"][0]["port"]
    assert scraped == {"port": offered["name"], "path": "/metrics", "interval": "30s"}


def test_every_secret_file_of_the_config_is_a_key_of_the_secret(tmp_path: Path) -> None:
    write_config("base", tmp_path)
    named = set(re.findall(rf"{SECRETS}/(\S+)", (tmp_path / "config.yaml").read_text()))
    example = yaml.safe_load((DEPLOY / "base" / "secret.example.yaml").read_text())
    volume = dict(mounts("base"))[SECRETS]
    assert volume["secret"]["secretName"] == example["metadata"]["name"]
    assert named == set(example["stringData"])


def test_no_secret_is_part_of_what_is_applied() -> None:
    for directory in ("base", "web", "monitored", "sidecar"):
        assert "Secret" not in {each["kind"] for each in rendered(directory)}


def test_a_sidecar_listens_where_nobody_else_can_reach_it(tmp_path: Path) -> None:
    http = config_of("sidecar", tmp_path).http
    assert http is not None
    assert http.is_loopback
    assert "httpGet" not in str(watcher("sidecar"))


def test_a_config_map_that_the_kubelet_swaps_is_noticed(tmp_path: Path) -> None:
    """The kubelet writes a new directory and turns one link to it."""
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
        write_config("base", tmp_path / f"..{number}")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")
    config = load(
        tmp_path / "config.yaml",
        stages=OPTIONS,
        undoable=UNDOABLE,
        environment={"HOME": str(tmp_path)},
    )
    assert config.signature() == config.loaded
    (tmp_path / "..new").symlink_to("..2")
    os.replace(tmp_path / "..new", tmp_path / "..data")
    assert config.signature() != config.loaded


# Selectors


@pytest.mark.parametrize(
    ("directory", "kind", "path"),
    [
        ("base", "Deployment", ("selector", "matchLabels")),
        ("base", "Service", ("selector",)),
        ("base", "NetworkPolicy", ("podSelector", "matchLabels")),
    ],
)
def test_selectors_take_the_watchers_pod(directory: str, kind: str, path: tuple[str, ...]) -> None:
    selector = only(directory, kind)["spec"]
    for key in path:
        selector = selector[key]
    labels = only(directory, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()


def test_prometheus_finds_the_service() -> None:
    monitor = only("monitored", "ServiceMonitor")
    service = only("monitored", "Service")
    assert monitor["apiVersion"] == MONITORING
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()


def test_the_alerts_are_part_of_what_is_monitored() -> None:
    rules = only("monitored", "PrometheusRule")
    alerts = yaml.safe_load((DEPLOY / "monitoring" / "prometheus-rules.yaml").read_text())
    assert rules["spec"] == alerts["spec"]
    assert rules["metadata"]["namespace"] == only("monitored", "Service")["metadata"]["namespace"]


def test_the_account_of_the_pod_is_the_one_that_gets_the_rights() -> None:
    account = only("base", "ServiceAccount")
    assert pod("base")["serviceAccountName"] == account["metadata"]["name"]
    assert account["automountServiceAccountToken"] is False
    (subject,) = only("web", "RoleBinding")["subjects"]
    assert subject == {
        "kind": "ServiceAccount",
        "name": account["metadata"]["name"],
        "namespace": account["metadata"]["namespace"],
    }


@pytest.mark.parametrize("directory", ["base", "web", "monitored"])
def test_no_right_is_granted_in_the_whole_cluster(directory: str) -> None:
    kinds = {each["kind"] for each in rendered(directory)}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}

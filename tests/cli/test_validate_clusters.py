"""validate --online in clusters: deploy/rbac.yaml is what the stages need, and what is missing of
it is named with the rule to add.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import REPOSITORY, Bench
from tests.kube.cluster import RealCluster
from tests.kube.rights import rules_of
from tests.stages.deploying import config_map, secret, workload
from watcher.testing.registry import FakeRegistry

RBAC = Path(__file__).parents[2] / "deploy" / "rbac.yaml"
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"ports": [{"port": 80, "protocol": "TCP"}]},
}
MANIFESTS = [
    config_map(a="1"),
    secret(a="1"),
    SERVICE,
    workload(),
    workload("StatefulSet"),
    workload("DaemonSet"),
]
EVERY_STAGE: list[Mapping[str, Any]] = [
    {"apply": {"manifests": ["web.yaml"], "prune": True}, "on_failure": "rollback"},
    {"set_image": {"workload": "deployment/web", "container": "web"}},
    {"restart": {"workload": "deployment/web"}},
    {"rollback": {"workload": "statefulset/web"}},
    {"delete": {"objects": ["configmap/old", "service/old"]}},
    {"pull_secret": {"name": "registry", "account": "fake"}},
]
Rule = tuple[str, str, str]
"""Group, resource and verb."""


def granted(rules: Iterable[Mapping[str, Any]]) -> set[Rule]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def rbac() -> set[Rule]:
    inside, outside = rules_of(yaml.safe_load_all(RBAC.read_text()))
    assert outside == []
    return granted(inside)


def rules(rights: Iterable[Rule]) -> list[dict[str, Any]]:
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        for group, resource, verb in sorted(rights)
    ]


def rule_in(finding: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rule that a finding's hint says to add."""
    return dict(yaml.safe_load(finding["hint"].partition(": ")[2])[0])


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A config with one pipeline in a namespace of its own; the registry has nothing to say."""

    bench: Bench
    cluster: RealCluster
    registry: FakeRegistry
    namespace: str

    def account(self, rights: Iterable[Rule]) -> Path:
        return self.cluster.service_account(self.namespace, rules(rights))

    def configure(
        self,
        stages: Sequence[Mapping[str, Any]],
        kubeconfig: Path | None = None,
        manifests: Sequence[Mapping[str, Any]] = MANIFESTS,
        **settings: Any,
    ) -> None:
        own = {"name": "test", "kubeconfig": str(kubeconfig or self.cluster.kubeconfig)}
        config = {
            "accounts": [
                {
                    "name": "fake",
                    "address": self.registry.address,
                    "plain_http": True,
                    "repositories": [REPOSITORY],
                }
            ],
            "clusters": [{**own, "namespace": self.namespace, **settings}],
            "triggers": [
                {"name": "web", "account": "fake", "repository": REPOSITORY, "pipeline": "deploy"}
            ],
            "pipelines": [{"name": "deploy", "stages": list(stages)}],
        }
        self.bench.write("config.yaml", json.dumps(config))
        self.bench.write("web.yaml", yaml.safe_dump_all(manifests))

    def findings(self, *, code: int = 0) -> list[dict[str, Any]]:
        found = self.bench.json("validate", "--online", code=code)["findings"]
        assert all(finding["cluster"] == "test" for finding in found), found
        return list(found)


@pytest.fixture
def desk(bench: Bench, cluster: RealCluster, registry: FakeRegistry) -> Desk:
    registry.push(REPOSITORY, "1.0")
    return Desk(bench=bench, cluster=cluster, registry=registry, namespace=cluster.namespace())


def test_nothing_is_missing_with_the_published_rights(desk: Desk) -> None:
    desk.configure(EVERY_STAGE, desk.cluster.service_account(desk.namespace, RBAC))
    assert desk.findings() == []
    assert "all well" in desk.bench.run("validate", "--online").stdout


def test_without_any_right_the_published_ones_are_missing_and_no_others(desk: Desk) -> None:
    desk.configure(EVERY_STAGE, desk.account([]))
    findings = desk.findings(code=1)
    assert granted(rule_in(finding) for finding in findings) == rbac()
    assert len(findings) == len(rbac())


@pytest.mark.parametrize(
    ("taken", "severity", "words"),
    [
        pytest.param(
            ("apps", "deployments", "patch"),
            "error",
            "no right to patch deployments.apps in namespace {} (web), needed by deploy/apply, "
            "deploy/set_image, deploy/restart",
            id="patch",
        ),
        pytest.param(
            ("", "secrets", "create"),
            "error",
            "no right to create secrets in namespace {}, needed by deploy/apply, "
            "deploy/pull_secret",
            id="create",
        ),
        pytest.param(
            ("apps", "controllerrevisions", "list"),
            "error",
            "no right to list controllerrevisions.apps in namespace {}, needed by deploy/rollback",
            id="revisions",
        ),
        pytest.param(
            ("", "pods/log", "get"),
            "warning",
            "no right to get pods/log in namespace {}, needed by deploy/apply, deploy/set_image, "
            "deploy/restart, deploy/rollback: when a rollout fails, the reason may stay unknown",
            id="logs",
        ),
    ],
)
def test_a_right_that_is_taken_away_is_named_with_its_rule(
    desk: Desk, taken: Rule, severity: str, words: str
) -> None:
    desk.configure(EVERY_STAGE, desk.account(rbac() - {taken}))
    (finding,) = desk.findings(code=1 if severity == "error" else 0)
    assert finding["severity"] == severity
    assert finding["message"] == words.format(desk.namespace)
    assert finding["hint"].startswith(f"add to a Role in the namespace {desk.namespace}: - ")
    assert granted([rule_in(finding)]) == {taken}


def test_what_lives_in_no_namespace_needs_a_cluster_role(desk: Desk) -> None:
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "meshes.acme.io"},
        "spec": {
            "group": "acme.io",
            "names": {"kind": "Mesh", "plural": "meshes"},
            "scope": "Namespaced",
            "versions": [{"name": "v1"}],
        },
    }
    mesh = {"apiVersion": "acme.io/v1", "kind": "Mesh", "metadata": {"name": "a"}}
    stages = [{"apply": {"manifests": ["web.yaml"], "bind": "off", "wait": False}}]
    kinds = {"allowed_cluster_kinds": ["CustomResourceDefinition"]}
    desk.configure(stages, desk.account([]), [crd, mesh], **kinds)
    hints = {finding["hint"] for finding in desk.findings(code=1)}
    wide, own = "a ClusterRole", f"a Role in the namespace {desk.namespace}"
    assert hints == {
        f"add to {where}: - {{apiGroups: [{group}], resources: [{resource}], verbs: [{verb}]}}"
        for where, group, resource in (
            (wide, "apiextensions.k8s.io", "customresourcedefinitions"),
            (own, "acme.io", "meshes"),
        )
        for verb in ("get", "patch", "create")
    }


@pytest.mark.parametrize(
    ("manifest", "severity", "words"),
    [
        pytest.param({"apiVersion": "acme.io/v9", "kind": "Nothing", "metadata": {"name": "a"}},
                     "warning", "Nothing", id="an unknown kind"),
        pytest.param({**config_map(a="1"), "metadata": {"name": "a", "namespace": "kube-system"}},
                     "error", "not allowed in the cluster test", id="a foreign namespace"),
        pytest.param(config_map(a="${stages.build.version}"),
                     "warning", "can't be told before it runs", id="what only a run knows"),
    ],
)  # fmt: skip
def test_what_can_not_be_asked_for_is_said(
    desk: Desk, manifest: dict[str, Any], severity: str, words: str
) -> None:
    desk.configure([{"apply": {"manifests": ["web.yaml"]}}], None, [manifest])
    (finding,) = desk.findings(code=1 if severity == "error" else 0)
    assert finding["severity"] == severity
    assert words in finding["message"]


@pytest.mark.parametrize("is_made", [False, True], ids=["by nobody", "by the manifests"])
def test_a_namespace_that_is_not_there_is_named_unless_it_is_made(
    desk: Desk, is_made: bool
) -> None:
    name = f"{desk.namespace}-new"
    made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}] * is_made
    desk.configure(
        [{"apply": {"manifests": ["web.yaml"], "namespace": name}}],
        manifests=[*made, config_map(a="1")],
        allowed_namespaces=[f"{desk.namespace}*"],
        allowed_cluster_kinds=["Namespace"],
    )
    found = [(finding["severity"], finding["message"]) for finding in desk.findings()]
    assert found == ([] if is_made else [("warning", f"there is no namespace {name}")])


def test_a_cluster_that_can_not_be_reached_is_one_finding(desk: Desk) -> None:
    user = {"token": "not-a-real-token"}
    nowhere = desk.cluster.kubeconfig_for(user, url="https://127.0.0.1:1")
    desk.configure(EVERY_STAGE, nowhere)
    (finding,) = desk.findings(code=1)
    assert finding["message"].startswith("it can't be used: ")
    assert "can it be reached" in finding["hint"]
    assert "not-a-real-token" not in json.dumps(finding)


def test_a_credential_that_is_refused_is_one_finding(desk: Desk) -> None:
    desk.configure(EVERY_STAGE, desk.cluster.kubeconfig_for({"token": "not-a-real-token"}))
    (finding,) = desk.findings(code=1)
    assert finding["message"].startswith("it can't be used: ")
    assert finding["hint"]
    assert "not-a-real-token" not in json.dumps(finding)


def test_a_context_that_is_not_there_is_one_finding(desk: Desk) -> None:
    desk.configure(EVERY_STAGE, context="elsewhere")
    (finding,) = desk.findings(code=1)
    assert "elsewhere" in finding["message"]


def test_a_cluster_that_no_stage_works_in_is_reached_all_the_same(desk: Desk) -> None:
    desk.configure([{"wait": "1s"}], context="elsewhere")
    assert len(desk.findings(code=1)) == 1

"""Clusters, and what stages say of them (SPEC 7.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.config.loading import ACCOUNT, HOME, PIPELINE, load_text, problems
from watcher.config.fields import Either, Field, Kind, Section, Text
from watcher.config.load import load
from watcher.core.cluster import Cluster

_WORK = Section(
    {"cluster": Field(Text()), "namespace": Field(Text(template=True)), "what": Field(Text())}
)
STAGES: Mapping[str, Kind] = {
    "command": Text(template=True),
    "apply": _WORK,
    "restart": Either(Text(template=True), _WORK),
}
UNDOABLE = frozenset({"apply"})


def clusters_of(folder: Path, clusters: str) -> tuple[Cluster, ...]:
    return load_text(folder, f"{ACCOUNT}clusters: {clusters}\n{PIPELINE}", HOME).clusters


def text_of(clusters: str, *stages: str) -> str:
    listed = "".join(f"      - {stage}\n" for stage in stages)
    head = "pipelines:\n  - name: p\n    stages:\n"
    return f"{ACCOUNT}clusters: {clusters}\n{head}{listed}"


def said(folder: Path, clusters: str, *stages: str) -> list[str]:
    """The problems of the stages, each with its line: the first stage stands in line 9."""
    return problems(folder, text_of(clusters, *stages), stages=STAGES, undoable=UNDOABLE)


ONE = "[{name: prod}]"
TWO = "[{name: prod, allowed_namespaces: [web, 'web-*']}, {name: stage}]"


def test_without_clusters_there_are_none(tmp_path: Path) -> None:
    assert load_text(tmp_path, ACCOUNT + PIPELINE).clusters == ()


def test_a_cluster_of_the_required_keys_has_every_default(tmp_path: Path) -> None:
    assert clusters_of(tmp_path, "[{name: prod}]") == (Cluster(name="prod"),)


def test_every_key_of_a_cluster_makes_its_part(tmp_path: Path) -> None:
    written = """[{name: prod, kubeconfig: ~/kube, context: 'arn:aws:eks:eu/prod', namespace: web,
        allowed_namespaces: [web, 'web-*'], allowed_cluster_kinds: [Namespace, Mesh.acme.io]}]"""
    assert clusters_of(tmp_path, written) == (
        Cluster(
            name="prod",
            kubeconfig=Path("/home/watcher/kube"),
            context="arn:aws:eks:eu/prod",
            namespace="web",
            allowed_namespaces=("web", "web-*"),
            allowed_cluster_kinds=frozenset({"Namespace", "Mesh.acme.io"}),
        ),
    )


def test_a_kubeconfig_is_looked_for_beside_the_file_that_names_it(tmp_path: Path) -> None:
    assert clusters_of(tmp_path, "[{name: a, kubeconfig: k}]")[0].kubeconfig == tmp_path / "k"


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ("{kubeconfig: x}", "clusters[0].name: the key 'name' is missing"),
        ("{name: Prod}",
         "clusters[0].name: 'Prod' is not a name of a-z, 0-9 and dashes inside"),
        ("{name: p, namspace: web}",
         "clusters[0].namspace: unknown key 'namspace' (did you mean 'namespace'?)"),
        ("{name: p, namespace: 'web-*'}", "clusters[0].namespace: 'web-*' is not a namespace: "
         "at most 63 of a-z, 0-9 and dashes inside"),
        ("{name: p, allowed_namespaces: ['we?']}",
         "clusters[0].allowed_namespaces[0]: 'we?' is not a namespace, or a pattern with *"),
        ("{name: p, allowed_namespaces: []}", "clusters[0].allowed_namespaces: needs at least 1"),
        ("{name: p, allowed_namespaces: web}",
         "clusters[0].allowed_namespaces: must be a list, is text (put it in [brackets])"),
        ("{name: p, allowed_cluster_kinds: [namespaces]}",
         "clusters[0].allowed_cluster_kinds[0]: 'namespaces' is not a kind: `Kind` or "
         "`Kind.group`"),
        ("{name: p, namespace: web, allowed_namespaces: ['app-*']}",
         "clusters[0].namespace: stages would work in 'web', which `allowed_namespaces` leaves "
         "out (add it there)"),
    ],
)  # fmt: skip
def test_a_wrong_cluster_is_refused_with_the_way_out(
    tmp_path: Path, cluster: str, message: str
) -> None:
    found = problems(tmp_path, f"{ACCOUNT}clusters: [{cluster}]\n{PIPELINE}")
    assert [problem.partition(" ")[2] for problem in found] == [message]


def test_no_two_clusters_have_the_same_name(tmp_path: Path) -> None:
    text = f"{ACCOUNT}clusters: [{{name: a}}, {{name: a}}]\n{PIPELINE}"
    assert problems(tmp_path, text) == [
        f"5: clusters[1].name: the name 'a' is taken (by clusters[0] at {tmp_path}/config.yaml:5)"
    ]


def test_the_clusters_of_all_files_count_as_one_list(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("clusters: [{name: stage}]\n")
    text = f"{ACCOUNT}clusters: [{{name: prod}}]\n{PIPELINE}"
    (tmp_path / "main.yaml").write_text(text)
    found = load(tmp_path, stages=STAGES, environment=HOME)
    assert [cluster.name for cluster in found.clusters] == ["prod", "stage"]


@pytest.mark.parametrize(
    ("clusters", "stage", "message"),
    [
        pytest.param(ONE, "apply: {cluster: prud}",
                     "9: pipelines[0].stages[0].apply.cluster: no cluster is named 'prud' "
                     "(did you mean 'prod'?)", id="misspelt"),
        pytest.param(ONE, "apply: {cluster: xyz}",
                     "9: pipelines[0].stages[0].apply.cluster: no cluster is named 'xyz' "
                     "(there are: prod)", id="unknown"),
        pytest.param("[]", "apply: {cluster: prod}",
                     "9: pipelines[0].stages[0].apply.cluster: no cluster is named 'prod' "
                     "(there is no cluster)", id="no cluster at all"),
        pytest.param(ONE, "apply: {cluster: '${trigger.tag}'}",
                     "9: pipelines[0].stages[0].apply.cluster: no cluster is named "
                     "'${trigger.tag}' (there are: prod)", id="an expression"),
        pytest.param(TWO, "apply: {namespace: web}",
                     "9: pipelines[0].stages[0].apply: names no cluster, and there are several "
                     "(write `cluster:` with one of: prod, stage)", id="none of two"),
        pytest.param(TWO, "restart: deployment/web",
                     "9: pipelines[0].stages[0].restart: names no cluster, and there are several "
                     "(write `cluster:` with one of: prod, stage)", id="none in a short form"),
        pytest.param(TWO, "apply: {cluster: prod, namespace: db}",
                     "9: pipelines[0].stages[0].apply.namespace: the cluster 'prod' does not allow "
                     "the namespace 'db' (`allowed_namespaces` has: web, web-*)", id="not allowed"),
        pytest.param(TWO, "restart: {cluster: prod, namespace: db}",
                     "9: pipelines[0].stages[0].restart.namespace: the cluster 'prod' does not "
                     "allow the namespace 'db' (`allowed_namespaces` has: web, web-*)",
                     id="not allowed, of another type"),
        pytest.param(TWO, "apply: {cluster: prod, namespace: WEB}",
                     "9: pipelines[0].stages[0].apply.namespace: 'WEB' is not a namespace: at "
                     "most 63 of a-z, 0-9 and dashes inside", id="no namespace"),
        pytest.param(ONE, "apply: {namespace: 'web-${trigger.tag}'}",
                     "9: pipelines[0].stages[0].apply.namespace: an expression may choose only "
                     "among namespaces that are allowed (give the cluster 'prod' "
                     "`allowed_namespaces`)", id="any namespace"),
        pytest.param("[]", "apply: {namespace: 'web-${trigger.tag}'}",
                     "9: pipelines[0].stages[0].apply.namespace: an expression may choose only "
                     "among namespaces that are allowed (give `clusters` `allowed_namespaces`)",
                     id="any namespace of no cluster"),
    ],
)  # fmt: skip
def test_a_stage_that_can_not_work_in_its_cluster_is_refused(
    tmp_path: Path, clusters: str, stage: str, message: str
) -> None:
    assert said(tmp_path, clusters, stage) == [message]


@pytest.mark.parametrize(
    ("clusters", "stage"),
    [
        pytest.param("[]", "apply: {}", id="no clusters"),
        pytest.param("[]", "apply: {namespace: web}", id="a namespace without clusters"),
        pytest.param(ONE, "apply: {namespace: web}", id="the only cluster"),
        pytest.param(ONE, "restart: deployment/web", id="the only cluster, in a short form"),
        pytest.param(TWO, "apply: {cluster: prod}", id="one of two"),
        pytest.param(TWO, "apply: {cluster: prod, namespace: web-7}", id="an allowed namespace"),
        pytest.param(TWO, "apply: {cluster: prod, namespace: 'web-${trigger.tag}'}",
                     id="an expression among the allowed"),
        pytest.param(TWO, "command: deploy", id="a stage without a cluster"),
    ],
)  # fmt: skip
def test_a_stage_that_can_work_in_its_cluster_is_taken(
    tmp_path: Path, clusters: str, stage: str
) -> None:
    text = text_of(clusters, stage)
    assert len(load_text(tmp_path, text, stages=STAGES).pipelines[0].stages) == 1


def test_a_cluster_with_a_fault_counts_as_known(tmp_path: Path) -> None:
    found = said(tmp_path, "[{name: prod, context: 1}]", "apply: {cluster: prod}")
    assert found == ["5: clusters[0].context: must be text, is a number (quote it: '1')"]


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param(["{apply: {}, on_failure: rollback}"], id="itself"),
        pytest.param(["apply: {}", "{command: test, on_failure: rollback}"], id="an earlier one"),
        pytest.param(["apply: {}", "command: x", "{command: test, on_failure: rollback}"],
                     id="one long before"),
    ],
)  # fmt: skip
def test_a_failure_may_take_back_what_can_be_undone(tmp_path: Path, stages: list[str]) -> None:
    text = text_of("[]", *stages)
    found = load_text(tmp_path, text, stages=STAGES, undoable=UNDOABLE).pipelines[0]
    assert found.stages[-1].on_failure == "rollback"


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param(["{command: x, on_failure: rollback}"], id="alone"),
        pytest.param(["{command: x, on_failure: rollback}", "apply: {}"], id="before it"),
        pytest.param(["{restart: a, on_failure: rollback}"], id="a stage without a way back"),
    ],
)
def test_a_failure_with_nothing_to_take_back_is_refused(tmp_path: Path, stages: list[str]) -> None:
    assert said(tmp_path, "[]", *stages) == [
        "9: pipelines[0].stages[0].on_failure: there is nothing to roll back: neither this stage "
        "nor one before it can be (write `stop`)"
    ]

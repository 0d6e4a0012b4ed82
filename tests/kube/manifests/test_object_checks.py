"""What is wrong with one object is named by its path; what a server alone writes is left out."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from tests.kube.texts import CONFIG_MAP, CUSTOM, DEPLOYMENT, SECRET, objects_of, refusal_of
from watcher.kube.manifests.bundle import read_documents


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("{}", "the object: apiVersion: is missing", id="empty mapping"),
        pytest.param(
            "kind: Pod\nmetadata: {name: a}", "the Pod: apiVersion: is missing", id="no version"
        ),
        pytest.param(
            "apiVersion: 1\nkind: Pod\nmetadata: {name: a}",
            "apiVersion: is no apiVersion",
            id="a number as version",
        ),
        pytest.param(
            "apiVersion: ../v1\nkind: Pod\nmetadata: {name: a}",
            "apiVersion: is no apiVersion",
            id="a path as version",
        ),
        pytest.param(
            "apiVersion: v1\nmetadata: {name: a}", "the object: kind: is missing", id="no kind"
        ),
        pytest.param(
            "apiVersion: v1\nkind: a/b\nmetadata: {name: a}",
            "kind: is no kind",
            id="a path as kind",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Pod", "the Pod: metadata: is missing", id="no metadata"
        ),
        pytest.param(
            "apiVersion: v1\nkind: Pod\nmetadata: a",
            "metadata: must be a mapping",
            id="text as metadata",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Pod\nmetadata: {}", "metadata.name: is missing", id="no name"
        ),
        pytest.param(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: 5}",
            "metadata.name: must be a string, not a number (put it in quotes)",
            id="a number as name",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Job\nmetadata: {generateName: a-}",
            "metadata.generateName: can't be applied",
            id="generateName",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: no}",
            "metadata.namespace: must be a string, not a boolean",
            id="a boolean as namespace",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: ../b}",
            "'../b' is no namespace",
            id="a path as namespace",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}",
            "'a.b' is no namespace",
            id="no label as a namespace's name",
        ),
    ],
)
def test_what_an_object_lacks_is_named(text: str, complaint: str) -> None:
    assert complaint in refusal_of(text)


@pytest.mark.parametrize(
    "name",
    [
        "../../kube-system/secrets/x",
        "a/status",
        "a?force=true",
        "a#b",
        "a%2fb",
        "..",
        "a\nb",
        "Web",
        "a_b",
        "a\x9b31m",
    ],
)
def test_a_name_that_could_change_a_request_is_refused(name: str) -> None:
    line = refusal_of(CONFIG_MAP.replace("web", json.dumps(name)))
    assert line.startswith("web.yaml, document 1: ")
    assert f"metadata.name: {name!r} can't be the name of a ConfigMap" in line
    assert "\n" not in line


def test_roles_may_be_called_with_colons() -> None:
    kind = "rbac.authorization.k8s.io/v1"
    (item,) = objects_of(f"apiVersion: {kind}\nkind: Role\nmetadata: {{name: 'a:Reader'}}")
    assert item["metadata"]["name"] == "a:Reader"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            CONFIG_MAP.replace("name: web", "name: web, labels: {version: 1.10}"),
            "configmap/web: metadata.labels.version: must be a string, not a number (put it in",
            id="a label",
        ),
        pytest.param(
            CONFIG_MAP.replace("name: web", "name: web, annotations: {example.com/on: yes}"),
            'metadata.annotations["example.com/on"]: must be a string, not a boolean',
            id="an annotation",
        ),
        pytest.param(
            CONFIG_MAP.replace("name: web", "name: web, labels: [a]"),
            "metadata.labels: must be a mapping, not a list",
            id="a list of labels",
        ),
        pytest.param(f"{CONFIG_MAP}data: {{port: 80}}", "data.port: must be a string", id="data"),
        pytest.param(
            f"{CONFIG_MAP}data: {{a: }}", "data.a: must be a string, not nothing", id="null"
        ),
        pytest.param(
            f"{CONFIG_MAP}data: {{a: [b]}}", "data.a: must be a string, not a list", id="a list"
        ),
        pytest.param(
            f"{CONFIG_MAP}binaryData: {{a: '@'}}", "binaryData.a: is not base64", id="binary"
        ),
        pytest.param(
            f"{SECRET}stringData: {{port: 80}}", "secret/web: stringData.port: must be", id="secret"
        ),
        pytest.param(
            f"{SECRET}data: {{a: hunter2}}",
            "data.a: is not base64 (plain text belongs under `stringData`)",
            id="secret in plain",
        ),
        pytest.param(
            f"{DEPLOYMENT}        env: [{{name: A}}, {{name: B, value: }}, {{name: C, value: 1}}]",
            "deployment.apps/web: spec.template.spec.containers[0].env[2].value: must be a string",
            id="a variable",
        ),
        pytest.param(
            f"{DEPLOYMENT}      nodeSelector: {{gpu: true}}",
            "spec.template.spec.nodeSelector.gpu: must be a string, not a boolean",
            id="a node selector",
        ),
        pytest.param(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: {spec: "
            "{template: {metadata: {labels: {x: 1}}}}}}",
            "spec.jobTemplate.spec.template.metadata.labels.x: must be a string",
            id="a cron job's label",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
            "spec: {initContainers: [{env: [{value: no}]}]}",
            "pod/a: spec.initContainers[0].env[0].value: must be a string, not a boolean",
            id="a pod's init container",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {x: 1}}",
            "service/a: spec.selector.x: must be a string",
            id="a selector",
        ),
    ],
)
def test_what_must_be_a_string_is_named_by_its_path(text: str, complaint: str) -> None:
    assert complaint in refusal_of(text)


def test_custom_kinds_keep_their_own_types() -> None:
    assert objects_of(f"{CUSTOM}data: {{a: 1}}\nstringData: {{b: 2}}")[0]["data"] == {"a": 1}


def test_string_data_becomes_data_and_wins() -> None:
    (item,) = objects_of(f"{SECRET}data: {{a: YQ==, b: Yg==}}\nstringData: {{b: new, c: é}}")
    assert "stringData" not in item
    decoded = {key: b64decode(value).decode() for key, value in item["data"].items()}
    assert decoded == {"a": "a", "b": "new", "c": "é"}


def test_what_only_a_server_writes_is_left_out_with_a_word() -> None:
    metadata = (
        "{name: web, uid: u, resourceVersion: '5', generation: 2, creationTimestamp: null, "
        "managedFields: [{manager: kubectl}], selfLink: /x, labels: {a: b}}"
    )
    text = f"{CONFIG_MAP.replace('{name: web}', metadata)}status: {{ready: true}}"
    read = read_documents([("web.yaml", text)])
    assert read.objects[0]["metadata"] == {"name": "web", "labels": {"a": "b"}}
    assert "status" not in read.objects[0]
    assert read.warnings[0] == (
        "web.yaml, document 1: configmap/web: metadata.uid is not for manifests and was left out"
    )
    assert [line.split(" is ")[0].rsplit(" ")[-1] for line in read.warnings] == [
        "metadata.uid",
        "metadata.resourceVersion",
        "metadata.generation",
        "metadata.managedFields",
        "metadata.selfLink",
        "status",
    ]


@pytest.mark.parametrize("name", ["a\x9b31m", "a\u202eb", "a\x1b[2J"])
def test_a_name_that_could_drive_a_terminal_is_refused_of_any_kind(name: str) -> None:
    line = refusal_of(CUSTOM.replace("web", json.dumps(name)))
    assert "can't be the name of a" in line
    assert line.isprintable()


def test_what_kubectl_keeps_of_its_own_manifest_is_left_out_for_it_may_hold_secrets() -> None:
    noted = (
        "{name: web, annotations: {a: b, kubectl.kubernetes.io/last-applied-configuration: "
        """'{"stringData":{"password":"hunter2"}}'}}"""
    )
    read = read_documents([("web.yaml", SECRET.replace("{name: web}", noted))])
    assert read.objects[0]["metadata"] == {"name": "web", "annotations": {"a": "b"}}
    assert "hunter2" not in str(read)
    assert "last-applied-configuration" in read.warnings[0]


def test_what_kubectl_leaves_empty_is_dropped_in_silence() -> None:
    text = CONFIG_MAP.replace("name: web", "name: web, creationTimestamp: null") + "status: {}"
    read = read_documents([("web.yaml", text)])
    assert read.objects[0]["metadata"] == {"name": "web"}
    assert read.warnings == ()

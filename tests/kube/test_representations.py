"""Nothing that holds a secret shows it when it is shown itself, as in a traceback's message."""

from __future__ import annotations

from pathlib import Path

import pytest

from watcher.kube.applying.plan import Action, PlannedObject, Result
from watcher.kube.client import Applied
from watcher.kube.connecting.answers import Answer
from watcher.kube.connecting.connection import Surroundings
from watcher.kube.connecting.exec_plugin import exec_plugin
from watcher.kube.connecting.kubeconfig import Access
from watcher.kube.manifests.bundle import read_documents
from watcher.kube.manifests.yaml_documents import read_yaml
from watcher.kube.objects import ObjectKey, Resource

SECRET = "hunter2-hunter2"
MANIFEST = (
    f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{password: {SECRET}}}\n"
)
KEY = ObjectKey("", "Secret", "web", "a")
RESOURCE = Resource("", "v1", "Secret", "secrets", namespaced=True)
ACCESS = Access(
    context="x",
    namespace=None,
    cluster={"server": "https://x"},
    user_name="u",
    user={
        "token": SECRET,
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "login",
            "args": ["--password", SECRET],
            "env": [{"name": "PASSWORD", "value": SECRET}],
        },
    },
    user_directory=Path("/"),
)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(Answer(status=200, body=SECRET.encode()), id="an answer"),
        pytest.param(Applied(object={"data": SECRET}, created=True), id="what was applied"),
        pytest.param(read_yaml(MANIFEST), id="a document"),
        pytest.param(
            PlannedObject(
                key=KEY,
                resource=RESOURCE,
                desired={"data": SECRET},
                action=Action.CONFIGURED,
                wave=1,
                live={"data": SECRET},
                result={"data": SECRET},
            ),
            id="what is planned",
        ),
        pytest.param(
            Result(key=KEY, action=Action.CONFIGURED, resource=RESOURCE, object={"data": SECRET}),
            id="what became of it",
        ),
        pytest.param(read_documents([("a.yaml", MANIFEST)]), id="an object of a manifest"),
        pytest.param(ACCESS, id="a kubeconfig's user"),
        pytest.param(exec_plugin(ACCESS, {"TOKEN": SECRET}), id="a plug-in"),
        pytest.param(
            Surroundings(environment={"TOKEN": SECRET}, home=Path("/")), id="the environment"
        ),
    ],
)
def test_a_representation_shows_no_secret(value: object) -> None:
    assert SECRET not in repr(value)

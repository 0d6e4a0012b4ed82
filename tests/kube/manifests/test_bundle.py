"""Rendered texts to objects: flattened, each once, and all refusals at once."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.kube.texts import CONFIG_MAP, SECRET, objects_of, refusal_of
from watcher.errors import StageError
from watcher.kube.manifests.bundle import (
    MAXIMUM_BYTES,
    MAXIMUM_LINES,
    MAXIMUM_OBJECTS,
    read_documents,
)


def test_two_documents_an_empty_one_and_a_list_of_two_are_four_objects() -> None:
    text = f"""\
# only a comment
---
{CONFIG_MAP.replace("web", "one")}---
---
null
---
{CONFIG_MAP.replace("web", "two")}---
apiVersion: v1
kind: List
items:
- {{apiVersion: v1, kind: Secret, metadata: {{name: three}}}}
- {{apiVersion: v1, kind: Secret, metadata: {{name: four}}}}
"""
    read = read_documents([("deploy/web.yaml", text)])
    assert [(each.object["metadata"]["name"], each.place) for each in read.documents] == [
        ("one", "deploy/web.yaml, document 1"),
        ("two", "deploy/web.yaml, document 4"),
        ("three", "deploy/web.yaml, document 5, items[0]"),
        ("four", "deploy/web.yaml, document 5, items[1]"),
    ]
    assert read.warnings == ()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        pytest.param(
            "{apiVersion: v1, kind: ConfigMapList, items: [{metadata: {name: a}}]}",
            ["ConfigMap"],
            id="a list of one kind",
        ),
        pytest.param(
            "{apiVersion: v1, kind: List, items: [{kind: List, items: ["
            "{apiVersion: v1, kind: Pod, metadata: {name: a}}]}]}",
            ["Pod"],
            id="a list in a list",
        ),
        pytest.param("{apiVersion: v1, kind: List, items: null}", [], id="an empty list"),
        pytest.param(
            "{apiVersion: acme.example/v1, kind: AllowList, metadata: {name: a}, spec: {}}",
            ["AllowList"],
            id="a kind that is only called list",
        ),
    ],
)
def test_lists_are_flattened(text: str, kinds: list[str]) -> None:
    assert [item["kind"] for item in objects_of(text)] == kinds


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("- a\n- b", "web.yaml, document 1: line 1: this is no object", id="a list"),
        pytest.param("---\n---\n\n\nweb", "document 2: line 5: this is no object", id="a word"),
        pytest.param(
            "{kind: List, items: [web]}",
            "document 1, items[0]: this is no object",
            id="a word in a list",
        ),
    ],
)
def test_what_is_no_object_is_refused_with_its_place(text: str, complaint: str) -> None:
    assert complaint in refusal_of(text)


def test_all_problems_come_at_once_a_line_each() -> None:
    with pytest.raises(StageError) as raised:
        read_documents(
            [
                ("a.yaml", f"{CONFIG_MAP}data: {{x: 1, y1: 2}}\n---\nkind: Pod\nmetadata: {{}}\n"),
                ("b.yaml", f"{SECRET}---\n{SECRET}---\na: [\n"),
                ("c.json", "{"),
            ]
        )
    lines = raised.value.message.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        "a.yaml, document 1: configmap/web: data.x: must be a string, not a number",
        "a.yaml, document 1: configmap/web: data.y1: must be a string, not a number",
        "a.yaml, document 2: the Pod: apiVersion: is missing",
        "a.yaml, document 2: the Pod: metadata.name: is missing",
        lines[4].partition(" (")[0],
        "c.json, document 1: line 1: not valid JSON: Expecting property name enclosed in double "
        "quotes",
        "b.yaml, document 2: secret/web stands in b.yaml, document 1 too",
    ]
    assert lines[4].startswith("b.yaml, document 3: line ")


def test_very_many_problems_are_counted() -> None:
    text = f"{CONFIG_MAP}data: {{{', '.join(f'k{n}: {n}' for n in range(250))}}}"
    lines = refusal_of(text).splitlines()
    assert len(lines) == MAXIMUM_LINES + 1
    assert lines[-1] == "and 150 more"


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        pytest.param("apps/v1 Deployment web a", "apps/v1 Deployment web a", True, id="the same"),
        pytest.param(
            "apps/v1 Deployment web a", "apps/v1beta1 Deployment web a", True, id="version"
        ),
        pytest.param(
            "apps/v1 Deployment web a", "extensions/v1beta1 Deployment web a", False, id="group"
        ),
        pytest.param("apps/v1 Deployment web a", "apps/v1 Deployment web b", False, id="namespace"),
        pytest.param("apps/v1 Deployment web a", "apps/v1 StatefulSet web a", False, id="kind"),
    ],
)
def test_the_same_object_twice_is_refused(first: str, second: str, *, refused: bool) -> None:
    texts = []
    for words in (first, second):
        version, kind, name, namespace = words.split()
        metadata = {"name": name, "namespace": namespace}
        texts.append(json.dumps({"apiVersion": version, "kind": kind, "metadata": metadata}))
    if refused:
        assert "deployment.apps/web in namespace a stands in web.yaml" in refusal_of(*texts)
    else:
        assert len(objects_of(*texts)) == 2


def test_a_bundle_has_limits() -> None:
    large = f"{CONFIG_MAP}data: {{a: {'x' * (MAXIMUM_BYTES // 2)}}}"
    assert "larger than 5 MiB" in refusal_of(large, large)
    item = "{apiVersion: v1, kind: Pod, metadata: {name: a%d}}"
    exact = "\n---\n".join(item % number for number in range(MAXIMUM_OBJECTS))
    assert len(objects_of(exact)) == MAXIMUM_OBJECTS
    items = ",".join(item % number for number in range(MAXIMUM_OBJECTS + 1))
    assert "more than 2000 objects" in refusal_of(f"{{kind: List, items: [{items}]}}")


SECRET_VALUE = "hunter2-very-secret"


@pytest.mark.parametrize(
    "text",
    [
        f"{SECRET}data: {{a: '{SECRET_VALUE}'}}",
        f"{SECRET}stringData: [{SECRET_VALUE}]",
        f"{SECRET}stringData: {SECRET_VALUE}",
        f"{SECRET}stringData: {{a: {SECRET_VALUE}, a: {SECRET_VALUE}}}",
        f"{SECRET}stringData: {{a: !x {SECRET_VALUE}}}",
        f"{SECRET}stringData: {{a: !!int {SECRET_VALUE}}}",
        f"{SECRET}stringData: {{a: [{SECRET_VALUE}]}}",
        f"{SECRET}stringData: {{a: *{SECRET_VALUE}}}",
        f"{SECRET}stringData: {{a: '{SECRET_VALUE}}}",
        f"{SECRET}stringData:\n  a: {SECRET_VALUE}: {SECRET_VALUE}",
        f"{SECRET}stringData:\n  a: {SECRET_VALUE}\n  {SECRET_VALUE}\n  b: 1",
    ],
)
def test_no_error_shows_a_value(text: str) -> None:
    with pytest.raises(StageError) as raised:
        read_documents([("web.yaml", text)])
    assert "hunter2" not in f"{raised.value.message}{raised.value.hint}"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["apiVersion", "kind", "metadata", "name", "items", "data", "spec", "labels"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_data_is_read_or_refused(data: Any) -> None:
    for name, text in (("a.yaml", yaml.safe_dump(data)), ("a.json", json.dumps(data))):
        with suppress(StageError):
            assert len(read_documents([(name, text)]).warnings) <= 7

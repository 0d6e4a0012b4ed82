"""The part of an object that a manager owns: FieldsV1 as API servers write it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from watcher.kube.applying.owned_fields import (
    Fields,
    applied_by_us,
    owned_by,
    part,
    united,
    without,
)
from watcher.kube.objects import Object

OURS = ("registry-watcher", "Apply")
WEB = 'k:{"name":"web"}'
PORT = 'k:{"containerPort":80,"protocol":"TCP"}'


def entry(fields: Fields, who: tuple[str, str] = OURS, subresource: str = "") -> dict[str, Any]:
    made = {"manager": who[0], "operation": who[1], "apiVersion": "apps/v1", "fieldsV1": fields}
    return {**made, "subresource": subresource} if subresource else made


def deployment(*entries: dict[str, Any]) -> Object:
    container = {
        "name": "web",
        "image": "web:1",
        "imagePullPolicy": "IfNotPresent",
        "args": ["a", "b"],
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "1",
            "resourceVersion": "5",
            "labels": {"app": "web", "team": "shop"},
            "annotations": {"note": "x"},
            "finalizers": ["a/b", "c/d"],
            "managedFields": list(entries),
        },
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [container, {"name": "side", "image": "s:1"}]}},
        },
        "status": {"replicas": 3},
    }


def in_containers(fields: Fields) -> Fields:
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": fields}}}}


def containers(item: Object) -> Any:
    return item["spec"]["template"]["spec"]["containers"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"f:spec": {"f:replicas": {}}}, {"spec": {"replicas": 3}}, id="a value"),
        pytest.param(
            {"f:spec": {"f:selector": {}}},
            {"spec": {"selector": {"matchLabels": {"app": "web"}}}},
            id="a mapping that is one value",
        ),
        pytest.param(
            in_containers({WEB: {".": {}, "f:name": {}, "f:image": {}}}),
            {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}}},
            id="an entry of a list by its key",
        ),
        pytest.param(
            in_containers({WEB: {"f:image": {}}}),
            {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}}},
            id="its key is always there",
        ),
        pytest.param(
            in_containers({WEB: {"f:args": {}, "f:name": {}}}),
            {"spec": {"template": {"spec": {"containers": [{"name": "web", "args": ["a", "b"]}]}}}},
            id="a list that is one value",
        ),
        pytest.param(
            in_containers({WEB: {"f:ports": {".": {}, PORT: {".": {}, "f:containerPort": {}}}}}),
            {
                "spec": {
                    "template": {
                        "spec": {
                            "containers": [
                                {
                                    "name": "web",
                                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                                }
                            ]
                        }
                    }
                }
            },
            id="an entry with two keys, one of them the server's default",
        ),
        pytest.param({"f:spec": {"f:paused": {}}}, {"spec": {}}, id="what is not there"),
        pytest.param({"f:status": {"f:replicas": {}}}, {}, id="never the status"),
    ],
)
def test_a_part_is_what_the_fields_name(fields: Fields, expected: Object) -> None:
    found = part(deployment(), fields)
    identity = {"name": "web", "namespace": "shop"}
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": identity}
    assert found == {**head, **expected}


def test_of_the_metadata_only_what_can_be_applied_is_taken() -> None:
    fields: Fields = {
        "f:metadata": {
            "f:labels": {"f:app": {}},
            "f:annotations": {".": {}, "f:note": {}},
            "f:finalizers": {".": {}, 'v:"c/d"': {}},
            "f:resourceVersion": {},
        }
    }
    assert part(deployment(), fields)["metadata"] == {
        "name": "web",
        "namespace": "shop",
        "labels": {"app": "web"},
        "annotations": {"note": "x"},
        "finalizers": ["c/d"],
    }


def test_entries_keep_the_order_of_the_object() -> None:
    fields = in_containers({'k:{"name":"side"}': {"f:image": {}}, WEB: {"f:image": {}}})
    assert [each["name"] for each in containers(part(deployment(), fields))] == ["web", "side"]


def test_an_empty_mapping_of_ours_takes_nothing_of_what_others_put_into_it() -> None:
    others = entry({"f:metadata": {"f:annotations": {"f:note": {}}}}, ("kubectl", "Update"))
    item = deployment(others)
    ours: Fields = {"f:metadata": {"f:annotations": {}}}
    assert part(item, ours)["metadata"]["annotations"] == {}
    alone: Fields = {"f:metadata": {"f:annotations": {".": {}}}}
    assert part(item, alone)["metadata"]["annotations"] == {}


def test_ours_is_what_our_server_side_apply_owns() -> None:
    item = deployment(
        entry({"f:spec": {"f:replicas": {}}}),
        entry({"f:spec": {"f:paused": {}}}, ("registry-watcher", "Update")),
        entry({"f:status": {"f:replicas": {}}}, OURS, subresource="status"),
        entry({"f:spec": {"f:selector": {}}}, ("kubectl", "Update")),
    )
    assert applied_by_us(item) == {"f:spec": {"f:replicas": {}}}
    assert owned_by(item, {"kubectl"}) == {"f:spec": {"f:selector": {}}}
    scaled = deployment(entry({"f:spec": {"f:replicas": {}}}, ("kubectl", "Update"), "scale"))
    assert owned_by(scaled, {"kubectl"}) == {}
    through = owned_by(scaled, {"kubectl"}, subresources=True)
    assert through == {"f:spec": {"f:replicas": {}}}
    assert applied_by_us({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}) == {}


def test_sets_are_united_at_every_depth() -> None:
    one, two = in_containers({WEB: {"f:image": {}}}), in_containers({WEB: {"f:args": {}}})
    assert united(one, two) == in_containers({WEB: {"f:image": {}, "f:args": {}}})
    assert one == in_containers({WEB: {"f:image": {}}})


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        pytest.param({"f:spec": {"f:replicas": {}}}, "replicas", id="a value"),
        pytest.param({"f:spec": {"f:selector": {}}}, "selector", id="a mapping that is one value"),
    ],
)
def test_without_leaves_the_named_fields_out(fields: Fields, gone: str) -> None:
    whole = deployment()
    left = without(whole, fields)
    assert left["spec"] == {key: value for key, value in whole["spec"].items() if key != gone}
    assert left["metadata"] == whole["metadata"]


def test_without_keeps_the_keys_and_the_rest_of_an_entry() -> None:
    env: Fields = {"f:env": {".": {}, 'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}}}
    left = without(deployment(), in_containers({WEB: {**env, "f:image": {}, "f:name": {}}}))
    web, side = containers(left)
    assert web["name"] == "web"
    assert "image" not in web
    assert web["env"] == [{"name": "A"}, {"name": "B", "value": "2"}]
    assert side == {"name": "side", "image": "s:1"}


def test_without_drops_entries_of_sets() -> None:
    left = without(deployment(), {"f:metadata": {"f:finalizers": {'v:"a/b"': {}}}})
    assert left["metadata"]["finalizers"] == ["c/d"]


def test_a_key_that_is_no_json_names_nothing() -> None:
    fields = in_containers({"k:{": {"f:image": {}}, "x": {}})
    assert containers(part(deployment(), fields)) == []


@pytest.mark.parametrize(
    ("entries", "fields"),
    [
        pytest.param(
            [f"x/{number}" for number in range(20_000)],
            {f'v:"x/{number}"': {} for number in range(20_000)},
            id="a set",
        ),
        pytest.param(
            [{"name": f"x{number}"} for number in range(20_000)],
            {f'k:{{"name":"x{number}"}}': {".": {}, "f:name": {}} for number in range(20_000)},
            id="a list by keys",
        ),
        pytest.param(
            list(range(20_000)), {f"i:{number}": {} for number in range(20_000)}, id="by position"
        ),
    ],
)
def test_lists_as_long_as_an_object_can_hold_take_a_moment(
    entries: list[Any], fields: dict[str, Any]
) -> None:
    item = {
        "apiVersion": "x/v1",
        "kind": "X",
        "metadata": {"name": "x", "managedFields": [{"fieldsV1": {"f:spec": fields}}]},
        "spec": entries,
    }
    began = time.perf_counter()
    assert part(item, {"f:spec": fields})["spec"] == entries
    assert time.perf_counter() - began < 3.0

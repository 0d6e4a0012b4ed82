"""What the client sends, page by page and call by call, and what it never sends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kube.clients import (
    APPLY,
    COLLECTION,
    CONFIG_MAP,
    CONFIG_MAPS,
    METHODS,
    TRY_CREATE,
    Call,
    Time,
    config_map,
    connected,
    everywhere,
    fenced,
    outcome,
)
from tests.kube.faulty_api import Reply, refused, serving
from watcher.errors import ClusterError, ClusterFault
from watcher.kube.client import PatchType

F = ClusterFault


async def test_a_list_is_read_page_by_page_and_its_items_say_what_they_are(
    tmp_path: Path,
) -> None:
    pages = [
        Reply(body={"items": [{"metadata": {"name": n}}], "metadata": {"continue": c}})
        for n, c in (("a", "next+1"), ("b", ""))
    ]
    async with serving({f"GET {COLLECTION}": pages}) as api:
        items = await outcome(
            api, tmp_path, lambda c: c.list(CONFIG_MAPS, "shop", labels="app=x,b!=c"), Time()
        )
    assert [(i["apiVersion"], i["kind"], i["metadata"]["name"]) for i in items] == [
        ("v1", "ConfigMap", "a"), ("v1", "ConfigMap", "b"),
    ]  # fmt: skip
    assert [seen.target.partition("?")[2] for seen in api.requests] == [
        "limit=500&labelSelector=app%3Dx%2Cb%21%3Dc",
        "limit=500&labelSelector=app%3Dx%2Cb%21%3Dc&continue=next%2B1",
    ]


async def test_a_list_whose_pages_grew_too_old_is_read_again_in_one(tmp_path: Path) -> None:
    first = Reply(body={"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "c"}})
    whole = Reply(body={"items": [{"metadata": {"name": "b"}}], "metadata": {}})
    table = {f"GET {COLLECTION}": [first, refused(410, "Expired", "too old"), whole]}
    async with serving(table) as api:
        items = await outcome(api, tmp_path, lambda c: c.list(CONFIG_MAPS, "shop"), Time())
    assert [item["metadata"]["name"] for item in items] == ["b"]
    assert api.requests[-1].target == COLLECTION


async def test_what_an_apply_sends(tmp_path: Path) -> None:
    async with serving(everywhere(Reply(status=201, body=config_map(data={"ä": "€"})))) as api:
        applied = await outcome(
            api, tmp_path, lambda c: c.apply(CONFIG_MAPS, fenced(), dry_run=True), Time()
        )
    seen = api.requests[0]
    assert seen.target == (
        f"{CONFIG_MAP}?fieldManager=registry-watcher&fieldValidation=Strict&force=false&dryRun=All"
    )
    assert seen.headers["content-type"] == "application/apply-patch+yaml"
    assert seen.headers["user-agent"].startswith("registry-watcher/")
    assert json.loads(seen.body) == fenced()
    assert (applied.created, applied.object["data"]) == (True, {"ä": "€"})


async def test_what_a_delete_sends(tmp_path: Path) -> None:
    async with serving(everywhere(Reply(body={"kind": "Status", "metadata": {}}))) as api:
        deleted = await outcome(
            api, tmp_path,
            lambda c: c.delete(CONFIG_MAPS, "shop", "a", uid="u", grace_seconds=0), Time(),
        )  # fmt: skip
    assert deleted is True
    assert json.loads(api.requests[0].body) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u"},
        "gracePeriodSeconds": 0,
    }


async def test_warnings_of_the_server_come_with_the_result(tmp_path: Path) -> None:
    warned = Reply(body=config_map(), headers={"Warning": '299 - "it is deprecated"'})
    async with serving(everywhere(warned)) as api:
        applied = await outcome(api, tmp_path, APPLY, Time())
    assert applied.warnings == ("it is deprecated",)


@pytest.mark.parametrize(
    "name", ["../../kube-system/secrets/x", "a/status", "a?force=true", "a#b", ".."]
)
async def test_a_name_that_would_be_another_request_is_never_sent(
    name: str, tmp_path: Path
) -> None:
    item = config_map(metadata={"name": name, "namespace": "shop"})
    calls: list[Call] = [
        lambda c: c.get(CONFIG_MAPS, "shop", name),
        lambda c: c.apply(CONFIG_MAPS, item),
        lambda c: c.delete(CONFIG_MAPS, "shop", name),
        lambda c: c.get(CONFIG_MAPS, name, "a"),
        lambda c: c.pod_log("shop", name, "c"),
        lambda c: c.pod_log(name, "p", "c"),
    ]  # fmt: skip
    async with serving({}) as api, connected(api.kubeconfig(tmp_path)) as client:
        for call in calls:
            with pytest.raises(ClusterError) as raised:
                await call(client)
            assert raised.value.fault is F.INVALID
    assert api.requests == []


@pytest.mark.parametrize("name", METHODS)
async def test_without_a_namespace_nothing_is_sent_for_all_of_them(
    name: str, tmp_path: Path
) -> None:
    item = config_map(metadata={"name": "a"})
    calls: dict[str, Call] = {
        "get": lambda c: c.get(CONFIG_MAPS, "", "a"),
        "apply": lambda c: c.apply(CONFIG_MAPS, item),
        "create": lambda c: c.create(CONFIG_MAPS, item),
        "delete": lambda c: c.delete(CONFIG_MAPS, "", "a"),
        "patch": lambda c: c.patch(CONFIG_MAPS, "", "a", {}, content_type=PatchType.MERGE),
    }
    async with serving({}) as api:
        result = await outcome(api, tmp_path, calls[name], Time())
    assert (result.fault, api.requests) == (F.INVALID, [])


async def test_what_is_no_json_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with serving({}) as api, connected(api.kubeconfig(tmp_path)) as client:
        for data in ({"k": float("inf")}, {"k": "\ud800"}, {"k": object()}):
            with pytest.raises(ClusterError, match="can't be written as JSON") as raised:
                await client.apply(CONFIG_MAPS, config_map(data=data))
            assert raised.value.fault is F.INVALID
    assert api.requests == []


async def test_a_dry_run_of_a_create_finds_once_that_it_exists(tmp_path: Path) -> None:
    exists = refused(409, "AlreadyExists", "configmaps already exists")
    async with serving(everywhere(exists)) as api:
        result = await outcome(api, tmp_path, TRY_CREATE, Time())
    assert (result.fault, len(api.requests)) == (F.EXISTS, 1)

"""Which kinds a server serves: aggregated and classic, cached, refreshed, stale."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest

from tests.kube.clients import connected
from tests.kube.faulty_api import Reply, Table, refused, serving
from tests.kube.recorded import NEWEST, OLDEST, recorded
from watcher.errors import ClusterError, ClusterFault
from watcher.kube.connecting.discovery import AGGREGATED

ALL_GROUPS = "discovery /apis (aggregated asked)"
CORE = "discovery /api (aggregated asked)"
CORE_CLASSIC = "discovery /api/v1 classic"


def item(plural: str, kind: str, *, namespaced: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "resource": plural,
        "responseKind": {"group": "", "version": "", "kind": kind},
        "scope": "Namespaced" if namespaced else "Cluster",
        "verbs": ["get", "list", "patch"],
        **more,
    }


def version(name: str, *items: dict[str, Any], freshness: str = "Current") -> dict[str, Any]:
    return {"version": name, "resources": list(items), "freshness": freshness}


def groups(**versions: Any) -> Reply:
    items = [
        {"metadata": {"name": name.replace("_", ".")} if name != "core" else {}, "versions": each}
        for name, each in versions.items()
    ]
    return Reply(body={"kind": "APIGroupDiscoveryList", "metadata": {}, "items": items})


CORE_KINDS = groups(core=[version("v1", item("configmaps", "ConfigMap"))])
NO_GROUPS = groups()
WIDGETS = groups(ex_io=[version("v1", item("widgets", "Widget"))])


def classic(*names: str) -> dict[str, Any]:
    resources = [
        {"name": name, "kind": kind, "namespaced": True, "verbs": ["get"]}
        for name, _, kind in (each.partition(":") for each in names)
    ]
    return {"kind": "APIResourceList", "resources": resources}


def classic_groups(*group_versions: str) -> Reply:
    items = [
        {"name": each.partition("/")[0], "versions": [{"groupVersion": each}]}
        for each in group_versions
    ]
    return Reply(body={"kind": "APIGroupList", "groups": items})


def newest() -> dict[str, Reply]:
    cases = recorded(NEWEST)
    return {
        "GET /apis": Reply(body=cases[ALL_GROUPS].body),
        "GET /api": Reply(body=cases[CORE].body),
    }


def oldest() -> dict[str, Reply]:
    cases = recorded(OLDEST)
    apps = classic("deployments:Deployment", "deployments/status:Deployment")
    return {
        "GET /apis": Reply(body=cases[ALL_GROUPS].body),
        "GET /api/v1": Reply(body=cases[CORE_CLASSIC].body),
        "GET /apis/apps/v1": Reply(body=apps),
    }


@pytest.mark.parametrize(
    ("table", "requests"),
    [pytest.param(newest(), 2, id="aggregated"), pytest.param(oldest(), 3, id="classic")],
)
async def test_kinds_of_a_real_server_are_found_with_few_requests(
    table: Table, requests: int, tmp_path: Path
) -> None:
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        for _ in range(2):
            config_map = await client.resource("v1", "ConfigMap")
            node = await client.resource("v1", "Node")
            deployment = await client.resource("apps/v1", "Deployment")
    assert config_map.path("shop", "a") == "/api/v1/namespaces/shop/configmaps/a"
    assert (node.plural, node.namespaced) == ("nodes", False)
    assert deployment.path("shop", "w") == "/apis/apps/v1/namespaces/shop/deployments/w"
    assert "get" in deployment.verbs
    assert client.sent == len(api.requests) == requests


async def test_both_aggregated_forms_are_asked_for_and_the_plain_one(tmp_path: Path) -> None:
    async with serving(newest()) as api, connected(api.kubeconfig(tmp_path)) as client:
        await client.resource("v1", "Pod")
    accepted = api.requests[0].headers["accept"]
    assert accepted == AGGREGATED
    assert [part.partition("v=")[2][:7] for part in accepted.split(", ")] == [
        "v2;as=A", "v2beta1", "",
    ]  # fmt: skip


@pytest.mark.parametrize("table", [newest(), oldest()], ids=["aggregated", "classic"])
async def test_a_kind_of_subresources_is_not_taken_for_the_kind(
    table: Table, tmp_path: Path
) -> None:
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        with pytest.raises(ClusterError) as raised:
            await client.resource("v1", "Scale")
    assert raised.value.fault is ClusterFault.KIND_UNKNOWN


async def test_an_unknown_kind_is_asked_for_once_more_and_then_refused(tmp_path: Path) -> None:
    table: Table = {"GET /apis": NO_GROUPS, "GET /api": CORE_KINDS}
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        await client.resource("v1", "ConfigMap")
        with pytest.raises(ClusterError, match="the cluster knows no Widget") as raised:
            await client.resource("ex.io/v1", "Widget")
    assert api.paths == ["/apis", "/api"] * 2
    assert (raised.value.fault, raised.value.temporary) == (ClusterFault.KIND_UNKNOWN, False)
    assert "CustomResourceDefinition" in str(raised.value.hint)


async def test_what_was_just_asked_is_not_asked_again(tmp_path: Path) -> None:
    table: Table = {"GET /apis": NO_GROUPS, "GET /api": CORE_KINDS}
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        with pytest.raises(ClusterError, match="knows no Widget"):
            await client.resource("ex.io/v1", "Widget")
    assert api.paths == ["/apis", "/api"]


async def test_a_kind_that_came_meanwhile_is_found(tmp_path: Path) -> None:
    table: Table = {"GET /apis": [NO_GROUPS, WIDGETS], "GET /api": CORE_KINDS}
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        await client.resource("v1", "ConfigMap")
        widget = await client.resource("ex.io/v1", "Widget")
    assert widget.plural == "widgets"


async def test_a_kind_that_came_meanwhile_is_found_the_classic_way(tmp_path: Path) -> None:
    table: Table = {
        "GET /apis": [classic_groups("apps/v1"), classic_groups("apps/v1", "ex.io/v1")],
        "GET /api/v1": Reply(body=classic("configmaps:ConfigMap")),
        "GET /apis/ex.io/v1": Reply(body=classic("widgets:Widget")),
    }
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        await client.resource("v1", "ConfigMap")
        assert (await client.resource("ex.io/v1", "Widget")).plural == "widgets"


async def test_after_forgetting_all_is_asked_anew(tmp_path: Path) -> None:
    async with serving(newest()) as api, connected(api.kubeconfig(tmp_path)) as client:
        await client.resource("v1", "ConfigMap")
        await client.forget_discovery()
        await client.resource("v1", "ConfigMap")
    assert api.paths == ["/apis", "/api"] * 2


async def test_a_404_of_a_kind_makes_discovery_doubt_what_it_knows(tmp_path: Path) -> None:
    async with serving(newest()) as api, connected(api.kubeconfig(tmp_path)) as client:
        resource = await client.resource("v1", "ConfigMap")
        with pytest.raises(ClusterError) as raised:
            await client.get(resource, "shop", "a")
        await client.resource("v1", "ConfigMap")
    assert raised.value.fault is ClusterFault.KIND_UNKNOWN
    assert api.paths.count("/apis") == 2


async def test_many_at_once_ask_once(tmp_path: Path) -> None:
    async with serving(newest()) as api, connected(api.kubeconfig(tmp_path)) as client:
        found = await asyncio.gather(*(client.resource("v1", "Pod") for _ in range(20)))
    assert {each.plural for each in found} == {"pods"}
    assert client.sent == 2


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(
            {
                "GET /apis": groups(
                    metrics_io=[version("v1", freshness="Stale")],
                    apps=[version("v1", item("deployments", "Deployment"))],
                ),
                "GET /api": CORE_KINDS,
            },
            id="aggregated",
        ),
        pytest.param(
            {
                "GET /apis": classic_groups("metrics.io/v1", "apps/v1"),
                "GET /apis/metrics.io/v1": refused(503, "ServiceUnavailable", "not there"),
                "GET /apis/apps/v1": Reply(body=classic("deployments:Deployment")),
            },
            id="classic",
        ),
    ],
)
async def test_a_stale_group_is_a_passing_trouble_of_its_own_kinds_only(
    table: Table, tmp_path: Path
) -> None:
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        with pytest.raises(ClusterError, match="does not answer") as raised:
            await client.resource("metrics.io/v1", "NodeMetrics")
        assert (await client.resource("apps/v1", "Deployment")).plural == "deployments"
    assert (raised.value.fault, raised.value.temporary) == (ClusterFault.KIND_UNKNOWN, True)
    assert "APIService" in str(raised.value.hint)


async def test_a_stale_group_is_found_as_soon_as_it_is_back(tmp_path: Path) -> None:
    stale = groups(ex_io=[version("v1", freshness="Stale")])
    table: Table = {"GET /apis": [stale, WIDGETS], "GET /api": CORE_KINDS}
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        with pytest.raises(ClusterError, match="does not answer"):
            await client.resource("ex.io/v1", "Widget")
        assert (await client.resource("ex.io/v1", "Widget")).plural == "widgets"


@pytest.mark.parametrize(
    ("api_version", "kind", "hint"),
    [
        pytest.param("apps/v1beta1", "Deployment", "it serves Deployment in apps/v1", id="version"),
        pytest.param("v1", "Deployment", "it serves Deployment in apps/v1", id="group"),
        pytest.param("apps/v9", "Deploy", "it serves the group in apps/v1", id="group's versions"),
        pytest.param("apps/v1", "Deploy", "check apiVersion and kind", id="nothing like it"),
    ],
)
async def test_the_hint_says_where_the_kind_is_served(
    api_version: str, kind: str, hint: str, tmp_path: Path
) -> None:
    async with serving(newest()) as api, connected(api.kubeconfig(tmp_path)) as client:
        with pytest.raises(ClusterError) as raised:
            await client.resource(api_version, kind)
    assert hint in str(raised.value.hint)


async def test_of_two_resources_with_one_kind_the_readable_one_counts(tmp_path: Path) -> None:
    two = groups(ex_io=[version("v1", item("reviews", "W", verbs=["create"]), item("ws", "W"))])
    table: Table = {"GET /apis": two, "GET /api": CORE_KINDS}
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        assert (await client.resource("ex.io/v1", "W")).plural == "ws"


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        pytest.param(Reply(body=b"<html>"), ClusterFault.NOT_KUBERNETES, id="HTML"),
        pytest.param(Reply(body={"kind": "Other"}), ClusterFault.NOT_KUBERNETES, id="other JSON"),
        pytest.param(refused(403, "Forbidden", "no"), ClusterFault.FORBIDDEN, id="forbidden"),
        pytest.param(
            Reply(body={"kind": "APIGroupDiscoveryList", "items": 5}),
            ClusterFault.NOT_KUBERNETES,
            id="a list that is none",
        ),
    ],
)
async def test_no_list_of_kinds_is_an_error_that_says_so(
    reply: Reply, fault: ClusterFault, tmp_path: Path
) -> None:
    table: Table = {"GET /apis": reply, "GET /api": groups()}
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        with pytest.raises(ClusterError, match=r"^cluster test: its list of kinds: ") as raised:
            await client.resource("v1", "Pod")
    assert raised.value.fault is fault


@pytest.mark.parametrize(
    "group",
    [
        pytest.param({"metadata": ["x"], "versions": "v1"}, id="no group"),
        pytest.param({"metadata": {"name": "ex.io"}, "versions": [{}]}, id="a nameless version"),
        pytest.param(
            {"metadata": {"name": "ex.io"}, "versions": [version("v1", item("..", "Widget"))]},
            id="a name that leads elsewhere",
        ),
        pytest.param(
            {"metadata": {"name": "ex.io"}, "versions": [version("v1", item("a/b", "Widget"))]},
            id="a name with a slash",
        ),
        pytest.param(
            {
                "metadata": {"name": "ex.io"},
                "versions": [
                    {"version": "v1", "resources": [{"resource": 5, "responseKind": ["Widget"]}]}
                ],
            },
            id="names that are none",
        ),
        pytest.param(
            {
                "metadata": {"name": "ex.io"},
                "versions": [version("v1", item("w", "Other", verbs=[["get"]]))],
            },
            id="verbs that are none",
        ),
    ],
)
async def test_what_no_server_should_list_hides_nothing_else(
    group: dict[str, Any], tmp_path: Path
) -> None:
    bad = Reply(body={"kind": "APIGroupDiscoveryList", "metadata": {}, "items": [group]})
    table = {"GET /apis": bad, "GET /api": CORE_KINDS}
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        assert (await client.resource("v1", "ConfigMap")).plural == "configmaps"
        with pytest.raises(ClusterError) as caught:
            await client.resource("ex.io/v1", "Widget")
    assert caught.value.fault is ClusterFault.KIND_UNKNOWN


async def test_what_no_server_should_list_the_classic_way_is_left_out(tmp_path: Path) -> None:
    listed = [{"name": 5, "kind": "Widget"}, {"name": "..", "kind": "Widget"}, "widgets"]
    table = {
        "GET /apis": classic_groups("ex.io/v1"),
        "GET /apis/ex.io/v1": Reply(body={"kind": "APIResourceList", "resources": listed}),
    }
    async with serving(table) as api, connected(api.kubeconfig(tmp_path)) as client:
        with pytest.raises(ClusterError) as caught:
            await client.resource("ex.io/v1", "Widget")
    assert caught.value.fault is ClusterFault.KIND_UNKNOWN


async def test_a_poisoned_cache_of_the_official_client_has_no_effect(tmp_path: Path) -> None:
    """Its dynamic client believes a file in a directory that anybody may write to."""
    async with serving(newest()) as api, connected(api.kubeconfig(tmp_path)) as client:
        name = f"osrcp-{md5(api.url.encode(), usedforsecurity=False).hexdigest()}.json"
        with _written(Path(gettempdir()) / name, '{"library_version": "poisoned"}'):
            config_map = await client.resource("v1", "ConfigMap")
    assert config_map.plural == "configmaps"


@contextmanager
def _written(path: Path, content: str) -> Iterator[None]:
    path.write_text(content)
    try:
        yield
    finally:
        path.unlink()

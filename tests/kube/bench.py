"""A stage that applies objects in a namespace of its own, for the tests of applying."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kube.cluster import RealCluster
from watcher.core.cluster import Cluster
from watcher.kube.applying.apply import execute
from watcher.kube.applying.inventory import prune
from watcher.kube.applying.plan import Action, ApplyOptions, Plan, Result
from watcher.kube.applying.preflight import make_plan
from watcher.kube.client import ClusterClient, PatchType
from watcher.kube.manifests.bundle import Document, read_documents
from watcher.kube.objects import FIELD_MANAGER, Object

PATHS = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "CronTab": "/apis/stable.example.com/v1/namespaces/{}/crontabs",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
}


@dataclass(kw_only=True)
class Bench:
    """A namespace, a client, and what was told. `settings` and `options` hold for all applies."""

    cluster: RealCluster
    client: ClusterClient
    namespace: str
    settings: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def with_options(self, **changes: Any) -> ApplyOptions:
        given: dict[str, Any] = {
            "pipeline": "shop",
            "stage": "deploy",
            "cluster": Cluster(name="test", **self.settings),
            "namespace": self.namespace,
        }
        return ApplyOptions(**(given | self.options | changes))

    async def plan(self, *objects: Object, **changes: Any) -> Plan:
        return await make_plan(self.client, documents(*objects), self.with_options(**changes))

    async def execute(self, plan: Plan, **changes: Any) -> tuple[Result, ...]:
        return await execute(self.client, plan, self.with_options(**changes), tell=self.told.append)

    async def apply(self, *objects: Object, **changes: Any) -> dict[str, Action]:
        """Plan, apply and prune; what became of each object by its name."""
        options = self.with_options(**changes)
        plan = await make_plan(self.client, documents(*objects), options)
        self.told += plan.warnings
        results = await execute(self.client, plan, options, tell=self.told.append)
        pruned = await prune(self.client, plan, results, options, tell=self.told.append)
        return {result.key.name: result.action for result in (*results, *pruned)}

    async def patch(self, item: Object, body: Object, *, manager: str) -> Object:
        """What another program does to an object."""
        resource = await self.client.resource(item["apiVersion"], item["kind"])
        return await self.client.patch(
            resource,
            self.namespace,
            item["metadata"]["name"],
            body,
            content_type=PatchType.MERGE,
            manager=manager,
        )

    def read(self, kind: str, name: str) -> Object:
        return self.cluster.get(f"{self.path(kind)}/{name}")

    def exists(self, kind: str, name: str) -> bool:
        return self.cluster.request("GET", f"{self.path(kind)}/{name}")[0] == 200

    def path(self, kind: str) -> str:
        return PATHS[kind].format(self.namespace)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, input=text)


@asynccontextmanager
async def bench_of(
    cluster: RealCluster, kubeconfig: Path | None = None, namespace: str | None = None, **more: Any
) -> AsyncIterator[Bench]:
    """A bench that works by a kubeconfig, else as administrator."""
    settings = Cluster(name="test", kubeconfig=kubeconfig or cluster.kubeconfig)
    client = await ClusterClient.connect(settings, environment={}, **more)
    try:
        yield Bench(cluster=cluster, client=client, namespace=namespace or cluster.namespace())
    finally:
        await client.close()


def documents(*objects: Object) -> tuple[Document, ...]:
    """As if they stood in a file."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    return read_documents([("app.json", text)]).documents


def config_map(name: str, _data: dict[str, str] | None = None, /, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": (_data or {}) | data,
    }


def secret(name: str, **changes: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **changes}


def deployment(name: str = "web", image: str = "web:1", **spec: Any) -> Object:
    labels = {"app": name}
    pod = {"containers": [{"name": "web", "image": image}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            **spec,
        },
    }


def namespace_object(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def owned(item: Object, manager: str = FIELD_MANAGER, operation: str = "Apply") -> Any:
    """The fields that a manager owns, None when it owns nothing."""
    for entry in item["metadata"]["managedFields"]:
        if (entry["manager"], entry["operation"]) == (manager, operation):
            return entry["fieldsV1"]
    return None

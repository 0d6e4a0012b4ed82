"""Runs of pipelines against the real API server, by the real runner on a real state file.

A test writes manifests and stages as a user does; `deploy` runs them for one tag of
index.docker.io/acme/web, as a trigger would.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.kube.cluster import RealCluster
from watcher.config.load import Config, load
from watcher.core import planning
from watcher.core.deployment import Bundle, Rejection
from watcher.core.pipeline import Execution, Json
from watcher.daemon.clusters import ClusterConnections
from watcher.daemon.deployed import ConfiguredAccounts
from watcher.daemon.facts import contexts
from watcher.engine.rules import Rules
from watcher.engine.runner import EmbeddedRunner
from watcher.registry.client import RegistryClient
from watcher.stages import OPTIONS, STAGES, UNDOABLE
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log

IMAGE = "acme/web"
DIGEST = "sha256:" + "d" * 64
ACCOUNT = {"name": "hub", "address": "index.docker.io", "username": "me", "password": "pass-word-1"}
_PATHS = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
}


@dataclass(kw_only=True)
class Deploying:
    """A namespace with nothing in it, and a config of one pipeline. It is also what the contexts
    of the stages are made of (daemon/facts)."""

    directory: Path
    cluster: RealCluster
    namespace: str
    store: ThreadedStore
    config: Config = field(init=False)
    clusters: ClusterConnections = field(init=False)
    rules: Rules = field(init=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = lambda: datetime.now(UTC).timestamp()
    secret_variables: frozenset[str] = frozenset()
    runs: int = 0

    def __post_init__(self) -> None:
        self.accounts = ConfiguredAccounts(self)
        self.clusters = ClusterConnections(lambda: self.config, self.environment)

    def client_named(self, account: str) -> RegistryClient | None:
        return None

    def configure(
        self,
        *stages: Mapping[str, Json],
        clusters: Json = None,
        account: Json = ACCOUNT,
        name: str = "deploy",
        **pipeline: Json,
    ) -> None:
        """From now on the pipeline `deploy`, or that of another name, has these stages."""
        tree = {
            "accounts": [{**account, "repositories": [IMAGE]}],
            "clusters": clusters or [self.settings()],
            "triggers": [{"name": "web", "account": "hub", "repository": IMAGE, "pipeline": name}],
            "pipelines": [{"name": name, "stages": list(stages), **pipeline}],
        }
        file = self.directory / "config.yaml"
        file.write_text(json.dumps(tree))
        self.config = load(file, stages=OPTIONS, undoable=UNDOABLE, environment={})
        self.rules = Rules.of(self.config.triggers, self.config.pipelines, {})

    def settings(self, **changes: Json) -> dict[str, Json]:
        own = {"kubeconfig": str(self.cluster.kubeconfig), "namespace": self.namespace}
        return {"name": "test", **own, **changes}

    def manifest(self, name: str, *objects: Mapping[str, Json]) -> None:
        (self.directory / name).write_text(yaml.safe_dump_all(objects))

    async def deploy(self, tag: str, **changes: Any) -> Execution:
        """Run the pipeline to its end for a tag, as if a trigger had fired."""
        return await self.ended(await self.submit(tag, **changes))

    async def submit(self, tag: str, *, created: datetime | None = None, **changes: Any) -> str:
        self.runs += 1
        run = planning.plan_manual(
            self.config.pipelines[0],
            trigger=None,
            account="hub",
            registry="index.docker.io",
            repository=IMAGE,
            tag=tag,
            digest=changes.pop("digest", None),
            parameters={},
            user="me",
            word=str(self.runs),
            now=created or datetime.now(UTC),
        )
        run = replace(run, trigger="web", **{"change": "new", **changes})
        assert await self.store.run(lambda store: store.submit(run, None))
        return run.id

    def runner(self, **changes: Any) -> EmbeddedRunner:
        return EmbeddedRunner(self.store, STAGES, contexts(self), log=Log("error"), **changes)

    async def ended(self, identifier: str) -> Execution:
        await self.runner().run(until_idle=True)
        execution = await self.execution(identifier)
        assert execution.status.is_final
        return execution

    async def execution(self, identifier: str) -> Execution:
        found = await self.store.run(lambda store: store.execution(identifier))
        assert found is not None
        return found

    async def stopped(self, when: Callable[[], bool]) -> None:
        """Run until `when`, then end as a daemon does that is told to stop at once."""
        runner = self.runner(grace=timedelta())
        running = asyncio.create_task(runner.run(until_idle=True))
        await until(when)
        await runner.close()
        await running

    async def retry(self, identifier: str) -> Execution:
        assert await self.runner().retry(identifier)
        return await self.ended(identifier)

    async def last_good(self, stage: str = "apply") -> Bundle | None:
        return await self.store.run(lambda store: store.last_good("deploy", stage))

    async def rejections(self) -> list[Rejection]:
        return await self.store.run(lambda store: store.rejections("deploy"))

    def path(self, kind: str, name: str = "") -> str:
        collection = _PATHS[kind].format(self.namespace)
        return f"{collection}/{name}" if name else collection

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.cluster.get(self.path(kind, name))

    def exists(self, kind: str, name: str) -> bool:
        return self.cluster.request("GET", self.path(kind, name))[0] == 200

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments)

    def image(self, kind: str, name: str = "web") -> str:
        return str(self.get(kind, name)["spec"]["template"]["spec"]["containers"][0]["image"])

    async def close(self) -> None:
        await self.clusters.close()
        await self.store.close()


async def until(done: Callable[[], bool], *, within: float = 30.0) -> None:
    """Until `done` is true; AssertionError after `within` seconds."""
    async with asyncio.timeout(within):
        while not await asyncio.to_thread(done):
            await asyncio.sleep(0.02)


def open_store(directory: Path) -> ThreadedStore:
    return ThreadedStore(lambda: Store.open(directory / "watcher.db"))


def workload(
    kind: str = "Deployment", *, image: str = f"{IMAGE}:0", **spec: Json
) -> dict[str, Json]:
    """An ordinary manifest named `web`."""
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": image}]},
    }
    plain = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    service = {"serviceName": "web"} if kind == "StatefulSet" else {}
    whole = {**plain, **service, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}, "spec": whole}


def config_map(name: str = "settings", **data: str) -> dict[str, Json]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name: str = "login", **data: str) -> dict[str, Json]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def apply(*manifests: str, on_failure: Json = "stop", **options: Json) -> dict[str, Json]:
    """The stage, with a wait that a good rollout never needs."""
    given = {"manifests": list(manifests), "wait": "30s", **options}
    return {"apply": given, "on_failure": on_failure}


BROKEN = {"command": ["false"], "name": "check", "on_failure": "rollback"}
"""A later stage that fails, and wants all of it taken back."""

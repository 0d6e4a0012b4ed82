"""What this program asks of a Kubernetes cluster: objects as plain dicts in, plain dicts out.

Thin on purpose: discovery, server-side apply, retries and time-outs are ours, configuration, TLS
and connections the official client's. Every method raises ClusterError and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from watcher.core.cluster import Cluster
from watcher.errors import ClusterError, ClusterFault
from watcher.kube.connecting import requests
from watcher.kube.connecting.answers import Answer, items_of, json_object, not_kubernetes, object_of
from watcher.kube.connecting.connection import (
    SERVICE_ACCOUNT,
    Connection,
    Surroundings,
    open_connection,
)
from watcher.kube.connecting.discovery import Discovery
from watcher.kube.connecting.exchange import Exchange, Patience, Repeat, in_thread
from watcher.kube.connecting.exec_plugin import SECONDS
from watcher.kube.connecting.requests import PatchType as PatchType
from watcher.kube.connecting.requests import Request
from watcher.kube.objects import FIELD_MANAGER, Object, Resource

PAGE = 500
"""Objects of one page of a list."""

MOST_PAGES = 1000
"""Pages of one list; more than a cluster can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an apply gave: the object as it is now, whether it is new, and the server's warnings."""

    object: Object = field(repr=False)
    created: bool
    warnings: tuple[str, ...] = ()


class ClusterClient:
    """One cluster. Made by `connect`; its methods may be awaited at the same time.

    `cluster` is what the config says, `namespace` where stages work that name none, `sent` the
    number of requests so far.
    """

    def __init__(self, cluster: Cluster, connection: Connection, exchange: Exchange) -> None:
        self.cluster = cluster
        self.namespace = cluster.namespace or connection.namespace or "default"
        self._connection = connection
        self._exchange = exchange
        self._discovery = Discovery(exchange, name=cluster.name)

    @staticmethod
    async def connect(
        cluster: Cluster,
        *,
        environment: Mapping[str, str],
        home: Path | None = None,
        service_account: Path = SERVICE_ACCOUNT,
        plugin_seconds: float = SECONDS,
        patience: Patience | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> ClusterClient:
        """A client for the cluster. Reads the kubeconfig and gets the credential, but sends no
        request. Raises ClusterError (CONFIGURATION).

        `home` holds `.kube/config`, `service_account` the files of a pod's own account; an exec
        plug-in may take `plugin_seconds`.
        """
        surroundings = Surroundings(
            environment=environment,
            home=home or Path(environment.get("HOME", "/")),
            service_account=service_account,
            plugin_seconds=plugin_seconds,
            clock=clock,
            now=now,
        )
        connection = await in_thread(lambda: _prepared(cluster, surroundings))
        exchange = Exchange(connection, sleep=sleep, patience=patience or Patience())
        return ClusterClient(cluster, connection, exchange)

    @property
    def sent(self) -> int:
        return self._exchange.sent

    async def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    async def resource(self, api_version: str, kind: str) -> Resource:
        """How the server serves a kind; asked once and remembered, and asked again for an unknown
        one. Raises ClusterError (KIND_UNKNOWN), temporary while the group's server is away."""
        return await self._discovery.find(api_version, kind)

    async def forget_discovery(self) -> None:
        """Ask anew which kinds there are, as after a CustomResourceDefinition was made."""
        self._discovery.forget()

    async def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object, or None when there is none of that name."""
        request = requests.to_get(resource, namespace, name)
        try:
            answer = await self._send(request)
        except ClusterError as error:
            if error.fault is ClusterFault.NOT_FOUND:
                return None
            raise
        return object_of(answer, resource.kind, about=request.about)

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> list[Object]:
        """All objects of the kind that the selectors take, in all namespaces unless one is given;
        each with its `apiVersion` and `kind`, which a server leaves out in lists."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        selector = {key: value for key, value in selectors.items() if value}
        try:
            pages = await self._pages(resource, namespace, {"limit": str(PAGE), **selector})
        except ClusterError as error:
            if error.status != 410:  # the pages grew too old while they were read
                raise
            pages = await self._pages(resource, namespace, selector)
        own = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**own, **item} for page in pages for item in page]

    async def apply(
        self,
        resource: Resource,
        item: Object,
        *,
        dry_run: bool = False,
        force: bool = False,
        manager: str = FIELD_MANAGER,
    ) -> Applied:
        """Server-side apply: what `item` holds is what `manager` wants.

        `metadata.resourceVersion` in it fences the update. `force` takes fields from others.
        Raises ClusterError (FIELD_CONFLICT with its conflicts, VERSION_CONFLICT, IMMUTABLE...).
        """
        request = requests.to_apply(resource, item, dry_run=dry_run, force=force, manager=manager)
        answer = await self._send(request)
        return Applied(
            object=object_of(answer, resource.kind, about=request.about),
            created=answer.status == 201,
            warnings=answer.warnings,
        )

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Any,
        *,
        content_type: PatchType,
        subresource: str | None = None,
        manager: str = FIELD_MANAGER,
        dry_run: bool = False,
    ) -> Object:
        """Patch an object that exists. After a lost answer it is sent again only where the body
        holds the resourceVersion that it is for. Raises ClusterError (NOT_FOUND...)."""
        request = requests.to_patch(
            resource,
            namespace,
            name,
            body,
            content_type=content_type,
            subresource=subresource,
            manager=manager,
            dry_run=dry_run,
        )
        safe = dry_run or requests.names_version(body)
        answer = await self._send(request, Repeat.SAFE if safe else Repeat.UNSENT)
        return object_of(answer, resource.kind, about=request.about)

    async def create(
        self,
        resource: Resource,
        item: Object,
        *,
        manager: str = FIELD_MANAGER,
        dry_run: bool = False,
    ) -> Object:
        """Create an object; not repeated after a lost answer. Raises ClusterError (EXISTS...)."""
        request = requests.to_create(resource, item, manager=manager, dry_run=dry_run)
        answer = await self._send(request, Repeat.SAFE if dry_run else Repeat.UNSENT)
        return object_of(answer, resource.kind, about=request.about)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str = "Background",
        grace_seconds: int | None = None,
        dry_run: bool = False,
    ) -> bool:
        """Delete an object, the very one with `uid` where that is given; False when there was none.

        `propagation` is Background, Foreground or Orphan. Another uid or version is a ClusterError
        (VERSION_CONFLICT). After a lost answer it is sent again only with a `uid`.
        """
        request = requests.to_delete(
            resource,
            namespace,
            name,
            uid=uid,
            resource_version=resource_version,
            propagation=propagation,
            grace_seconds=grace_seconds,
            dry_run=dry_run,
        )
        try:
            answer = await self._send(request, Repeat.SAFE if uid or dry_run else Repeat.UNSENT)
        except ClusterError as error:
            if error.fault is ClusterFault.NOT_FOUND:
                return False
            raise
        json_object(answer, about=request.about)
        return True

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, lines: int = 20
    ) -> str:
        """The last lines that a container wrote, of its run before with `previous`. Asked for
        once: it explains a failure, and its node may be gone."""
        request = requests.to_read_log(namespace, pod, container, previous=previous, lines=lines)
        answer = await self._send(request, Repeat.NEVER)
        if answer.headers.get("content-type", "").startswith("text/html"):
            raise not_kubernetes(answer, about=request.about)
        return answer.body.decode(errors="replace")

    async def allowed(self, attributes: Mapping[str, str]) -> bool:
        """Whether we may do something: `verb`, `group`, `resource`, `namespace`, `name`..., as the
        `resourceAttributes` of a SelfSubjectAccessReview."""
        request = requests.to_review(attributes)
        answer = await self._send(request)
        status = json_object(answer, about=request.about).get("status")
        if not isinstance(status, dict) or not isinstance(status.get("allowed"), bool):
            raise not_kubernetes(answer, about=request.about)
        return bool(status["allowed"])

    async def version(self) -> str:
        """The server's version, as `v1.36.1`. For people: never decide anything by it."""
        request = Request(method="GET", path="/version", about="the cluster's version")
        answer = await self._send(request)
        version = json_object(answer, about=request.about).get("gitVersion")
        if not isinstance(version, str):
            raise not_kubernetes(answer, about=request.about)
        return version

    async def _pages(
        self, resource: Resource, namespace: str, query: Mapping[str, str]
    ) -> Sequence[Sequence[Object]]:
        pages: list[Sequence[Object]] = []
        following = dict(query)
        while len(pages) < MOST_PAGES:
            request = requests.to_list(resource, namespace, following)
            answer = await self._send(request)
            items, onward = items_of(answer, about=request.about)
            pages.append(items)
            if not onward:
                return pages
            following = {**query, "continue": onward}
        raise not_kubernetes(answer, about=request.about)

    async def _send(self, request: Request, repeat: Repeat = Repeat.SAFE) -> Answer:
        """The answer. A kind that the server does not know any more is no longer believed."""
        try:
            return await self._exchange.send(request, repeat)
        except ClusterError as error:
            if error.fault is ClusterFault.KIND_UNKNOWN:
                self._discovery.forget()
            raise


def _prepared(cluster: Cluster, surroundings: Surroundings) -> Connection:
    connection = open_connection(cluster, surroundings)
    connection.prepare()
    return connection

"""The connections to the config's Kubernetes clusters, made when a stage first needs one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from watcher.core.cluster import DEFAULT_CLUSTER, Cluster
from watcher.errors import StageError

if TYPE_CHECKING:
    from watcher.kube.client import ClusterClient


class ClusterConnections:
    """`clusters` gives those of the config as it is now; one whose settings changed gets a new
    connection, the old one serves those who have it."""

    def __init__(
        self, clusters: Callable[[], Sequence[Cluster]], environment: Mapping[str, str]
    ) -> None:
        self._clusters = clusters
        self._environment = environment
        self._clients: dict[Cluster, ClusterClient] = {}
        self._connecting = asyncio.Lock()

    def settings(self, name: str | None) -> Cluster:
        """Raises StageError when there is none of that name, or several and no name."""
        known = {cluster.name: cluster for cluster in self._clusters()}
        listed = ", ".join(known) or "none"
        if name is not None:
            if name in known:
                return known[name]
            raise StageError(f"there is no cluster {name!r}", hint=f"`clusters:` has: {listed}")
        if len(known) > 1:
            raise StageError(
                "the config has several clusters and the stage names none",
                hint=f"write `cluster:` with one of: {listed}",
            )
        return next(iter(known.values()), DEFAULT_CLUSTER)

    async def client(self, name: str | None) -> ClusterClient:
        """Raises StageError as `settings` does, ClusterError when it can't be configured."""
        from watcher.kube.client import ClusterClient

        cluster = self.settings(name)
        async with self._connecting:
            if cluster not in self._clients:
                self._clients[cluster] = await ClusterClient.connect(
                    cluster, environment=self._environment
                )
            return self._clients[cluster]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

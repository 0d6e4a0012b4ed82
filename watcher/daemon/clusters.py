"""The connections to the config's Kubernetes clusters, made when a stage first needs one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from watcher.core.cluster import DEFAULT_CLUSTER, Cluster
from watcher.errors import StageError

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.kube.client import ClusterClient


class ClusterConnections:
    """`config` gives the config as it is now: a cluster whose settings changed gets a new
    connection, the old one serves those who have it. Exec plug-ins see `environment`, but for the
    passwords of accounts."""

    def __init__(self, config: Callable[[], Config], environment: Mapping[str, str]) -> None:
        self._config = config
        self._environment = environment
        self._clients: dict[Cluster, ClusterClient] = {}
        self._connecting = asyncio.Lock()

    def settings(self, name: str | None) -> Cluster:
        """Raises StageError when there is none of that name, or several and no name."""
        known = {cluster.name: cluster for cluster in self._config().clusters}
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
                environment = self._config().without_passwords(self._environment)
                self._clients[cluster] = await ClusterClient.connect(
                    cluster, environment=environment
                )
            return self._clients[cluster]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

"""What Secrets were before a run changed them, kept beside them in the cluster.

The state file never holds their values. A copy is a Secret `registry-watcher-undo-...` in the same
namespace, labelled with the run and the stage that made it. Used by the stage `apply` and `undo`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from watcher.errors import ClusterError, ClusterFault
from watcher.kube.client import ClusterClient
from watcher.kube.objects import Object, ObjectKey
from watcher.kube.reading import section, text, uid

EXECUTION_LABEL = "registry-watcher/execution"
STAGE_LABEL = "registry-watcher/undo-of"
_PREFIX = "registry-watcher-undo-"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretCopies:
    """The copies that one stage of one run makes."""

    client: ClusterClient
    execution: str
    stage: str
    """The pipeline and the stage, as a label's value."""

    @staticmethod
    def of(client: ClusterClient, *, execution: str, pipeline: str, stage: str) -> SecretCopies:
        return SecretCopies(client=client, execution=execution, stage=_short(f"{pipeline}/{stage}"))

    async def keep(self, secret: Object, values: Mapping[str, str]) -> str:
        """Keep the (encoded) values of a Secret; the name of the copy. Raises ClusterError."""
        name = f"{_PREFIX}{_short(f'{self.execution}{uid(secret)}')}"
        copy = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": secret["metadata"]["namespace"],
                "labels": {EXECUTION_LABEL: self.execution, STAGE_LABEL: self.stage},
            },
            "type": "Opaque",
            "data": dict(values),
        }
        resource = await self.client.resource("v1", "Secret")
        await self.client.apply(resource, copy, force=True)
        return name

    async def values(self, namespace: str, name: str) -> dict[str, str]:
        """What a copy holds. Raises ClusterError, NOT_FOUND too."""
        resource = await self.client.resource("v1", "Secret")
        copy = await self.client.get(resource, namespace, name)
        if copy is None:
            raise ClusterError(
                "the copy of its previous values is gone",
                fault=ClusterFault.NOT_FOUND,
                about=str(ObjectKey("", "Secret", namespace, name)),
            )
        return dict(section(copy, "data"))

    async def drop(self, copies: Iterable[tuple[str, str]]) -> None:
        """Delete copies, each by namespace and name. Raises ClusterError."""
        for namespace, name in copies:
            resource = await self.client.resource("v1", "Secret")
            await self.client.delete(resource, namespace, name)

    async def drop_leftovers(
        self, namespace: str, has_ended: Callable[[str, datetime], Awaitable[bool]]
    ) -> int:
        """Delete those that runs of the same stage left behind; how many there were.

        `has_ended` tells whether a run with that id can't need a copy of that time any more.
        """
        resource = await self.client.resource("v1", "Secret")
        dropped = 0
        for copy in await self.client.list(
            resource, namespace, labels=f"{STAGE_LABEL}={self.stage}"
        ):
            execution = text(copy, "metadata", "labels", EXECUTION_LABEL)
            name = text(copy, "metadata", "name")
            made = datetime.fromisoformat(text(copy, "metadata", "creationTimestamp"))
            if not await has_ended(execution, made):
                continue
            if name.startswith(_PREFIX):
                await self.client.delete(resource, namespace, name, uid=uid(copy))
                dropped += 1
        return dropped


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]

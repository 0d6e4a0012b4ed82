"""Clients of the faulty API server, whose waits take no time, and calls of every method."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.kube.faulty_api import Behaviour, FaultyApi, Reply
from watcher.core.cluster import Cluster
from watcher.errors import ClusterError
from watcher.kube.client import ClusterClient, PatchType
from watcher.kube.connecting.exchange import Patience
from watcher.kube.connecting.transport import Timeouts
from watcher.kube.objects import Object, Resource

CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps", True)  # noqa: FBT003
CONFIG_MAP = "/api/v1/namespaces/shop/configmaps/a"
SHORT = Patience(
    read=Timeouts(connect=1.0, read=0.3, whole=1.0),
    write=Timeouts(connect=1.0, read=0.3, whole=1.0),
)
"""For servers that hang."""


def config_map(**changes: Any) -> Object:
    metadata = {"name": "a", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **changes}


@dataclass(kw_only=True)
class Time:
    """A clock that only sleeping and `pass_` move; `slept` holds the waits in seconds."""

    slept: list[float] = field(default_factory=list)
    seconds: float = 1000.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 21, 8, 0, tzinfo=UTC) + timedelta(seconds=self.seconds - 1000.0)


@asynccontextmanager
async def connected(
    kubeconfig: Path | None,
    *,
    time: Time | None = None,
    context: str | None = None,
    namespace: str | None = None,
    environment: Mapping[str, str] | None = None,
    now: Callable[[], datetime] | None = None,
    **options: Any,
) -> AsyncIterator[ClusterClient]:
    """A client by that kubeconfig, closed at the end of the block; with a `time` of its own."""
    time = time or Time()
    settings = Cluster(name="test", kubeconfig=kubeconfig, context=context, namespace=namespace)
    client = await ClusterClient.connect(
        settings,
        environment=environment if environment is not None else {"PATH": "/usr/bin:/bin"},
        sleep=time.sleep,
        clock=time.clock,
        now=now or time.now,
        **options,
    )
    try:
        yield client
    finally:
        await client.close()


GOOD = Reply(body=config_map())
COLLECTION = CONFIG_MAP.removesuffix("/a")

Call = Callable[[ClusterClient], Awaitable[Any]]


def fenced() -> Object:
    return config_map(metadata={"name": "a", "namespace": "shop", "resourceVersion": "7"})


def patching(body: Any, content_type: PatchType = PatchType.MERGE, **more: Any) -> Call:
    return lambda client: client.patch(
        CONFIG_MAPS, "shop", "a", body, content_type=content_type, **more
    )


async def _get(client: ClusterClient) -> Any:
    return await client.get(CONFIG_MAPS, "shop", "a")


async def _apply(client: ClusterClient) -> Any:
    return await client.apply(CONFIG_MAPS, config_map())


def creating(**options: Any) -> Call:
    return lambda client: client.create(CONFIG_MAPS, config_map(), **options)


def deleting(**options: Any) -> Call:
    return lambda client: client.delete(CONFIG_MAPS, "shop", "a", **options)


GET: Call = _get
APPLY: Call = _apply
CREATE, TRY_CREATE = creating(), creating(dry_run=True)
DELETE, DELETE_UID = deleting(), deleting(uid="u")
PATCH = patching({"data": {"k": "v"}})
PATCH_FENCED = patching({"metadata": {"resourceVersion": "7"}})
PATCH_JSON_FENCED = patching(
    [{"op": "test", "path": "/metadata/resourceVersion", "value": "7"}], PatchType.JSON
)
METHODS = {"get": GET, "apply": APPLY, "create": CREATE, "delete": DELETE, "patch": PATCH}
ROUTES = {
    "get": f"GET {CONFIG_MAP}",
    "apply": f"PATCH {CONFIG_MAP}",
    "create": f"POST {COLLECTION}",
    "delete": f"DELETE {CONFIG_MAP}",
    "patch": f"PATCH {CONFIG_MAP}",
}


def everywhere(*behaviours: Behaviour) -> dict[str, tuple[Behaviour, ...]]:
    """The same for every method."""
    return dict.fromkeys(ROUTES.values(), behaviours)


async def outcome(api: FaultyApi, tmp_path: Path, call: Call, clock: Time, **options: Any) -> Any:
    """What the call gives, or the error that it ends with."""
    async with connected(api.kubeconfig(tmp_path), time=clock, **options) as client:
        try:
            return await call(client)
        except ClusterError as error:
            return error
        finally:
            assert client.sent == len(api.requests)

"""A cluster that plays a script, and a clock that only sleeping moves: for waits that take no time.

Labels and fields select as on a server; what a real one does is tested with `cluster`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.kube.workloads import CLASSES
from watcher.errors import ClusterError, ClusterFault
from watcher.kube.objects import Object, Resource, group_of
from watcher.kube.rollouts.follow import Followed

Answer = Object | None | ClusterError
Named = tuple[str, str]


def resource_of(api_version: str, kind: str) -> Resource:
    group, version = group_of(api_version), api_version.rpartition("/")[2]
    return Resource(group, version, kind, f"{kind.lower()}s", namespaced=True)


def followed(applied: Object) -> Followed:
    return Followed(resource=resource_of(applied["apiVersion"], applied["kind"]), applied=applied)


def refused(what: str = "forbidden") -> ClusterError:
    return ClusterError(what, fault=ClusterFault.FORBIDDEN, status=403)


def unreachable(what: str = "connection refused") -> ClusterError:
    return ClusterError(what, fault=ClusterFault.UNAVAILABLE, temporary=True)


@dataclass(kw_only=True)
class ScriptedCluster:
    """`script` holds the answers to one get after the other, by kind and name; the last one stays.
    `lists` holds all objects of a kind, `logs` the previous or present log by pod."""

    script: dict[Named, list[Answer]] = field(default_factory=dict)
    lists: dict[str, Sequence[Object] | ClusterError] = field(default_factory=dict)
    logs: dict[tuple[str, bool], str | ClusterError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def plays(self, *answers: Answer, kind: str = "Deployment", name: str = "web") -> None:
        self.script[kind, name] = [*answers]

    async def resource(self, api_version: str, kind: str) -> Resource:
        assert CLASSES.get(kind, api_version) == api_version
        return resource_of(api_version, kind)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        assert namespace == "shop"
        self.asked.append(f"get {resource.kind}/{name}")
        answers = self.script[resource.kind, name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> list[Object]:
        assert namespace == "shop"
        self.asked.append(f"list {resource.kind}")
        found = self.lists.get(resource.kind, [])
        if isinstance(found, ClusterError):
            raise found
        return [item for item in found if _selects(item, labels, fields)]

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, lines: int = 20
    ) -> str:
        assert namespace == "shop"
        self.asked.append(f"log {pod}/{container}" + (" previous" if previous else ""))
        log = self.logs.get((pod, previous), "")
        if isinstance(log, ClusterError):
            raise log
        return "\n".join(log.splitlines()[-lines:])


def _selects(item: Object, labels: str | None, fields: str | None) -> bool:
    held: dict[str, Any] = item["metadata"].get("labels", {})
    wanted = [pair.split("=") for pair in (labels or "").split(",") if pair]
    asked = [pair.split("=") for pair in (fields or "").split(",") if pair]
    return all(held.get(key) == value for key, value in wanted) and all(
        _at(item, path) == value for path, value in asked
    )


def _at(item: Any, path: str) -> Any:
    for key in path.split("."):
        item = item[key]
    return item


def warning(
    about: Object, reason: str, message: str, *, at: str = "2026-11-21T03:00:00Z"
) -> Object:
    """A Warning event about an object."""
    metadata = about["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.1", "namespace": "shop"},
        "involvedObject": {"uid": metadata["uid"]},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": at,
    }

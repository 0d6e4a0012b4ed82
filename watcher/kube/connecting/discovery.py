"""Which kinds a server serves, and under which paths: asked once, and again for an unknown one.

A server since 1.26 answers for all groups at once (aggregated discovery); an older one is asked
for the one group and version that is needed. Never cached outside this process.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from watcher.errors import ClusterError, ClusterFault
from watcher.kube.connecting.answers import Answer, json_object, not_kubernetes
from watcher.kube.connecting.exchange import Exchange
from watcher.kube.connecting.requests import Request
from watcher.kube.objects import Resource, group_of
from watcher.kube.reading import listed, text
from watcher.kube.redaction import redacted

AGGREGATED = ", ".join(
    [
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        "application/json",
    ]
)
"""What to accept: `v2` since 1.30, `v2beta1` since 1.26, the classic lists before."""

_PLURAL = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""What may stand in a path; subresources, such as `pods/log`, are no kinds of their own."""


@dataclass(slots=True)
class Known:
    """What a server has told so far. `versions` are all it serves; `stale` those whose own server
    did not answer it; `resources` the kinds of those that were listed."""

    versions: set[str] = field(default_factory=set)
    stale: set[str] = field(default_factory=set)
    resources: dict[str, dict[str, Resource]] = field(default_factory=dict)
    aggregated: bool = False

    def covers(self, api_version: str) -> bool:
        """Whether the kinds of this group and version have been asked for."""
        return self.aggregated or api_version in self.resources or api_version not in self.versions

    def find(self, api_version: str, kind: str) -> Resource | None:
        return self.resources.get(api_version, {}).get(kind)


class Discovery:
    """Kinds of one cluster, which `name` names in errors. One question at a time: who waits profits
    from the answer."""

    def __init__(self, exchange: Exchange, *, name: str) -> None:
        self._exchange = exchange
        self._about = f"cluster {name}: its list of kinds"
        self._known: Known | None = None
        self._lock = asyncio.Lock()

    def forget(self) -> None:
        self._known = None

    async def find(self, api_version: str, kind: str) -> Resource:
        """The kind as the server serves it. One that is unknown is asked for once more.

        Raises ClusterError (KIND_UNKNOWN), temporary while the server behind the group is away.
        """
        seen = self._known
        if seen is not None and (found := seen.find(api_version, kind)) is not None:
            return found
        async with self._lock:
            known = await self._looked_up(api_version, kind, seen)
        found = known.find(api_version, kind)
        if found is None:
            raise _unknown(known, api_version, kind)
        return found

    async def _looked_up(self, api_version: str, kind: str, seen: Known | None) -> Known:
        """What is known after asking for what is missing; `seen` is what did not hold the kind."""
        known = self._known
        if known is not None and known.find(api_version, kind) is not None:
            return known
        if known is None or (known is seen and known.covers(api_version)):
            known = self._known = await self._all()
        if not known.covers(api_version):
            await self._list(known, api_version)
        return known

    async def _all(self) -> Known:
        known = Known()
        groups = await self._get("/apis", AGGREGATED)
        if groups.get("kind") == "APIGroupDiscoveryList":
            known.aggregated = True
            for body in (groups, await self._get("/api", AGGREGATED)):
                _read_aggregated(known, body)
            if "v1" not in known.versions:
                raise self._not_a_list()
        elif groups.get("kind") == "APIGroupList":
            known.versions = {"v1", *_classic_versions(groups)}
        else:
            raise self._not_a_list()
        return known

    async def _list(self, known: Known, api_version: str) -> None:
        """The kinds of one group and version, in the classic way."""
        path = f"/apis/{api_version}" if group_of(api_version) else f"/api/{api_version}"
        try:
            body = await self._get(path, "application/json")
        except ClusterError as error:
            if error.fault is ClusterFault.UNAVAILABLE and group_of(api_version):
                known.stale.add(api_version)
                return
            if error.fault not in (ClusterFault.KIND_UNKNOWN, ClusterFault.NOT_FOUND):
                raise
            body = {}
        known.stale.discard(api_version)
        known.resources[api_version] = _by_kind(_classic_resources(api_version, body))

    async def _get(self, path: str, accept: str) -> dict[str, Any]:
        request = Request(method="GET", path=path, accept=accept, about=self._about)
        return json_object(await self._exchange.send(request), about=self._about)

    def _not_a_list(self) -> ClusterError:
        return not_kubernetes(Answer(status=200), about=self._about)


def _read_aggregated(known: Known, body: Mapping[str, Any]) -> None:
    """Take in an APIGroupDiscoveryList; without `metadata.name` the group is the core group."""
    for item in listed(body, "items"):
        group = text(item, "metadata", "name")
        for version in listed(item, "versions"):
            name = text(version, "version")
            api_version = f"{group}/{name}" if group else name
            known.versions.add(api_version)
            if text(version, "freshness") == "Stale":
                known.stale.add(api_version)
            resources = _aggregated_resources(api_version, version)
            known.resources[api_version] = _by_kind(resources)


def _aggregated_resources(api_version: str, version: Mapping[str, Any]) -> Iterator[Resource]:
    for item in listed(version, "resources"):
        kind, plural = text(item, "responseKind", "kind"), text(item, "resource")
        if kind and _PLURAL.fullmatch(plural):
            yield _resource(api_version, kind, plural, item.get("scope") == "Namespaced", item)


def _classic_versions(groups: Mapping[str, Any]) -> Iterator[str]:
    for group in listed(groups, "groups"):
        for version in listed(group, "versions"):
            yield text(version, "groupVersion")


def _classic_resources(api_version: str, body: Mapping[str, Any]) -> Iterator[Resource]:
    for item in listed(body, "resources"):
        kind, plural = text(item, "kind"), text(item, "name")
        if kind and _PLURAL.fullmatch(plural):
            yield _resource(api_version, kind, plural, bool(item.get("namespaced")), item)


def _resource(
    api_version: str, kind: str, plural: str, namespaced: bool, item: Mapping[str, Any]
) -> Resource:
    verbs = item.get("verbs")
    return Resource(
        group=group_of(api_version),
        version=api_version.rpartition("/")[2],
        kind=kind,
        plural=plural,
        namespaced=namespaced,
        verbs=frozenset(map(str, verbs)) if isinstance(verbs, list) else frozenset(),
    )


def _by_kind(resources: Iterable[Resource]) -> dict[str, Resource]:
    """By kind; where two resources show one kind, the first that can be read."""
    found: dict[str, Resource] = {}
    for resource in resources:
        other = found.get(resource.kind)
        if other is None or ("get" not in other.verbs and "get" in resource.verbs):
            found[resource.kind] = resource
    return found


def _unknown(known: Known, api_version: str, kind: str) -> ClusterError:
    shown = f"{redacted(kind, limit=80)} of {redacted(api_version, limit=120)}"
    if api_version in known.stale:
        return ClusterError(
            f"the server behind {api_version} does not answer, so that {shown} is not known now",
            fault=ClusterFault.KIND_UNKNOWN,
            hint=f"see the APIService of {api_version}: kubectl get apiservices",
            temporary=True,
        )
    return ClusterError(
        f"the cluster knows no {shown}",
        fault=ClusterFault.KIND_UNKNOWN,
        hint=_elsewhere(known, api_version, kind),
    )


def _elsewhere(known: Known, api_version: str, kind: str) -> str:
    """Where the kind, or another version of its group, is served."""
    serving = [version for version, kinds in known.resources.items() if kind in kinds]
    if serving:
        return f"it serves {kind} in {', '.join(sorted(serving))}"
    group = group_of(api_version)
    versions = sorted(version for version in known.versions if group_of(version) == group)
    if versions and api_version not in known.versions:
        return f"it serves the group in {', '.join(versions)}"
    return "check apiVersion and kind, and that the CustomResourceDefinition is installed"

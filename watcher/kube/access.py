"""Which rights (RBAC) a piece of work in a cluster needs, and which of them we lack.

Each `to_...` function is the list of the requests that the work sends, as rights; the tests hold
them to what a service account with exactly these can do. Used by `validate --online`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from watcher.kube.client import ClusterClient
from watcher.kube.manifests.ordering import NEVER_PRUNED
from watcher.kube.objects import Resource
from watcher.kube.rollback.undo_plan import NEVER_UNDONE


class Use(StrEnum):
    """What a right is for. Without one for the work a stage fails; without one to explain it says
    less of a failure; without one to tidy up, copies of Secrets from killed runs stay behind;
    without one to release, what is protected from pruning keeps its label."""

    WORK = "work"
    EXPLAIN = "explain"
    TIDY = "tidy"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Right:
    """Something that the API server may allow us. `resource` is the plural, with its subresource
    (`pods/log`); `group` is empty for the core group, `namespace` for what lives in none. Without
    `names` it is all objects of that kind."""

    namespace: str
    group: str
    resource: str
    verb: str
    names: tuple[str, ...] = ()
    use: Use = Use.WORK

    @property
    def rule(self) -> str:
        """The rule of a Role that grants it, as YAML."""
        group = self.group or '""'
        return f"{{apiGroups: [{group}], resources: [{self.resource}], verbs: [{self.verb}]}}"

    def attributes(self, name: str = "") -> dict[str, str]:
        """As a SelfSubjectAccessReview asks for it; of one object with `name`."""
        resource, _, subresource = self.resource.partition("/")
        return {
            "verb": self.verb,
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": self.namespace,
            "name": name,
        }

    def __str__(self) -> str:
        """As kubectl says it: `patch deployments.apps in namespace web (api, worker)`."""
        resource, slash, subresource = self.resource.partition("/")
        what = (f"{resource}.{self.group}" if self.group else resource) + slash + subresource
        place = f" in namespace {self.namespace}" if self.namespace else " of the cluster"
        names = f" ({', '.join(self.names)})" if self.names else ""
        return f"{self.verb} {what}{place}{names}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An object that is worked on. `namespace` is empty where its kind lives in none; `runs_pods`
    says that it has a pod template."""

    resource: Resource
    namespace: str
    name: str
    runs_pods: bool = False

    @property
    def kind(self) -> tuple[str, str]:
        return self.resource.group, self.resource.kind

    def rights(self, *verbs: str) -> Iterator[Right]:
        """For this object only."""
        return _rights(self.resource, self.namespace, verbs, names=(self.name,))


def to_apply(targets: Iterable[Target]) -> Iterator[Right]:
    """Server-side apply of objects: they are read, and created or patched. The server demands
    `create` of every apply of an object that is not there yet, beside `patch`."""
    for target in targets:
        yield from target.rights("get", "patch", "create")


def to_replace(targets: Iterable[Target]) -> Iterator[Right]:
    """Deleting objects that can't be changed, and creating them anew: by a POST to the collection,
    for which no right by name counts."""
    for target in targets:
        yield from target.rights("get", "delete")
        yield from _rights(target.resource, target.namespace, ("create",))


def to_prune(targets: Sequence[Target], inventory: Target) -> Iterator[Right]:
    """Deleting what earlier runs applied and is no longer wanted: of each kind, in each namespace
    of the bundle; and letting go of what is protected. What else earlier runs applied is known to
    `inventory`, a ConfigMap, only."""
    yield from inventory.rights("get", "patch", "create")
    namespaces = {target.namespace for target in targets if target.namespace}
    for resource in {target.resource for target in targets if target.kind not in NEVER_PRUNED}:
        for namespace in namespaces if resource.namespaced else ("",):
            yield from _rights(resource, namespace, ("list", "delete"))
            yield from _rights(resource, namespace, ("patch",), use=Use.RELEASE)


def to_follow(targets: Iterable[Target]) -> Iterator[Right]:
    """Waiting for a rollout, and finding out why it fails."""
    for target in targets:
        yield from target.rights("get")
        yield from _to_explain(target)


def to_patch(target: Target) -> Iterator[Right]:
    """Changing a workload that is there."""
    yield from target.rights("get", "patch")


def to_find_revisions(target: Target) -> Iterator[Right]:
    """Reading the earlier pod templates of a workload."""
    is_deployment = target.kind == ("apps", "Deployment")
    keepers = "replicasets" if is_deployment else "controllerrevisions"
    yield Right(namespace=target.namespace, group="apps", resource=keepers, verb="list")


def to_free(target: Target) -> Iterator[Right]:
    """Going back to an earlier pod template: a StatefulSet does so only when the pods that never
    got ready are deleted."""
    if target.kind == ("apps", "StatefulSet"):
        for verb in ("list", "delete"):
            yield Right(namespace=target.namespace, group="", resource="pods", verb=verb)


def to_take_back(targets: Iterable[Target]) -> Iterator[Right]:
    """Taking back an apply: patching what it changed, deleting what it created, and a Secret beside
    each one that it changed, which keeps what that was."""
    for target in targets:
        if target.kind == ("", "Secret"):
            verbs = ("get", "patch", "create", "delete")
            yield from _rights(target.resource, target.namespace, verbs)
            yield from _rights(target.resource, target.namespace, ("list",), use=Use.TIDY)
        elif target.kind not in NEVER_UNDONE:
            yield from target.rights("delete")
        yield from to_free(target)


def to_delete(target: Target) -> Iterator[Right]:
    yield from target.rights("get", "delete")


def _to_explain(target: Target) -> Iterator[Right]:
    if not target.namespace:
        return
    if target.kind == ("apps", "Deployment"):
        yield _explaining("apps", "replicasets", "list", target.namespace)
    if target.runs_pods:
        yield _explaining("", "pods", "list", target.namespace)
    if target.runs_pods or target.kind == ("", "Pod"):
        yield _explaining("", "pods/log", "get", target.namespace)
    yield _explaining("", "events", "list", target.namespace)


def _explaining(group: str, resource: str, verb: str, namespace: str) -> Right:
    return Right(namespace=namespace, group=group, resource=resource, verb=verb, use=Use.EXPLAIN)


def _rights(
    resource: Resource,
    namespace: str,
    verbs: Iterable[str],
    names: tuple[str, ...] = (),
    *,
    use: Use = Use.WORK,
) -> Iterator[Right]:
    for verb in verbs:
        yield Right(
            namespace=namespace,
            group=resource.group,
            resource=resource.plural,
            verb=verb,
            names=names,
            use=use,
        )


def merged(rights: Iterable[Right]) -> list[Right]:
    """Each right once, with all its names; what the work needs is not asked for again for less."""
    names: dict[Right, set[str] | None] = {}
    for right in rights:
        key = replace(right, names=())
        known = names.setdefault(key, set())
        names[key] = known | set(right.names) if right.names and known is not None else None
    return sorted(
        replace(key, names=tuple(sorted(found or ())))
        for key, found in names.items()
        if key.use is Use.WORK or names.get(replace(key, use=Use.WORK), ()) is not None
    )


async def missing(client: ClusterClient, rights: Iterable[Right]) -> list[Right]:
    """Those that we lack, of each the names that we lack it for; the one that the work needs stands
    for the same for less, as its rule grants both. Raises ClusterError."""
    answers = await asyncio.gather(*(_missing(client, right) for right in merged(rights)))
    lacking = [right for right in answers if right is not None]
    needed = {replace(right, names=()) for right in lacking if right.use is Use.WORK}
    return [
        right
        for right in lacking
        if right.use is Use.WORK or replace(right, names=(), use=Use.WORK) not in needed
    ]


async def _missing(client: ClusterClient, right: Right) -> Right | None:
    if await client.allowed(right.attributes()):
        return None
    lacking = [name for name in right.names if not await client.allowed(right.attributes(name))]
    if right.names and not lacking:
        return None
    return replace(right, names=tuple(lacking))

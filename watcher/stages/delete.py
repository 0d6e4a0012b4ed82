"""`delete: {workload: deployment/web}`: objects out of a cluster, by name or by their manifests.

What is not there is no fault. What would take data with it is never deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from watcher.config import durations
from watcher.config.fields import Field, Kind, ListOf, PathValue, Section
from watcher.config.nodes import Node
from watcher.config.reading import INVALID, Invalid, Reading
from watcher.core.pipeline import Done, Failed, Json, StageOutcome
from watcher.errors import ClusterError, ClusterFault, StageError
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import (
    DEFAULT_WAIT,
    PLACE_FIELDS,
    WAIT_FIELD,
    WORKLOAD_FIELD,
    ObjectName,
    Place,
    is_dry_run,
    place_of,
    wait_of,
)

if TYPE_CHECKING:
    from datetime import timedelta

    from watcher.kube.manifests.bundle import Document
    from watcher.kube.objects import Object, ObjectKey, Resource

_POLL = 1.0
_WHAT = ("workload", "objects", "manifests")


class _Options(Section):
    """The keys, of which at least one must say what to delete."""

    def read(self, node: Node, path: str, reading: Reading) -> dict[str, Json] | Invalid:
        values = super().read(node, path, reading)
        if values is not INVALID and not any(values.get(key) for key in _WHAT):
            hint = f"give one of: {', '.join(_WHAT)}"
            return reading.refuse(node, path, "says nothing of what to delete", hint)
        return values


class DeleteStage:
    """Deleted is the very object that was there at the first start; one that somebody made anew
    since then stays."""

    type = "delete"
    has_dry_run = True
    options: Kind = _Options(
        {
            "workload": Field(
                WORKLOAD_FIELD.kind,
                doc="`deployment/NAME`, `statefulset/NAME` or `daemonset/NAME`.",
                example="deployment/web",
            ),
            "objects": Field(
                ListOf(ObjectName(), unique=True),
                doc="Objects as `KIND/NAME`, of Kubernetes' own kinds.",
                example=["service/web", "configmap/web"],
            ),
            "manifests": Field(
                ListOf(PathValue(template=True)),
                doc="Files, globs or directories with the manifests of the objects.",
                example=["deploy/web.yaml"],
            ),
            **PLACE_FIELDS,
            "wait": Field(
                WAIT_FIELD.kind,
                default=DEFAULT_WAIT,
                doc="How long it may take until the objects are gone; `false`: don't wait for it.",
                example="1m",
            ),
        },
        doc="Deletes objects. Namespaces, CustomResourceDefinitions, PersistentVolumes and "
        "PersistentVolumeClaims are never deleted.",
    )

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        place = await place_of(options, context)
        items = await wanted(place, options, context)
        found = await _found(place, items, context)
        dry_run = is_dry_run(options, context)
        for resource, live in found:
            await _delete(place, resource, live, context, dry_run=dry_run)
        wait = None if dry_run else wait_of(options)
        left = await _left(place, found, wait, context) if wait is not None else []
        if left and wait is not None:
            return Failed(f"still there after {durations.text_of(wait)}: {'; '.join(left)}")
        return Done({"deleted": [_name(live) for _, live in found]})


async def wanted(place: Place, options: Json, context: StageContext) -> list[Object]:
    """What is to be deleted, each in its namespace, in the order of deleting. Raises StageError."""
    from watcher.kube.kind_names import WORKLOADS, named
    from watcher.kube.manifests.bundle import Document
    from watcher.kube.manifests.ordering import deletion_order, is_never_pruned
    from watcher.stages.manifest_files import documents_of

    documents: list[Document] = []
    for number, words in enumerate(await _names(options, context), start=1):
        only = WORKLOADS if number == 1 and "workload" in options else ()
        stub = _stub(*named(words, only=only))
        if any(stub == document.object for document in documents):
            raise StageError(f"{words} is named twice")
        documents.append(Document(object=stub, source=words, number=0))
    if options.get("manifests"):
        documents += (await documents_of(options["manifests"], context)).documents
    items = deletion_order(await _placed(place, documents, context))
    for item in items:
        key = _key(item)
        if is_never_pruned(item):
            raise StageError(
                f"{key}: a {key.kind} is never deleted: what it holds would go with it",
                hint=f"kubectl delete {key.kind.lower()} {key.name}",
            )
    return items


async def _names(options: Json, context: StageContext) -> list[str]:
    written = [options["workload"]] if "workload" in options else []
    rendered = await context.rendered([*written, *options.get("objects", [])])
    return [str(words) for words in rendered]


async def _placed(
    place: Place, documents: Sequence[Document], context: StageContext
) -> Sequence[Object]:
    """The objects in their namespaces; those of a kind that the cluster does not know are gone."""
    from watcher.kube.manifests.scope import placed_all

    known = []
    for document in documents:
        item = document.object
        try:
            resource = await place.client.resource(item["apiVersion"], item["kind"])
        except ClusterError as error:
            if error.fault is not ClusterFault.KIND_UNKNOWN or error.temporary:
                raise
            context.log.line(f"{_name(item)} is not there: the cluster has no such kind")
            continue
        known.append((document, resource.namespaced))
    return placed_all(known, cluster=place.cluster, namespace=place.namespace)


async def _found(
    place: Place, items: Sequence[Object], context: StageContext
) -> list[tuple[Resource, Object]]:
    """Those that are there, and were there at the first start of this run."""
    from watcher.kube.reading import uid

    found = []
    for item in items:
        key = _key(item)
        resource = await place.client.resource(item["apiVersion"], item["kind"])
        live = await place.client.get(resource, key.namespace, key.name)
        if live is None:
            context.log.line(f"{key} is not there")
        else:
            found.append((resource, live))
    if context.resumed is None:
        await context.memory.keep(resumed={"uids": [uid(live) for _, live in found]})
    return [pair for pair in found if uid(pair[1]) in context.resumed["uids"]]


async def _delete(
    place: Place, resource: Resource, live: Object, context: StageContext, *, dry_run: bool
) -> None:
    from watcher.kube.reading import uid

    key = _key(live)
    try:
        await place.client.delete(resource, key.namespace, key.name, uid=uid(live), dry_run=dry_run)
    except ClusterError as error:
        if error.fault is not ClusterFault.VERSION_CONFLICT:
            raise
        context.log.line(f"{key} was deleted and made anew by somebody")
    else:
        context.log.line(f"{key} {'would be ' if dry_run else ''}deleted")


async def _left(
    place: Place,
    found: Sequence[tuple[Resource, Object]],
    wait: timedelta,
    context: StageContext,
) -> list[str]:
    """What is still there when the time is up, and what holds it."""
    deadline = context.monotonic() + wait.total_seconds()
    while True:
        left = [line for pair in found if (line := await _held(place, *pair))]
        if not left or context.monotonic() >= deadline:
            return left
        await context.sleep(_POLL)


async def _held(place: Place, resource: Resource, gone: Object) -> str:
    from watcher.kube.reading import uid

    key = _key(gone)
    live = await place.client.get(resource, key.namespace, key.name)
    if live is None or uid(live) != uid(gone):
        return ""
    finalizers = ", ".join(live["metadata"].get("finalizers") or []) or "nothing that is known"
    return f"{key}, held by {finalizers}"


def _stub(api_version: str, kind: str, name: str) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}


def _key(item: Object) -> ObjectKey:
    from watcher.kube.objects import ObjectKey

    return ObjectKey.of(item)


def _name(item: Mapping[str, Json]) -> str:
    return str(_key(dict(item)))

"""How the kinds of a bundle are served: as a CRD of the bundle says, else as the cluster does.

What this very bundle defines can't be asked of the cluster yet. Used by `preflight`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from watcher.errors import ClusterError
from watcher.kube.applying.refused import WHOLE_CLUSTER, Problem
from watcher.kube.client import ClusterClient
from watcher.kube.manifests.bundle import Document
from watcher.kube.manifests.ordering import DEFINITIONS
from watcher.kube.objects import Object, ObjectKey, Resource
from watcher.kube.reading import listed, section, text

Served = dict[tuple[str, str], Resource | ClusterError]
"""By apiVersion and kind: how it is served, or why that is not known."""


async def served_kinds(client: ClusterClient, documents: Sequence[Document]) -> Served:
    """Every kind of the documents. Raises ClusterError when the cluster can't be asked."""
    found: Served = dict(_defined(document.object for document in documents))
    for document in documents:
        api_version, kind = document.object["apiVersion"], document.object["kind"]
        if (api_version, kind) not in found:
            found[api_version, kind] = await _asked(client, api_version, kind)
    return found


def unknown_kinds(served: Served, documents: Iterable[Document]) -> list[Problem]:
    """A problem for each document whose kind is not known."""
    return [
        Problem(f"{document.place}: {ObjectKey.of(document.object)}", fault)
        for document in documents
        if isinstance(fault := _kind_of(served, document), ClusterError)
    ]


def known_kinds(
    served: Served, documents: Iterable[Document]
) -> Iterator[tuple[Document, Resource]]:
    """The other documents, with how their kinds are served."""
    for document in documents:
        resource = _kind_of(served, document)
        if isinstance(resource, Resource):
            yield document, resource


def _kind_of(served: Served, document: Document) -> Resource | ClusterError:
    return served[document.object["apiVersion"], document.object["kind"]]


async def _asked(client: ClusterClient, api_version: str, kind: str) -> Resource | ClusterError:
    try:
        return await client.resource(api_version, kind)
    except ClusterError as error:
        if error.fault in WHOLE_CLUSTER:
            raise
        return error


def _defined(items: Iterable[Object]) -> Iterator[tuple[tuple[str, str], Resource]]:
    for item in items:
        key = ObjectKey.of(item)
        if (key.group, key.kind) in DEFINITIONS:
            for resource in _resources_of(section(item, "spec")):
                yield (resource.api_version, resource.kind), resource


def _resources_of(spec: object) -> Iterator[Resource]:
    kind, plural = text(spec, "names", "kind"), text(spec, "names", "plural")
    names = {text(version, "name") for version in listed(spec, "versions")}
    for version in sorted(names):
        if kind and plural and version:
            yield Resource(
                group=text(spec, "group"),
                version=version,
                kind=kind,
                plural=plural,
                namespaced=text(spec, "scope") == "Namespaced",
            )

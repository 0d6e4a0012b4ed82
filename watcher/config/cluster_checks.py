"""Whether the stages that work in a cluster name one that is there, a namespace that they may touch
and a `wait` that they have the time for; whether `on_failure: rollback` has anything to take back.
Imported by `load`.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from watcher.config import durations
from watcher.config.checks import Names, check_known
from watcher.config.clusters import NAMESPACE, NAMESPACE_RULE
from watcher.config.fields import Either, Kind, Section, key_path
from watcher.config.items import Data, Item, Json
from watcher.core.cluster import DEFAULT_CLUSTER, Cluster
from watcher.core.pipeline import OnFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNames:
    """`items` are all clusters that were written, `built` those of them without a fault."""

    items: Names
    built: Mapping[str, Cluster]


def check_stages(item: Item, clusters: ClusterNames, stages: Mapping[str, Kind]) -> None:
    """Report what is wrong with the clusters and namespaces of a pipeline's stages.

    A stage works in a cluster when its options know the key `cluster`.
    """
    for stage in _stages(item):
        if knows_cluster(stages[stage["type"]]):
            options = stage["options"] if isinstance(stage["options"], dict) else {}
            _check_stage(item, _key(item, stage), options, clusters)
            _check_wait(item, stage, options)


def check_rollbacks(item: Item, undoable: Container[str]) -> None:
    """`on_failure: rollback` needs a stage whose work can be taken back: itself or an earlier one.
    `undoable` holds the types of these."""
    found = False
    for stage in _stages(item):
        found = found or stage["type"] in undoable
        if stage["on_failure"] == OnFailure.ROLLBACK and not found:
            message = "there is nothing to roll back: neither this stage nor one before it can be"
            item.refuse(f"{_place(item, stage)}.on_failure", message, "write `stop`")


def _check_stage(item: Item, key: str, options: Mapping[str, Json], clusters: ClusterNames) -> None:
    name = options.get("cluster")
    if name is not None:
        if not check_known(item, f"{key}.cluster", name, clusters.items, "cluster"):
            return
    elif len(clusters.items) > 1:
        hint = f"write `cluster:` with one of: {', '.join(clusters.items)}"
        item.refuse(key, "names no cluster, and there are several", hint)
        return
    name = name or next(iter(clusters.items), None)
    cluster = clusters.built.get(name) if name is not None else DEFAULT_CLUSTER
    if cluster is not None and isinstance(options.get("namespace"), str):
        _check_namespace(item, f"{key}.namespace", options["namespace"], cluster)


def _check_namespace(item: Item, key: str, namespace: str, cluster: Cluster) -> None:
    if "${" in namespace:
        if cluster.allowed_namespaces is None:
            message = "an expression may choose only among namespaces that are allowed"
            whose = (
                f"the cluster {cluster.name!r}" if cluster is not DEFAULT_CLUSTER else "`clusters`"
            )
            item.refuse(key, message, f"give {whose} `allowed_namespaces`")
    elif re.fullmatch(NAMESPACE, namespace) is None:
        item.refuse(key, f"{namespace!r} is not {NAMESPACE_RULE}")
    elif not cluster.allows_namespace(namespace, own=namespace):
        allowed = ", ".join(cluster.allowed_namespaces or ())
        message = f"the cluster {cluster.name!r} does not allow the namespace {namespace!r}"
        item.refuse(key, message, f"`allowed_namespaces` has: {allowed}")


def _check_wait(item: Item, stage: Data, options: Mapping[str, Json]) -> None:
    """A stage whose time is up before its `wait` never says what the rollout still waits for."""
    key, wait = f"{_key(item, stage)}.wait", options.get("wait")
    is_written = key_path(item.path, key) in item.reading.lines
    if not is_written or not isinstance(wait, str):
        return
    if durations.parse(wait) >= durations.parse(stage["timeout"]):
        message = f"{wait} is not shorter than the stage's `timeout` of {stage['timeout']}"
        hint = "give the stage a `timeout` beside it that leaves time for what comes before"
        item.refuse(key, message, hint)


def knows_cluster(kind: Kind) -> bool:
    """Whether the options of a stage say in which cluster it works."""
    if isinstance(kind, Either):
        return any(map(knows_cluster, kind.kinds))
    return isinstance(kind, Section) and "cluster" in kind.fields


def _stages(item: Item) -> Iterator[Data]:
    """The stages of a pipeline that could be read, as far as the pipeline is broken."""
    yield from item.data.get("stages", ())


def _place(item: Item, stage: Data) -> str:
    path: str = stage["path"]
    return path.removeprefix(f"{item.path}.")


def _key(item: Item, stage: Data) -> str:
    return f"{_place(item, stage)}.{stage['type']}"

"""What all stages that work in a cluster have in common: the keys `cluster`, `namespace` and
`wait`, and what these mean for one run. For the stages of this package only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from watcher.config import durations
from watcher.config.fields import Boolean, Duration, Either, Field, Text
from watcher.config.items import NAME, NAME_RULE
from watcher.config.nodes import Node
from watcher.config.reading import INVALID, Invalid, Reading
from watcher.core.pipeline import Execution, Json
from watcher.errors import StageError, WatcherError
from watcher.kube.kind_names import WORKLOADS, named
from watcher.stages.base import StageContext

if TYPE_CHECKING:
    from watcher.core.cluster import Cluster
    from watcher.kube.client import ClusterClient

DEFAULT_WAIT = "5m"


class ObjectName(Text):
    """`KIND/NAME`, of the kinds in `only` if there are any. With an expression in it, it is checked
    when the stage runs."""

    def __init__(self, *, only: tuple[str, ...] = ()) -> None:
        super().__init__(template=True)
        self.only = only

    def read(self, node: Node, path: str, reading: Reading) -> str | Invalid:
        words = super().read(node, path, reading)
        if words is INVALID or "${" in words:
            return words
        try:
            named(words, only=self.only)
        except WatcherError as error:
            return reading.refuse(node, path, error.message, error.hint)
        return words


PLACE_FIELDS: Mapping[str, Field] = {
    "cluster": Field(
        Text(matches=NAME, rule=NAME_RULE),
        doc="The cluster of `clusters` to work in.",
        example="production",
        default_doc="the only one",
    ),
    "namespace": Field(
        Text(template=True),
        doc="The namespace to work in. An expression may stand here only where the cluster has "
        "`allowed_namespaces`.",
        example="web",
        default_doc="the cluster's",
    ),
}
WAIT_FIELD = Field(
    Either(Boolean(), Duration(minimum="1s")),
    default=DEFAULT_WAIT,
    doc="How long a rollout may take; `false`: don't wait for it.",
    example="5m",
)
WORKLOAD_FIELD = Field(
    ObjectName(only=WORKLOADS),
    required=True,
    doc="`deployment/NAME`, `statefulset/NAME` or `daemonset/NAME`.",
    example="deployment/web",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a stage works."""

    client: ClusterClient
    cluster: Cluster
    namespace: str


async def place_of(options: Json, context: StageContext) -> Place:
    """The connection and the namespace. Raises StageError, ClusterError, RenderError."""
    from watcher.kube.manifests.scope import check_namespace_allowed
    from watcher.kube.objects import check_namespace

    name = options.get("cluster")
    cluster = context.clusters.settings(name)
    written = options.get("namespace", "")
    if "${" in written and cluster.allowed_namespaces is None:
        raise StageError(
            "an expression may choose only among namespaces that are allowed",
            hint=f"give the cluster {cluster.name!r} `allowed_namespaces`",
        )
    chosen = str(await context.rendered(written)) if written else ""
    if written and not chosen:
        raise StageError(f"`namespace: {written}` names none: its value is empty")
    client = await context.clusters.client(name)
    namespace = check_namespace(chosen or client.namespace)
    check_namespace_allowed(cluster, namespace, own=namespace)
    return Place(client=client, cluster=cluster, namespace=namespace)


def wait_of(options: Json) -> timedelta | None:
    """How long to follow a rollout; None: not at all."""
    wait = options.get("wait", DEFAULT_WAIT)
    if wait is False:
        return None
    return durations.parse(DEFAULT_WAIT if wait is True else wait)


def rollback_wait_of(options: Json) -> timedelta:
    """How long to follow what was put back; a rollback always waits."""
    return wait_of(options) or durations.parse(DEFAULT_WAIT)


def is_dry_run(options: Json, context: StageContext) -> bool:
    """Whether the cluster is only asked what would change."""
    return context.execution.pipeline.dry_run or options.get("dry_run", False)


def event_time(execution: Execution) -> datetime:
    """When the event happened that the run came from. A run that another run started has its
    parent's event."""
    try:
        told = datetime.fromisoformat(execution.source.get("time") or "")
    except ValueError:
        return execution.created
    if told.tzinfo is None or told == execution.created.replace(microsecond=0):
        return execution.created
    return told


def has_image(execution: Execution) -> bool:
    """Whether the run is about an image that exists."""
    return bool(
        execution.repository
        and execution.tag
        and execution.source.get("registry")
        and execution.change != "deleted"
    )

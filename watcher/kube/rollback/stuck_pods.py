"""Pods that keep a StatefulSet from going back: of a rejected template, and never ready.

A StatefulSet waits for such a pod for ever, even when its template is good again:
https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback. Used by
whoever puts an earlier template back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from watcher.errors import ClusterError, ClusterFault
from watcher.kube import reading
from watcher.kube.client import ClusterClient
from watcher.kube.objects import Object, ObjectKey, Resource
from watcher.kube.rollouts.owned_pods import selector_text
from watcher.kube.workloads import observed

_REVISION_LABEL = "controller-revision-hash"


async def release_stuck_pods(
    client: ClusterClient,
    resource: Resource,
    item: Object,
    *,
    tell: Callable[[str], None],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Delete what holds up a StatefulSet; nothing where there is nothing, or for other kinds.

    Raises ClusterError; without the right to delete pods it says what a person has to do.
    """
    if item["kind"] != "StatefulSet" or _waits_for_people(item):
        return
    current = await observed(client, resource, item, sleep=sleep)
    if current is None:
        return
    pods = await client.resource("v1", "Pod")
    namespace = ObjectKey.of(current).namespace
    found = await client.list(pods, namespace, labels=selector_text(current))
    for pod in reading.owned_by(found, reading.uid(current)):
        if _is_stuck(pod, current):
            await _delete(client, pods, pod)
            tell(f"{ObjectKey.of(pod)} deleted: it ran the rejected template and was not ready")


def _waits_for_people(item: Object) -> bool:
    """With OnDelete pods change when a person deletes them."""
    return reading.text(item, "spec", "updateStrategy", "type") == "OnDelete"


def _is_stuck(pod: Object, item: Object) -> bool:
    wanted = reading.text(item, "status", "updateRevision")
    own = reading.text(pod, "metadata", "labels", _REVISION_LABEL)
    is_ready = reading.holds(reading.conditions(pod).get("Ready"))
    is_leaving = bool(reading.text(pod, "metadata", "deletionTimestamp"))
    return bool(wanted) and own != wanted and not is_ready and not is_leaving


async def _delete(client: ClusterClient, resource: Resource, pod: Object) -> None:
    key = ObjectKey.of(pod)
    try:
        await client.delete(resource, key.namespace, key.name, uid=reading.uid(pod))
    except ClusterError as error:
        if error.fault is ClusterFault.VERSION_CONFLICT:
            return  # another pod has that name by now
        if error.fault is not ClusterFault.FORBIDDEN:
            raise
        raise ClusterError(
            "it runs the rejected template, is not ready, and holds up its StatefulSet until it "
            "is deleted, for which there is no right",
            fault=error.fault,
            about=str(key),
            hint=f"kubectl delete pod {key.name} --namespace {key.namespace}",
        ) from error

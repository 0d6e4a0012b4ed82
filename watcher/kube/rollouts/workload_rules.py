"""When what runs pods is rolled out: kubectl's rules (`rollout status`), made strict where they
err: https://github.com/kubernetes/kubectl/blob/master/pkg/polymorphichelpers/rollout_status.go.

Each rule is given an object that exists and is not being deleted. Pure; used by `rollout`.
"""

from __future__ import annotations

from watcher.kube import reading
from watcher.kube.objects import FIELD_MANAGER, Object
from watcher.kube.reading import conditions, holds, said
from watcher.kube.rollouts.status import UNOBSERVED, Status, failed, observed, ready, waiting


def deployment(item: Object) -> Status:
    if reading.section(item, "spec").get("paused") is True:
        return failed("is paused (spec.paused): its rollout can't end", "Paused")
    if not observed(item):
        return UNOBSERVED
    wanted, updated = replicas(item), reading.count(item, "status", "updatedReplicas")
    available = reading.count(item, "status", "availableReplicas")
    total = reading.count(item, "status", "replicas")
    if _is_late(item):
        return failed(_deadline_message(item, wanted, updated), "ProgressDeadlineExceeded")
    if updated < wanted:
        return _held_up(item, f"{updated} of {_replicas(wanted)} updated")
    if total > updated:
        return _held_up(item, f"{_replicas(total - updated, 'old ')} still to end")
    if available < updated:
        return _held_up(item, f"{available} of {_replicas(updated, 'updated ')} available")
    return ready(f"{_replicas(wanted)} updated and available")


def stateful_set(item: Object) -> Status:
    if not observed(item):
        return UNOBSERVED
    if _is_on_delete(item):
        return _ON_DELETE
    wanted, updated = replicas(item), reading.count(item, "status", "updatedReplicas")
    partition = reading.count(item, "spec", "updateStrategy", "rollingUpdate", "partition")
    to_update = max(wanted - partition, 0)
    if updated < to_update:
        return waiting(f"{updated} of {_replicas(to_update)} updated")
    if (there := reading.count(item, "status", "readyReplicas")) < wanted:
        return waiting(f"{there} of {_replicas(wanted)} ready")
    if reading.count(item, "spec", "minReadySeconds") and (
        (there := reading.count(item, "status", "availableReplicas")) < wanted
    ):
        return waiting(f"{there} of {_replicas(wanted)} available")
    if partition:
        return ready(f"{_replicas(updated)} updated, the others kept by partition {partition}")
    if _revision(item, "updateRevision") != _revision(item, "currentRevision"):
        return waiting(f"{_replicas(updated)} updated, the revision is not complete yet")
    return ready(f"{_replicas(wanted)} updated and ready")


def daemon_set(item: Object) -> Status:
    if not observed(item):
        return UNOBSERVED
    if _is_on_delete(item):
        return _ON_DELETE
    wanted = reading.count(item, "status", "desiredNumberScheduled")
    if not wanted:
        return ready("no node matches: it runs nowhere", "NoNodes")
    updated = reading.count(item, "status", "updatedNumberScheduled")
    if updated < wanted:
        return waiting(f"{updated} of {wanted} pods updated")
    available = reading.count(item, "status", "numberAvailable")
    if available < wanted:
        return waiting(f"{available} of {wanted} updated pods available")
    return ready(f"{wanted} of {wanted} pods updated and available")


def replica_set(item: Object) -> Status:
    if not observed(item):
        return UNOBSERVED
    wanted, available = replicas(item), reading.count(item, "status", "availableReplicas")
    if available < wanted:
        return _held_up(item, f"{available} of {_replicas(wanted)} available")
    return ready(f"{_replicas(wanted)} available")


def job(item: Object) -> Status:
    known = conditions(item)
    if holds(known.get("Complete")):
        return ready("completed")
    if holds(known.get("Failed")):
        reason = reading.plain(reading.text(known["Failed"], "reason"))
        return failed(f"has failed: {said(known['Failed'])}".removesuffix(": "), reason or "Failed")
    if reading.section(item, "spec").get("suspend") is True:
        return failed("is suspended (spec.suspend): it does not run", "Suspended")
    return waiting(_job_progress(item))


def vanished_job(applied: Object) -> Status | None:
    """READY for a Job that its own `ttlSecondsAfterFinished` may have removed; else None."""
    if reading.number(applied, "spec", "ttlSecondsAfterFinished") is None:
        return None
    return ready("is finished and removed (spec.ttlSecondsAfterFinished)", "Vanished")


def pod(item: Object) -> Status:
    phase = reading.text(item, "status", "phase")
    if phase == "Succeeded":
        return ready("has ended well")
    if phase == "Failed":
        detail = said(reading.section(item, "status"))
        return failed(f"has failed: {detail}".removesuffix(": "), "PodFailed")
    known = conditions(item)
    if holds(known.get("Ready")):
        return ready("ready")
    if holds(scheduled := known.get("PodScheduled"), "False"):
        return waiting(f"is not scheduled: {said(scheduled)}".removesuffix(": "), "Unscheduled")
    return waiting(f"is {reading.plain(phase) or 'Pending'}, not ready")


def replicas(item: Object) -> int:
    """How many are wanted; one where nothing is said."""
    wanted = reading.number(item, "spec", "replicas")
    return 1 if wanted is None else wanted


def refusal(item: Object) -> str:
    """Why pods of the object can't even be created: quota, admission, service account."""
    condition = conditions(item).get("ReplicaFailure")
    return said(condition) if holds(condition) else ""


_ON_DELETE = ready(
    "applied, not rolled out: with OnDelete its pods change when they are deleted", "OnDelete"
)


def _is_on_delete(item: Object) -> bool:
    return reading.text(item, "spec", "updateStrategy", "type") == "OnDelete"


def _revision(item: Object, which: str) -> str:
    return reading.text(item, "status", which)


def _replicas(number: int, adjective: str = "") -> str:
    return f"{number} {adjective}{'replica' if number == 1 else 'replicas'}"


def _held_up(item: Object, message: str) -> Status:
    why = refusal(item)
    return waiting(f"{message}; {why}" if why else message, "ReplicaFailure" if why else "")


def _is_late(item: Object) -> bool:
    """Whether the progress deadline has passed since our last change. Controllers keep that verdict
    of an earlier rollout until they have made progress with the next one, such as a rollback."""
    progressing = conditions(item).get("Progressing")
    if reading.text(progressing, "reason") != "ProgressDeadlineExceeded":
        return False
    ours = [
        reading.text(entry, "time")
        for entry in reading.listed(item, "metadata", "managedFields")
        if reading.text(entry, "manager") == FIELD_MANAGER
        and not reading.text(entry, "subresource")
    ]
    said_at = reading.text(progressing, "lastUpdateTime")
    return not said_at or said_at > max(ours, default="")


def _deadline_message(item: Object, wanted: int, updated: int) -> str:
    seconds = reading.number(item, "spec", "progressDeadlineSeconds")
    allowed = f" of {seconds} s" if seconds is not None else ""
    still = reading.count(item, "status", "availableReplicas")
    message = (
        f"its progress deadline{allowed} has passed: {updated} of {_replicas(wanted)} updated, "
        f"{still} available"
    )
    why = refusal(item)
    return f"{message}; {why}" if why else message


def _job_progress(item: Object) -> str:
    done, active, lost = (
        reading.count(item, "status", key) for key in ("succeeded", "active", "failed")
    )
    wanted = reading.number(item, "spec", "completions")
    succeeded = f"{done} {'pod' if done == 1 else 'pods'} succeeded"
    parts = [succeeded if wanted is None else f"{done} of {wanted} completions"]
    parts.append(f"{active} active")
    if lost:
        parts.append(f"{lost} failed")
    return ", ".join(parts)

"""What is wrong with pods, read from their status as a kubelet and a scheduler report it.

Pure; used by `causes`, which finds the pods and adds what events and logs say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from watcher.kube import reading
from watcher.kube.objects import Object
from watcher.kube.reading import conditions, holds, plain, said, text
from watcher.kube.redaction import without_credentials

_HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"})
_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"})
_START = frozenset({"CreateContainerError", "RunContainerError", "ContainerCannotRun"})
_COMMON = frozenset({"ContainerCreating", "PodInitializing"})
_OFTEN = 2
"""Restarts after which a container that is not ready counts as crashing again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFault:
    """The worst that is wrong with one pod.

    `rank` orders faults, the worst first. `fatal` says that more time alone rarely helps. `log`
    says that the container's own words are worth reading, `previous` that they are its last run's.
    """

    rank: int
    pod: str
    uid: str
    container: str
    reason: str
    message: str
    fatal: bool = False
    log: bool = False
    previous: bool = False

    def __str__(self) -> str:
        place = f"pod {self.pod}" + (f", container {self.container}" if self.container else "")
        return f"{place}: {self.reason}" + (f": {self.message}" if self.message else "")


def worst_fault(pods: Iterable[Object]) -> PodFault | None:
    """The worst fault of all pods that are not being deleted; None when nothing is wrong."""
    faults = [
        fault
        for pod in pods
        if not text(pod, "metadata", "deletionTimestamp") and (fault := fault_of(pod)) is not None
    ]
    return min(faults, key=lambda fault: (fault.rank, fault.pod), default=None)


def fault_of(pod: Object) -> PodFault | None:
    """What is wrong with one pod: its containers in the order they start, then the pod itself."""
    found = [
        fault
        for kind in ("initContainerStatuses", "containerStatuses")
        for container in reading.listed(pod, "status", kind)
        if (fault := _container_fault(pod, container)) is not None
    ]
    of_pod = _pod_fault(pod)
    if of_pod is not None:
        found.append(of_pod)
    return min(found, key=lambda fault: fault.rank, default=None)


def _container_fault(pod: Object, container: Mapping[str, Any]) -> PodFault | None:
    reason = text(container, "state", "waiting", "reason")
    if reason in _IMAGE:
        return _waiting_fault(pod, container, rank=1 if reason == "ErrImagePull" else 2)
    if reason in _HOPELESS:
        return _waiting_fault(pod, container, rank=0)
    if reason in _START:
        return _waiting_fault(pod, container, rank=3)
    if _is_crashing(container):
        return _crash(pod, container)
    if reason and reason not in _COMMON:
        return _waiting_fault(pod, container, rank=7, fatal=False)
    return None


def _waiting_fault(
    pod: Object, container: Mapping[str, Any], *, rank: int, fatal: bool = True
) -> PodFault:
    message = plain(text(container, "state", "waiting", "message"))
    image = plain(_image(pod, container))
    if image and image not in message:
        message = f"{message} (image {image})" if message else f"image {image}"
    return _fault(
        pod,
        container,
        rank=rank,
        reason=plain(text(container, "state", "waiting", "reason")),
        message=message,
        fatal=fatal,
    )


def _is_crashing(container: Mapping[str, Any]) -> bool:
    if container.get("ready") is True:
        return False
    if text(container, "state", "waiting", "reason") == "CrashLoopBackOff":
        return True
    ended = _terminated(container)
    return reading.count(ended, "exitCode") != 0 or text(ended, "reason") == "OOMKilled"


def _crash(pod: Object, container: Mapping[str, Any]) -> PodFault:
    """A container whose last run failed, be it waiting for the next or running it already."""
    ended = _terminated(container)
    backs_off = text(container, "state", "waiting", "reason") == "CrashLoopBackOff"
    restarts = reading.count(container, "restartCount")
    why = text(ended, "reason")
    named = why if why and why not in ("Error", "Completed") else ""
    reason = ", ".join(word for word in ("CrashLoopBackOff" if backs_off else "", named) if word)
    return _fault(
        pod,
        container,
        rank=4 if backs_off or named else 5,
        reason=plain(reason) or "Error",
        message=_crash_message(ended, restarts, container),
        fatal=backs_off or restarts >= _OFTEN,
        log=True,
        previous="terminated" not in reading.section(container, "state") and bool(ended),
    )


def _crash_message(ended: Mapping[str, Any], restarts: int, container: Mapping[str, Any]) -> str:
    code = reading.number(ended, "exitCode")
    parts = [] if code is None else [f"exit code {code}"]
    if restarts:
        parts.append(f"{restarts} restart{'' if restarts == 1 else 's'}")
    last_words = without_credentials(plain(text(ended, "message")))
    told = last_words or ("" if parts else plain(text(container, "state", "waiting", "message")))
    return ": ".join(words for words in (", ".join(parts), told) if words)


def _terminated(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the newest run that ended did end; empty when none has."""
    now = reading.section(container, "state", "terminated")
    return now or reading.section(container, "lastState", "terminated")


def _pod_fault(pod: Object) -> PodFault | None:
    """What no container shows: not scheduled, evicted, or running without becoming ready."""
    known = conditions(pod)
    scheduled = known.get("PodScheduled")
    if holds(scheduled, "False"):
        return _fault(
            pod,
            {},
            rank=6,
            reason=plain(text(scheduled, "reason")) or "Unschedulable",
            message=plain(text(scheduled, "message")),
        )
    if text(pod, "status", "phase") == "Failed":
        reason, message = text(pod, "status", "reason"), text(pod, "status", "message")
        return _fault(pod, {}, rank=6, reason=plain(reason) or "Failed", message=plain(message))
    if text(pod, "status", "phase") == "Running" and holds(known.get("Ready"), "False"):
        return _fault(pod, {}, rank=9, reason="NotReady", message=_unready(pod, known))
    return None


def _unready(pod: Object, known: Mapping[str, Mapping[str, Any]]) -> str:
    waiting = [
        plain(text(container, "name"))
        for container in reading.listed(pod, "status", "containerStatuses")
        if container.get("ready") is not True
    ]
    if waiting:
        return f"running, but not ready: {', '.join(sorted(waiting))}"
    return said(known.get("Ready"))


def _fault(
    pod: Object,
    container: Mapping[str, Any],
    *,
    rank: int,
    reason: str,
    message: str,
    fatal: bool = False,
    log: bool = False,
    previous: bool = False,
) -> PodFault:
    return PodFault(
        rank=rank,
        pod=reading.name(pod),
        uid=reading.uid(pod),
        container=plain(text(container, "name")),
        reason=reason,
        message=message,
        fatal=fatal,
        log=log,
        previous=previous,
    )


def _image(pod: Object, container: Mapping[str, Any]) -> str:
    """As the pod asks for it; a kubelet may report what it resolved."""
    asked = reading.images(reading.section(pod, "spec"))
    return asked.get(text(container, "name")) or text(container, "image")

"""The verdict on one object, and the rules for objects that run no pods.

What runs pods is judged in `workload_rules`; `rollout.assess` picks the rule and handles what
holds for every kind. The generic rule is kstatus': https://github.com/kubernetes-sigs/cli-utils
(pkg/kstatus). Pure; used by `rollout` and `workload_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from watcher.kube import reading
from watcher.kube.objects import Object
from watcher.kube.reading import conditions, generation, holds, said


class RolloutState(StrEnum):
    """How far what was applied has come.

    SUPERSEDED is neither success nor failure: somebody applied something newer meanwhile. UNKNOWN
    says that the cluster could not be read: undoing something on that ground would be blind.
    """

    PROGRESSING = "progressing"
    READY = "ready"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A state, a line for people without the object's name, and a word for programs."""

    state: RolloutState
    message: str
    reason: str = ""


def ready(message: str, reason: str = "") -> Status:
    return Status(state=RolloutState.READY, message=message, reason=reason)


def waiting(message: str, reason: str = "") -> Status:
    return Status(state=RolloutState.PROGRESSING, message=message, reason=reason)


def failed(message: str, reason: str) -> Status:
    return Status(state=RolloutState.FAILED, message=message, reason=reason)


UNOBSERVED = waiting("its controller has not seen the change yet", "Unobserved")


def volume_claim(item: Object) -> Status:
    phase = reading.plain(reading.text(item, "status", "phase"))
    if phase == "Bound":
        return ready("bound")
    if phase == "Lost":
        return failed("has lost its volume", "Lost")
    return waiting(f"is {phase or 'Pending'}, not bound to a volume")


def namespace(item: Object) -> Status:
    phase = reading.text(item, "status", "phase")
    if phase == "Terminating":
        return failed("is being deleted", "Deleted")
    return ready("active") if phase == "Active" else waiting("is not active yet")


def custom_resource_definition(item: Object) -> Status:
    known = conditions(item)
    if holds(known.get("NamesAccepted"), "False"):
        return failed(f"its names are refused: {said(known['NamesAccepted'])}", "NamesNotAccepted")
    if holds(known.get("Established")):
        return ready("established")
    return waiting("is not established yet")


def service(item: Object) -> Status:
    if reading.text(item, "spec", "type") != "LoadBalancer":
        return ready("applied")
    if reading.listed(item, "status", "loadBalancer", "ingress"):
        return ready("has an address")
    return waiting("its load balancer has no address yet")


def api_service(item: Object) -> Status:
    available = conditions(item).get("Available")
    if holds(available):
        return ready("available")
    detail = said(available)
    return waiting(f"is not available: {detail}" if detail else "is not available yet")


def disruption_budget(item: Object) -> Status:
    return ready("applied") if observed(item) else UNOBSERVED


def anything_else(item: Object) -> Status:
    """Whatever follows the conventions of conditions; ready at once where nothing speaks of it."""
    if reading.number(item, "status", "observedGeneration") is not None and not observed(item):
        return UNOBSERVED
    known = conditions(item)
    stalled, reconciling, is_ready = (
        known.get("Stalled"),
        known.get("Reconciling"),
        known.get("Ready"),
    )
    if holds(stalled) and _is_current(stalled, item):
        return failed(f"is stalled: {said(stalled)}", "Stalled")
    if holds(reconciling):
        return waiting(said(reconciling) or "is being reconciled", "Reconciling")
    if is_ready is None:
        return ready("applied")
    if not _is_current(is_ready, item):
        return UNOBSERVED
    if holds(is_ready):
        return ready("ready")
    return waiting(f"is not ready: {said(is_ready)}".removesuffix(": "), "NotReady")


def observed(item: Object) -> bool:
    """Whether the status speaks of this very spec; without a number it speaks of none."""
    seen = reading.number(item, "status", "observedGeneration")
    return seen is not None and seen >= generation(item)


def _is_current(condition: Mapping[str, Any] | None, item: Object) -> bool:
    seen = reading.number(condition, "observedGeneration")
    return seen is None or seen >= generation(item)

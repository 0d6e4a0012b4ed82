"""Why an object does not get ready, in the words that a person needs.

Looks where kubectl users look: the newest ReplicaSet, its pods, their events, and the last lines of
a crashed container. What may not be read is named, and changes no verdict. Used by `follow`, and by
whoever reports a stuck object.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from watcher.errors import ClusterError, ClusterFault
from watcher.kube import reading
from watcher.kube.objects import Object, Resource, group_of
from watcher.kube.reading import plain, text
from watcher.kube.redaction import without_credentials
from watcher.kube.rollouts import workload_rules
from watcher.kube.rollouts.owned_pods import (
    Pods,
    creates_pods,
    newest_replica_set,
    selector_text,
    sorted_pods,
    worst_of,
)
from watcher.kube.rollouts.pod_faults import PodFault

LOG_LINES = 10
LONGEST_LOG_LINE = 200
_READ_OF_A_LINE = 2000

_Answer = TypeVar("_Answer")
_JOB_FAILURES = frozenset(
    {
        "BackoffLimitExceeded",
        "DeadlineExceeded",
        "FailedIndexes",
        "MaxFailedIndexesExceeded",
        "PodFailurePolicy",
    }
)
_REFUSED = frozenset({ClusterFault.FORBIDDEN, ClusterFault.UNAUTHORIZED, ClusterFault.ANONYMOUS})


class Reader(Protocol):
    """The part of `client.ClusterClient` that only reads. All raise ClusterError."""

    async def resource(self, api_version: str, kind: str) -> Resource: ...

    async def get(self, resource: Resource, namespace: str, name: str) -> Object | None: ...

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> list[Object]: ...

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, lines: int = 20
    ) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What was found; `message` is one line, empty where nothing was.

    `fatal` says that more time alone rarely helps: such a cause, lasting, ends a wait early.
    `subject` is the uid of the pod at fault. `log` are the last lines of its crashed container,
    `unread` what could not be looked at and why.
    """

    message: str = ""
    fatal: bool = False
    subject: str = ""
    log: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line, with the last word of the log and the missing rights."""
        parts = [self.message] if self.message else []
        if self.log:
            parts.append(f"its log ends with: {self.log[-1].strip()}")
        return "; ".join([*parts, *self.unread])


async def glance(reader: Reader, item: Object) -> Cause:
    """The cause as the pods' status shows it, with two reads at most. Raises nothing."""
    looked = _Looked(reader)
    pods = await _pods(looked, item)
    return _with_unread(cause_of(item, pods), looked)


async def explain(reader: Reader, item: Object, *, observed: bool = True) -> Cause:
    """The cause with what events and logs add: up to six reads. Raises nothing.

    With `observed` False the pods that are there say nothing of this spec; only events about the
    object count. A StatefulSet whose pods a quota refuses stays like that.
    """
    looked = _Looked(reader)
    pods = await _pods(looked, item) if observed else Pods(owner=item)
    cause, fault = cause_of(item, pods), worst_of(pods)
    if fault is not None and cause.message.startswith(str(fault)):
        cause = await _deepened(looked, item, cause, fault)
    elif not cause.message:
        cause = Cause(message=await _told_by_events(looked, item, pods))
    return _with_unread(cause, looked)


def cause_of(item: Object, pods: Pods) -> Cause:
    """What the objects alone tell: a pod that can't start comes before pods that can't be made,
    and both before pods that take their time."""
    fault, refusal = worst_of(pods), workload_rules.refusal(item) or _refusal_of(pods.owner, item)
    if fault is not None and (fault.fatal or not refusal):
        stuck = not any(reading.uid(pod) == fault.uid for pod in pods.current)
        message = f"{fault}; {_unstick(item, fault)}" if stuck else str(fault)
        return Cause(message=message, fatal=_is_fatal(item, fault), subject=fault.uid)
    return Cause(message=refusal)


async def failure_of_vanished(reader: Reader, job: Object) -> str:
    """Why a Job failed that removed itself before anybody looked; empty when it did not, or when
    no event tells. Raises nothing."""
    namespace = text(job, "metadata", "namespace")
    for event in await _warnings(_Looked(reader), namespace, reading.uid(job)):
        if text(event, "reason") in _JOB_FAILURES:
            return _words_of(event)
    return ""


def log_lines(words: str) -> tuple[str, ...]:
    """The last lines that are not empty, cut, without control characters and passwords but with
    their indentation."""
    lines = [
        "".join(c if c.isprintable() else " " for c in line[:_READ_OF_A_LINE]).rstrip()
        for line in words.splitlines()
    ]
    last = [line for line in lines if line][-LOG_LINES:]
    return tuple(without_credentials(line)[:LONGEST_LOG_LINE] for line in last)


@dataclass(slots=True)
class _Looked:
    """Reads for an explanation, and remembers what could not be read."""

    reader: Reader
    unread: list[str] = field(default_factory=list)

    async def list(
        self, api_version: str, kind: str, namespace: str, **selectors: str | None
    ) -> list[Object] | None:
        async def listed() -> list[Object]:
            resource = await self.reader.resource(api_version, kind)
            return await self.reader.list(resource, namespace, **selectors)

        group = group_of(api_version)
        what = f"{kind.lower()}s" + (f".{group}" if group else "")
        return await self.attempt(f"list {what} in namespace {namespace}", listed())

    async def log(self, namespace: str, fault: PodFault) -> tuple[str, ...]:
        """Of the run that crashed; of the present one where a node has thrown that away."""
        what = f"get pods/log in namespace {namespace}"
        for previous in (True, False) if fault.previous else (False,):
            words = await self.attempt(
                what,
                self.reader.pod_log(
                    namespace, fault.pod, fault.container, previous=previous, lines=LOG_LINES
                ),
                quiet=True,
            )
            if words:
                return log_lines(words)
        return ()

    async def attempt(
        self, what: str, reads: Awaitable[_Answer], *, quiet: bool = False
    ) -> _Answer | None:
        """The answer, or None with a note; `quiet` notes missing rights only."""
        try:
            return await reads
        except ClusterError as error:
            if error.fault in _REFUSED:
                self._note(f"no right to {what}, where the reason may stand")
            elif not quiet:
                self._note(f"could not {what}: {plain(error.message)}")
            return None

    def _note(self, words: str) -> None:
        if words not in self.unread:
            self.unread.append(words)


async def _pods(looked: _Looked, item: Object) -> Pods:
    kind, namespace = text(item, "kind"), text(item, "metadata", "namespace")
    if (group_of(item["apiVersion"]), kind) == ("", "Pod"):
        return Pods(owner=item, current=(item,))
    selector = selector_text(item)
    if selector is None or not creates_pods(item):
        return Pods(owner=item)
    owner: Object | None = item
    if kind == "Deployment":
        sets = await looked.list("apps/v1", "ReplicaSet", namespace, labels=selector)
        if sets is not None:
            owner = newest_replica_set(sets, reading.uid(item))
            selector = selector_text(owner) if owner is not None else None
        else:
            owner = None
    if selector is None:
        return Pods(owner=item)
    found = await looked.list("v1", "Pod", namespace, labels=selector)
    return sorted_pods(item, owner, found or [])


def _is_fatal(item: Object, fault: PodFault) -> bool:
    """A Job has its own limit of tries for programs that fail."""
    return fault.fatal and not (fault.log and text(item, "kind") == "Job")


def _unstick(item: Object, fault: PodFault) -> str:
    namespace = text(item, "metadata", "namespace")
    return (
        "it runs an earlier revision and holds up the update until it is deleted: "
        f"kubectl delete pod {fault.pod} --namespace {namespace}"
    )


def _refusal_of(owner: Object, item: Object) -> str:
    return workload_rules.refusal(owner) if owner is not item else ""


async def _deepened(looked: _Looked, item: Object, cause: Cause, fault: PodFault) -> Cause:
    """A pod's fault with the log of the crash, or with the events' better words."""
    namespace = text(item, "metadata", "namespace")
    if fault.log:
        log = await looked.log(namespace, fault)
        return replace(cause, log=log)
    wanted = {"ImagePullBackOff": "Failed", "NotReady": "Unhealthy"}.get(fault.reason)
    if wanted is None:
        return cause
    events = await _warnings(looked, namespace, fault.uid)
    told = [words for event in events if (words := _told(event, wanted))]
    message = f"{cause.message}; {told[0]}" if told else cause.message
    return replace(cause, message=message)


def _told(event: Object, wanted: str) -> str:
    """The message of an event of that reason; `Error: ImagePullBackOff` says nothing new."""
    words = text(event, "message")
    is_news = text(event, "reason") == wanted and not words.startswith("Error: ")
    return plain(words) if is_news else ""


async def _told_by_events(looked: _Looked, item: Object, pods: Pods) -> str:
    """The newest warning about a pod that is not ready, else about what should create pods."""
    namespace = text(item, "metadata", "namespace")
    if not namespace:
        return ""
    unready = [
        pod for pod in pods.current if not reading.holds(reading.conditions(pod).get("Ready"))
    ]
    for subject in (*unready[:1], pods.owner, *([item] if pods.owner is not item else [])):
        for event in await _warnings(looked, namespace, reading.uid(subject)):
            about = f"pod {reading.name(subject)}: " if subject in unready else ""
            return f"{about}{_words_of(event)}"
    return ""


async def _warnings(looked: _Looked, namespace: str, about: str) -> list[Object]:
    """The Warning events of an object, newest first."""
    fields = f"involvedObject.uid={about},type=Warning"
    events = await looked.list("v1", "Event", namespace, fields=fields) if about else []
    return sorted(events or [], key=_event_time, reverse=True)


def _words_of(event: Object) -> str:
    return reading.said({key: event.get(key) for key in ("reason", "message")})


def _event_time(event: Object) -> str:
    return (
        text(event, "series", "lastObservedTime")
        or text(event, "lastTimestamp")
        or text(event, "eventTime")
        or text(event, "metadata", "creationTimestamp")
    )


def _with_unread(cause: Cause, looked: _Looked) -> Cause:
    return replace(cause, unread=tuple(looked.unread))

"""The classifier: from an API server's refusal to the ClusterError that it stands for.

The status alone does not say: a 500 without a reason is the user's mistake, a 403 may be a quota,
a 404 a missing namespace, an unknown kind or an object that is not there. Pure; `client` asks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from watcher.errors import ClusterError, ClusterFault, FieldConflict
from watcher.kube.connecting.answers import Answer, not_kubernetes
from watcher.kube.reading import listed
from watcher.kube.redaction import redacted

TEMPORARY = frozenset(
    {
        ClusterFault.NAMESPACE_TERMINATING,
        ClusterFault.QUOTA,
        ClusterFault.VERSION_CONFLICT,
        ClusterFault.EXISTS,
        ClusterFault.THROTTLED,
        ClusterFault.UNAVAILABLE,
    }
)
"""What may pass when the stage is tried again."""

_CAUSES_SHOWN = 5
_MOST_CAUSES = 1000
_READS = frozenset({"GET", "HEAD", "DELETE"})
_TROUBLE = re.compile(
    r"etcdserver:|context deadline exceeded|failed calling webhook|connection refused"
    r"|request timed out|leader changed|transport is closing|code = Unavailable"
)
_IMMUTABLE = re.compile(
    r"immutable|may not change once set|cannot change roleRef|updates to .* are forbidden"
    r"|updates may not change fields"
)
_DENIED = re.compile(r"denied (?:the )?request|violates PodSecurity")
_RIGHT = re.compile(
    r'cannot (?P<verb>[-\w*]+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_MANAGER = re.compile(r'conflict with "((?:[^"\\]|\\.)*)"')
_UNKNOWN_KIND = "could not find the requested resource"


@dataclass(frozen=True, slots=True)
class _Status:
    """What the server said: a `Status` object (kind Status, v1), taken apart."""

    code: int
    reason: str
    message: str
    kind: str
    group: str
    causes: tuple[Mapping[str, Any], ...]

    def has_cause(self, reason: str) -> bool:
        return any(cause.get("reason") == reason for cause in self.causes)


@dataclass(frozen=True, slots=True)
class _Verdict:
    fault: ClusterFault
    message: str
    hint: str | None = None
    temporary: bool | None = None


def refusal(answer: Answer, *, method: str, about: str) -> ClusterError:
    """The error that a refused request stands for. `about` names the object (`str(ObjectKey)`)."""
    status = _status(answer)
    verdict = _without_status(answer) if status is None else _verdict(status, method, about)
    if verdict is None:
        return not_kubernetes(answer, about=about)
    fault, temporary = verdict.fault, verdict.temporary
    return ClusterError(
        verdict.message,
        fault=fault,
        about=about,
        status=answer.status,
        conflicts=_conflicts(status) if fault is ClusterFault.FIELD_CONFLICT and status else (),
        hint=verdict.hint,
        temporary=fault in TEMPORARY if temporary is None else temporary,
        retry_after=_retry_after(answer),
    )


def _status(answer: Answer) -> _Status | None:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or body.get("kind") != "Status":
        return None
    details = body.get("details")
    details = details if isinstance(details, dict) else {}
    return _Status(
        code=answer.status,
        reason=_text(body.get("reason")),
        message=_text(body.get("message")),
        kind=_text(details.get("kind")),
        group=_text(details.get("group")),
        causes=tuple(listed(details, "causes")[:_MOST_CAUSES]),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _without_status(answer: Answer) -> _Verdict | None:
    """What an answer means that is no `Status`: of a proxy, or of the server's outermost layer."""
    text = answer.body[:200].decode(errors="replace").strip()
    match answer.status:
        case 400 if "HTTP request to an HTTPS server" in text:
            return _Verdict(
                ClusterFault.CONFIGURATION, "the server speaks TLS", "write https:// in its address"
            )
        case 401:
            return _unauthorized()
        case 404 if text.startswith("404 page not found"):
            return _unknown_kind()
        case 413:
            return _too_large("")
        case 429:
            return _Verdict(ClusterFault.THROTTLED, "the server asks for fewer requests")
        case status if status >= 500:
            return _Verdict(ClusterFault.UNAVAILABLE, f"HTTP {status} from the server or a proxy")
    return None


def _verdict(status: _Status, method: str, about: str) -> _Verdict:
    rules: Mapping[int, Callable[[], _Verdict]] = {
        401: _unauthorized,
        403: lambda: _forbidden(status),
        404: lambda: _not_found(status, method, about),
        409: lambda: _conflict(status),
        410: lambda: _Verdict(ClusterFault.VERSION_CONFLICT, _said(status)),
        413: lambda: _too_large(_said(status)),
        422: lambda: _unprocessable(status),
        429: lambda: _Verdict(ClusterFault.THROTTLED, _said(status)),
        500: lambda: _internal(status, method),
    }
    if status.code in rules:
        return rules[status.code]()
    if status.code > 500:
        return _Verdict(ClusterFault.UNAVAILABLE, _said(status))
    return _denied(status) or _Verdict(ClusterFault.INVALID, _said(status))


def _unauthorized() -> _Verdict:
    return _Verdict(
        ClusterFault.UNAUTHORIZED,
        "the server does not accept the credential",
        "the kubeconfig's user holds it: is its token or certificate expired or revoked?",
    )


def _forbidden(status: _Status) -> _Verdict:
    said = _said(status)
    if "system:anonymous" in status.message:
        return _Verdict(
            ClusterFault.ANONYMOUS,
            "the server took this for an anonymous request: no credential was sent",
            "check the exec plug-in, the token or the certificate of the kubeconfig's user",
        )
    if status.has_cause("NamespaceTerminating"):
        return _Verdict(
            ClusterFault.NAMESPACE_TERMINATING, said, "wait until the namespace is gone"
        )
    if "exceeded quota" in status.message:
        return _Verdict(ClusterFault.QUOTA, said, "raise the ResourceQuota, or free some of it")
    if "failed quota" in status.message:
        return _Verdict(ClusterFault.QUOTA, said, "state what the ResourceQuota asks for", False)  # noqa: FBT003
    return _denied(status) or _Verdict(ClusterFault.FORBIDDEN, said.rstrip(": "), _grant(status))


def _grant(status: _Status) -> str | None:
    """Which right to grant, where the server named it. It names none where an apply may patch, but
    the object is new."""
    if "not currently held" in status.message:
        return "one can't grant rights that one lacks: let an administrator apply this object"
    if status.message.endswith("is forbidden: ") and status.kind:
        resources = redacted(status.kind + (f".{status.group}" if status.group else ""))
        return f"grant create on {resources}: a new object needs it beside patch"
    right = _RIGHT.search(status.message)
    if right is None:
        return None
    group = f".{right['group']}" if right["group"] else ""
    place = f" in namespace {right['namespace']}" if right["namespace"] else " in the cluster"
    return f"grant {right['verb']} on {right['resource']}{group}{place} (see deploy/rbac.yaml)"


def _denied(status: _Status) -> _Verdict | None:
    """An admission policy or webhook that refused, whatever status it chose."""
    texts = [status.message, *(_text(cause.get("message")) for cause in status.causes)]
    if not any(_DENIED.search(text) for text in texts):
        return None
    return _Verdict(
        ClusterFault.POLICY, _said(status), "an admission policy of the cluster says so"
    )


def _not_found(status: _Status, method: str, about: str) -> _Verdict:
    if _UNKNOWN_KIND in status.message or "page not found" in status.message:
        return _unknown_kind()
    if status.kind == "namespaces" and method != "GET" and not about.startswith("namespace/"):
        return _Verdict(
            ClusterFault.NAMESPACE_MISSING, _said(status), "create the namespace, or apply it too"
        )
    return _Verdict(ClusterFault.NOT_FOUND, _said(status))


def _unknown_kind() -> _Verdict:
    return _Verdict(
        ClusterFault.KIND_UNKNOWN,
        "the server does not know this kind",
        "check apiVersion and kind, and that the CustomResourceDefinition is installed",
    )


def _conflict(status: _Status) -> _Verdict:
    if status.has_cause("FieldManagerConflict"):
        return _field_conflict(status)
    if status.reason == "AlreadyExists":
        return _Verdict(ClusterFault.EXISTS, _said(status))
    return _Verdict(
        ClusterFault.VERSION_CONFLICT, _said(status), "somebody else changed it meanwhile"
    )


def _field_conflict(status: _Status) -> _Verdict:
    conflicts = _conflicts(status)
    owned = [f"{conflict.field} (by {conflict.manager})" for conflict in conflicts]
    managers = ", ".join(dict.fromkeys(conflict.manager for conflict in conflicts))
    return _Verdict(
        ClusterFault.FIELD_CONFLICT,
        "owned by others, with other values: " + _listed(owned, ", "),
        f"remove the field from the manifest, or take it over with `conflicts: [{managers}]` or "
        "`conflicts: force`",
    )


def _conflicts(status: _Status) -> tuple[FieldConflict, ...]:
    found = []
    for cause in status.causes:
        if cause.get("reason") == "FieldManagerConflict":
            manager = _MANAGER.search(_text(cause.get("message")))
            name = re.sub(r"\\(.)", r"\1", manager[1]) if manager else "another manager"
            found.append(FieldConflict(redacted(_text(cause.get("field"))), redacted(name)))
    return tuple(found)


def _too_large(said: str) -> _Verdict:
    return _Verdict(
        ClusterFault.INVALID,
        said or "the object is too large for the server",
        "an object may have some 1.5 MB, a request 3 MiB",
    )


def _unprocessable(status: _Status) -> _Verdict:
    denied = _denied(status)
    if denied is not None:
        return denied
    texts = _cause_texts(status) or [_message(status.message)]
    if all(_IMMUTABLE.search(text) for text in texts):
        return _Verdict(
            ClusterFault.IMMUTABLE,
            _said(status),
            "give the object another name, or delete it first; `replace: [KIND]` does so",
        )
    return _Verdict(ClusterFault.INVALID, _said(status))


def _internal(status: _Status, method: str) -> _Verdict:
    """A 500 with an empty reason is how server-side apply refuses a field that it does not know,
    a wrong type or a repeated list key: the user's mistake, unless nothing was written."""
    trouble = _TROUBLE.search(status.message) is not None
    if trouble or method in _READS or status.reason not in ("", "Unknown"):
        return _Verdict(ClusterFault.UNAVAILABLE, _said(status))
    return _denied(status) or _Verdict(ClusterFault.INVALID, _said(status))


def _said(status: _Status) -> str:
    """What the server said, fit to be shown: its causes by field, else its message."""
    causes = [
        f"{redacted(field)}: {text}" if field else text
        for cause, text in zip(status.causes, _cause_texts(status, limit=200), strict=True)
        for field in [_text(cause.get("field"))]
    ]
    named = [
        cause for cause, given in zip(causes, status.causes, strict=True) if given.get("field")
    ]
    if named and status.code in (400, 422):
        return _listed(named, "; ")
    return _message(status.message) or _listed(causes, "; ") or f"HTTP {status.code}"


def _cause_texts(status: _Status, *, limit: int = 10_000) -> list[str]:
    return [
        redacted(_text(cause.get("message")), field=_text(cause.get("field")), limit=limit)
        for cause in status.causes
    ]


def _message(message: str) -> str:
    return redacted(message, limit=400)


def _listed(texts: list[str], separator: str) -> str:
    more = len(texts) - _CAUSES_SHOWN
    shown = separator.join(texts[:_CAUSES_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def _retry_after(answer: Answer) -> timedelta | None:
    """How long the server asks to wait, by seconds or by its own clock's date (RFC 9110)."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value), 86_400))
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(wait, timedelta())

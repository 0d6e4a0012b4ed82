"""An answer over HTTP, and the object that a good one must hold.

A proxy or a login page may answer in the API server's place with status 200: what is no JSON
object of the kind that was asked for is no success. Pure; `refusals` reads the bad answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from watcher.errors import ClusterError, ClusterFault
from watcher.kube.objects import Object
from watcher.kube.redaction import redacted

_WARNING = re.compile(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer over HTTP. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        return not 200 <= self.status < 300


def json_object(answer: Answer, *, about: str) -> dict[str, Any]:
    """The JSON object in a good answer, else ClusterError (NOT_KUBERNETES): a proxy or a login page
    answered in the place of the API server."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise not_kubernetes(answer, about=about)
    return value


def object_of(answer: Answer, kind: str, *, about: str) -> Object:
    """The object of that kind in a good answer, else ClusterError (NOT_KUBERNETES)."""
    value = json_object(answer, about=about)
    if value.get("kind") != kind or not isinstance(value.get("metadata"), dict):
        raise not_kubernetes(answer, about=about)
    return value


def items_of(answer: Answer, *, about: str) -> tuple[list[Object], str]:
    """The objects in one page of a list, and the token of the next page, empty for the last.
    Raises ClusterError (NOT_KUBERNETES)."""
    page = json_object(answer, about=about)
    items, metadata = page.get("items"), page.get("metadata")
    whole = all(isinstance(item, dict) for item in items) if isinstance(items, list) else not items
    if not whole or not isinstance(metadata, dict) or "items" not in page:
        raise not_kubernetes(answer, about=about)
    return items or [], str(metadata.get("continue") or "")


def not_kubernetes(answer: Answer, *, about: str) -> ClusterError:
    kind = answer.headers.get("content-type", "").partition(";")[0] or "an empty answer"
    return ClusterError(
        f"HTTP {answer.status} with {redacted(kind, limit=60)}: this is no answer of a Kubernetes "
        "API server",
        fault=ClusterFault.NOT_KUBERNETES,
        about=about,
        status=answer.status,
        hint="check the server's address in the kubeconfig, and the proxy before it",
        temporary=True,
    )


def warnings_of(values: list[str]) -> tuple[str, ...]:
    """The texts of `Warning` headers (RFC 9111, 5.5), each once."""
    found = [text for value in values for text in _WARNING.findall(value)]
    texts = [redacted(re.sub(r"\\(.)", r"\1", text), limit=500) for text in found]
    return tuple(dict.fromkeys(texts))

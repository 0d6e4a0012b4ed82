"""What the fake registry remembers of its visitors: a log of requests, and counters.

Secrets are not kept: of Authorization only the scheme, of a form's secrets only the names.
Imported by the fake registry and its faults.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from watcher.testing.wire import Request, decoded_path

_SECRET_FIELDS = frozenset({"password", "refresh_token", "access_token"})
_IN_REPOSITORY = re.compile(
    r"/v2/(?P<repository>.+)/(?P<what>tags/list|manifests/|blobs/)(?P<name>.*)", re.DOTALL
)


class Kind(StrEnum):
    """What a request is for."""

    PING = "ping"
    CATALOG = "catalog"
    TAGS = "tags"
    MANIFEST = "manifest"
    BLOB = "blob"
    TOKEN = "token"  # noqa: S105 - the name of a kind
    NATIVE = "native"  # a registry's own API
    LOGIN = "login"  # at that API
    PROBE = "probe"  # asked to tell the kinds of registry apart
    OTHER = "other"


_KIND_IN_REPOSITORY = {
    "tags/list": Kind.TAGS,
    "manifests/": Kind.MANIFEST,
    "blobs/": Kind.BLOB,
}
_KIND_OF_PATH = {
    "/v2/": Kind.PING,
    "/v2/_catalog": Kind.CATALOG,
    "/token": Kind.TOKEN,
    "/api/v2.0/systeminfo": Kind.PROBE,  # Harbor
    "/gitlab/v1/": Kind.PROBE,  # GitLab
    "/health/instance": Kind.PROBE,  # Quay
}


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request leads: its kind, and where it has them a repository and a reference."""

    kind: Kind
    repository: str = ""
    reference: str = ""


@dataclass(slots=True, kw_only=True)
class Recorded:
    """One request of the log.

    query: as it came, not decoded. headers: lower-case names; `authorization` holds only the
    scheme. form: a POST's fields, secrets replaced by `***`. connection: a number per
    connection, from 1. status: of the answer; 0 as long as none was sent.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    form: Mapping[str, str]
    kind: Kind
    repository: str
    reference: str
    connection: int
    status: int = 0


@dataclass(slots=True)
class Counters:
    """Counts since the start or the last reset; admin requests are not counted.

    requests: by kind. statuses: answers by status. connections: accepted. tokens: issued.
    faults: played.
    """

    requests: Counter[Kind] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    connections: int = 0
    tokens: int = 0
    faults: int = 0


def route(
    request: Request,
    token_path: str = "/token",  # noqa: S107 - a path
    native: Callable[[str], Route | None] = lambda path: None,
) -> Route:
    """Read what a request is for out of its path.

    token_path: of this registry's token server. native: reads paths of the registry's own API.
    """
    path = decoded_path(request)
    if path == token_path:
        return Route(Kind.TOKEN)
    if found_native := native(path):
        return found_native
    if kind := _KIND_OF_PATH.get(path):
        return Route(kind)
    if found := _IN_REPOSITORY.fullmatch(path):
        kind = _KIND_IN_REPOSITORY[found["what"]]
        return Route(kind, found["repository"], found["name"])
    return Route(Kind.OTHER)


def record(request: Request, where: Route, connection: int) -> Recorded:
    """The log's line for a request, without its secrets."""
    headers = dict(request.headers)
    if "authorization" in headers:
        headers["authorization"] = headers["authorization"].partition(" ")[0]
    form = {
        name: "***" if name in _SECRET_FIELDS else value for name, value in request.form.items()
    }
    return Recorded(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=headers,
        form=form,
        kind=where.kind,
        repository=where.repository,
        reference=where.reference,
        connection=connection,
    )

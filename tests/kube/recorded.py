"""Answers of API servers: recorded ones, of the oldest and of the newest that we must understand,
and such as a test writes itself.

Both files hold the same 57 cases in the same order, so a test can say what holds for both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from watcher.errors import ClusterError
from watcher.kube.connecting.answers import Answer
from watcher.kube.connecting.refusals import refusal

OLDEST, NEWEST = "1.20.2", "1.36.1"
SERVERS = (OLDEST, NEWEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One request and its answer."""

    case: str
    method: str
    path: str
    status: int
    body: Any = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def answer(self) -> Answer:
        content = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return Answer(status=self.status, headers=self.headers, body=content.encode())


@cache
def recorded(server: str) -> Mapping[str, Recorded]:
    """The cases of one server, by name."""
    file = Path(__file__).with_name("fixtures") / f"fixtures-{server}.json"
    return {entry["case"]: _recorded(entry) for entry in json.loads(file.read_text())}


def _recorded(entry: Mapping[str, Any]) -> Recorded:
    request, response = entry.get("request") or {}, entry["response"]
    headers = response.get("headers", {})
    return Recorded(
        case=entry["case"],
        method=request.get("method") or "GET",
        path=request.get("path") or "/apis",
        status=response["status"],
        body=response["body"],
        headers={name.lower(): value for name, value in headers.items()},
    )


def status_of(
    status: int, reason: str | None, message: str, causes: list[dict[str, str]] | None = None,
    **details: Any,
) -> Answer:  # fmt: skip
    body = {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
        "details": {**details, **({"causes": causes} if causes else {})}, "code": status,
    }  # fmt: skip
    if reason is not None:
        body["reason"] = reason
    return Answer(status=status, body=json.dumps(body).encode())


def text(status: int, body: str, **headers: str) -> Answer:
    given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, body=body.encode(), headers=given_headers)


def refused(answer: Answer, *, method: str = "PATCH", about: str = "") -> ClusterError:
    return refusal(answer, method=method, about=about)


def cause(field: str, message: str, reason: str = "FieldValueInvalid") -> dict[str, str]:
    return {"field": field, "message": message, "reason": reason}

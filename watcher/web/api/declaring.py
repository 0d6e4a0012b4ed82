"""How an operation of the API is declared: what it takes, what it does, what it answers. Values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from watcher.web.api.kinds import Kind, Schema
from watcher.web.port import Desk

Given = Mapping[str, Any]
"""What a request gave: a value for each parameter and each key of the body, None where a voluntary
one was left out and has no default."""

Act = Callable[[Desk, Given], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One value of the query, of the path, or a key of the body."""

    name: str
    kind: Kind
    doc: str
    required: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One path with its one method. `path` is below `/api/v1` and names its parameters in braces;
    `parts` are these, all required. `body` are the keys of a JSON object; where it is None an empty
    object may come to an action. `refusals` are those of `act`: unknown names, and what may not be
    now."""

    name: str
    path: str
    doc: str
    act: Act
    answer: Schema
    method: Literal["GET", "POST"] = "GET"
    status: HTTPStatus = HTTPStatus.OK
    parts: tuple[Parameter, ...] = ()
    query: tuple[Parameter, ...] = ()
    body: tuple[Parameter, ...] | None = None
    refusals: tuple[HTTPStatus, ...] = ()

    @property
    def needs_body(self) -> bool:
        return any(parameter.required for parameter in self.body or ())

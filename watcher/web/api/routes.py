"""The application below `/api/v1`: one route for each declared operation, and their description."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from watcher.errors import StateError, UnknownName, UsageError
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log
from watcher.web.api.acting import ACTING
from watcher.web.api.declaring import Given, Operation
from watcher.web.api.looking import LOOKING
from watcher.web.api.openapi import description
from watcher.web.api.reading import given_by
from watcher.web.port import Desk
from watcher.web.refusals import Refused

OPERATIONS = (*LOOKING, *ACTING)

_NOTED = ("account", "repository", "tag", "person")
"""Of what a request gave, besides its path. Values of parameters may be secret."""


def api(desk: Desk, *, with_token: bool, log: Log) -> Router:
    """The routes; whom they serve is decided before. `with_token` is for their description. What
    was asked for and done stands in the log."""
    described = json.dumps(description(OPERATIONS, with_token=with_token)).encode()

    async def openapi(_: Request) -> Response:
        return Response(described, media_type="application/json")

    routes = [_route(operation, desk, log) for operation in OPERATIONS]
    routes.append(Route("/openapi.json", openapi))
    return Router(routes, redirect_slashes=False)


def written(result: Any) -> str:
    """The result as JSON; a list item by item, for json lets no other thread have its turn before
    it has written the whole."""
    if not isinstance(result, list):
        return json.dumps(result)
    return f"[{', '.join(json.dumps(item) for item in result)}]"


def _route(operation: Operation, desk: Desk, log: Log) -> Route:
    async def serve(request: Request) -> Response:
        given = await given_by(request, operation)
        result = await _carried_out(lambda: operation.act(desk, given))
        if operation.method == "POST":
            _note(log, request, operation, given)
        # A list of 10 000 repositories takes long to write; the polls go on meanwhile.
        content = await asyncio.to_thread(written, result)
        return Response(content, operation.status, media_type="application/json")

    return Route(operation.path, serve, methods=[operation.method])


def _note(log: Log, request: Request, operation: Operation, given: Given) -> None:
    log.info(
        Event.REQUEST_SERVED,
        kind=operation.name,
        path=request.scope["path"],
        client=request.client.host if request.client else None,
        **{name: given.get(name) for name in _NOTED},
    )


async def _carried_out(act: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await act()
    except UnknownName as error:
        raise Refused(HTTPStatus.NOT_FOUND, error.message, error.hint) from error
    except UsageError as error:
        raise Refused(HTTPStatus.CONFLICT, error.message, error.hint) from error
    except StateError as error:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, error.message, error.hint) from error

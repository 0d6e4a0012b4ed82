"""The application of the HTTP side: which path leads where. Put together by the composition root,
which hands in what it has; what is not handed in is not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from watcher.core.health import HealthReport
from watcher.core.serving import HttpSettings
from watcher.telemetry.log import Log
from watcher.web.api.openapi import PREFIX
from watcher.web.api.routes import api
from watcher.web.auth import Gate, api_token
from watcher.web.fresh import Fresh
from watcher.web.guard import Guard
from watcher.web.health import health_routes
from watcher.web.limits import Limits
from watcher.web.port import Desk, Exposition, Health
from watcher.web.refusals import answer_fault, answer_refused


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the application is made of. `desk` serves `/api/v1`, `metrics` is asked at most once a
    second, `hooks` are mounted at `/hooks` and decide themselves whom they let in."""

    health: Health
    desk: Desk | None = None
    metrics: Exposition | None = None
    hooks: Sequence[BaseRoute] = ()


def make_app(
    parts: Parts,
    settings: HttpSettings,
    *,
    log: Log,
    limits: Limits | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ASGIApp:
    """Everything below `/`. `clock` is monotonic, in seconds."""
    token = api_token(settings, log)
    gate = Gate(token, log=log, clock=clock)

    async def report() -> HealthReport:
        return parts.health.health()

    routes: list[BaseRoute] = [*health_routes(Fresh(report, clock=clock), gate)]
    if parts.desk is not None:
        described = api(parts.desk, with_token=token is not None, log=log)
        routes.append(Mount(PREFIX, Private(described, gate)))
    if parts.metrics is not None:
        routes.append(_metrics_route(parts.metrics, gate, clock))
    if parts.hooks:
        routes.append(Mount("/hooks", Router(parts.hooks, redirect_slashes=False)))
    application = Starlette(
        routes=routes,
        exception_handlers={HTTPException: answer_refused, Exception: answer_fault},
    )
    application.router.redirect_slashes = False  # it would repeat the Host header of a stranger
    return Guard(application, log=log, limits=limits or Limits())


class Private:
    """An application for those whom the gate lets in: others learn nothing, not even its paths."""

    def __init__(self, application: ASGIApp, gate: Gate) -> None:
        self._application = application
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._gate.check(Request(scope))
        await self._application(scope, receive, send)


def _metrics_route(metrics: Exposition, gate: Gate, clock: Callable[[], float]) -> Route:
    async def text() -> tuple[bytes, str]:
        return await metrics(openmetrics=False)

    async def openmetrics() -> tuple[bytes, str]:
        return await metrics(openmetrics=True)

    kept = {False: Fresh(text, clock=clock), True: Fresh(openmetrics, clock=clock)}

    async def answer(request: Request) -> Response:
        gate.check_name(request)
        wanted = "application/openmetrics-text" in request.headers.get("accept", "")
        body, content_type = await kept[wanted].get()
        return Response(body, headers={"content-type": content_type})

    return Route("/metrics", answer)

"""`/healthz`, `/readyz` and `/livez`: for probes and for people. Strangers see kinds and counts;
names of repositories only who may use the API.

`/livez` says only whether something is stuck: a supervisor that can only restart must not do so
because a registry is down, or every outage becomes a loop of restarts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from watcher.core.health import Ailment, Complaint, HealthReport
from watcher.web.auth import Gate
from watcher.web.fresh import Fresh


def health_routes(report: Fresh[HealthReport], gate: Gate) -> list[Route]:
    async def healthz(request: Request) -> Response:
        gate.check_name(request)
        found = await report.get()
        told = {"well": found.well, "complaints": _counts(found.complaints)}
        if gate.lets_in(request):
            told["details"] = [_detail(complaint) for complaint in found.complaints]
        return _answer(told, good=found.well)

    async def readyz(request: Request) -> Response:
        gate.check_name(request)
        found = await report.get()
        return _answer({"ready": found.ready}, good=found.ready)

    async def livez(request: Request) -> Response:
        gate.check_name(request)
        found = await report.get()
        stuck = [c for c in found.complaints if c.ailment is Ailment.STUCK]
        return _answer({"alive": found.alive, "complaints": _counts(stuck)}, good=found.alive)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/livez", livez),
    ]


def _counts(complaints: Iterable[Complaint]) -> dict[str, int]:
    return dict(Counter(complaint.ailment.value for complaint in complaints))


def _detail(complaint: Complaint) -> dict[str, str]:
    return {
        "ailment": complaint.ailment.value,
        "about": complaint.about,
        "message": complaint.message,
    }


def _answer(told: dict[str, object], *, good: bool) -> Response:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse(told, status_code=status)

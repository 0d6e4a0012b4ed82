"""Probes and people ask how the daemon fares: without a token, and without names for strangers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.web.serving import TOKEN, FakeHealth, serving
from watcher.core.health import Ailment, Complaint, HealthReport
from watcher.web.app import Parts
from watcher.web.fresh import Fresh

STALE = Complaint(ailment=Ailment.STALE, about="main/acme/web", message="no answer")
STUCK = Complaint(ailment=Ailment.STUCK, about="event loop", message="stands for 60 s")


@pytest.mark.parametrize(
    ("report", "healthz", "readyz", "livez"),
    [
        pytest.param(HealthReport(ready=True), 200, 200, 200, id="well"),
        pytest.param(HealthReport(ready=False), 200, 503, 200, id="starting"),
        pytest.param(
            HealthReport(ready=True, complaints=(STALE,)), 503, 200, 200, id="a registry is down"
        ),
        pytest.param(HealthReport(ready=True, complaints=(STUCK,)), 503, 200, 503, id="stuck"),
    ],
)
async def test_each_probe_answers_its_own_question(
    report: HealthReport, healthz: int, readyz: int, livez: int
) -> None:
    async with serving(Parts(health=FakeHealth(report))) as served:
        assert (await served.get("/healthz")).status == healthz
        assert (await served.get("/readyz")).status == readyz
        assert (await served.get("/livez")).status == livez


async def test_strangers_see_kinds_and_counts_and_no_names(token_file: Path) -> None:
    health = FakeHealth()
    health.complain(STALE, STALE, STUCK)
    async with serving(Parts(health=health), token_file=token_file) as served:
        for authorization in ("", "Bearer wrong", "Basic YTpi"):
            answer = await served.get("/healthz", authorization=authorization)
            assert answer.json == {"well": False, "complaints": {"stale": 2, "stuck": 1}}


async def test_who_holds_the_token_sees_what_is_wrong(token_file: Path) -> None:
    health = FakeHealth()
    health.complain(STALE)
    async with serving(Parts(health=health), token_file=token_file) as served:
        answer = await served.get("/healthz", authorization=f"Bearer {TOKEN}")
        assert answer.json["details"] == [
            {"ailment": "stale", "about": "main/acme/web", "message": "no answer"}
        ]


async def test_many_who_ask_at_once_cost_one_look() -> None:
    health = FakeHealth()
    async with serving(Parts(health=health)) as served:
        for _ in range(20):
            assert (await served.get("/healthz")).status == 200
    assert health.asked <= 2


async def test_many_who_ask_while_an_answer_takes_long_cost_one_look() -> None:
    clock = [0.0]

    async def slow() -> float:
        clock[0] += 5.0
        await asyncio.sleep(0)
        return clock[0]

    fresh = Fresh(slow, clock=lambda: clock[0])
    assert set(await asyncio.gather(*(fresh.get() for _ in range(20)))) == {5.0}


async def test_metrics_are_there_when_they_are_handed_in() -> None:
    async def metrics(*, openmetrics: bool) -> tuple[bytes, str]:
        return b"up 1\n", "application/openmetrics-text" if openmetrics else "text/plain"

    async with serving(Parts(health=FakeHealth(), metrics=metrics)) as served:
        plain = await served.get("/metrics")
        other = await served.get("/metrics", accept="application/openmetrics-text;version=1.0.0")
    assert (plain.status, plain.body, plain.headers["content-type"]) == (
        200,
        b"up 1\n",
        "text/plain",
    )
    assert other.headers["content-type"] == "application/openmetrics-text"
    async with serving() as served:
        assert (await served.get("/metrics")).status == 404

"""Probes and people ask how the daemon fares: without a token, and without names for strangers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.web.serving import TOKEN, FakeHealth, parse, serving
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


async def metrics(*, openmetrics: bool) -> tuple[bytes, str]:
    return b"up 1\n", "application/openmetrics-text" if openmetrics else "text/plain"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez", "/metrics"])
@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("127.0.0.1:8484", 200, id="loopback"),
        pytest.param("localhost:8484", 200, id="localhost"),
        pytest.param("[::1]:8484", 200, id="IPv6"),
        pytest.param("10.1.2.3:8484", 200, id="a pod's address, through a proxy beside it"),
        pytest.param("rebound.example:8484", 403, id="a name of its own"),
        pytest.param("127.0.0.1.rebound.example", 403, id="a name that begins with an address"),
        pytest.param("[::1", 403, id="no address"),
    ],
)
async def test_without_a_token_a_page_under_a_name_of_its_own_reads_nothing(
    path: str, host: str, status: int
) -> None:
    async with serving(Parts(health=FakeHealth(), metrics=metrics)) as served:
        answer = await served.get(path, host=host)
    assert answer.status == status
    if status == 403:
        assert "this machine alone" in answer.json["error"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez", "/metrics"])
async def test_a_probe_of_http_1_0_that_names_no_host_is_answered(path: str) -> None:
    async with serving(Parts(health=FakeHealth(), metrics=metrics)) as served:
        assert parse(await served.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())).status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez", "/metrics"])
async def test_with_a_token_probes_and_prometheus_may_use_any_name(
    path: str, token_file: Path
) -> None:
    parts = Parts(health=FakeHealth(), metrics=metrics)
    async with serving(parts, token_file=token_file) as served:
        for host in ("10.1.2.3:8484", "watcher.ci.svc:8484"):
            assert (await served.get(path, host=host)).status == 200


async def test_metrics_are_there_when_they_are_handed_in() -> None:
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

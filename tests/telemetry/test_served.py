"""`/metrics` of a real `watcher run`, as a scraper gets it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.watching import Daemon, Watcher, wait_until
from tests.telemetry.observed import REPOSITORY, Scrape, document
from watcher.testing.registry import FakeRegistry


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry.in_thread() as running:
        yield running


def scrape(daemon: Daemon, accept: str = "text/plain") -> tuple[str, bytes]:
    address = daemon.wait_for("listening")[0]["address"]
    with closing(http.client.HTTPConnection(address, timeout=10)) as client:
        client.request("GET", "/metrics", headers={"Accept": accept})
        answer = client.getresponse()
        assert answer.status == 200
        return answer.headers["Content-Type"], answer.read()


def test_a_daemon_with_http_answers_with_its_metrics_without_a_token(
    tmp_path: Path, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    token = tmp_path / "token"
    token.write_text("a-token-of-nobody\n")
    config = document(registry.address, tmp_path)
    config["http"]["token_file"] = str(token)
    watcher = Watcher(tmp_path, config)
    with watcher.running() as daemon:

        def is_run() -> float | None:
            return Scrape(scrape(daemon)[1]).value(
                "executions_total", pipeline="deploy", status="SUCCEEDED"
            )

        daemon.wait_for("baseline_recorded")
        registry.push(REPOSITORY, "2.0")
        wait_until(is_run, "the run is counted")
        seen = Scrape(scrape(daemon)[1])
        assert seen.value("events_total", account="main", outcome="fired") == 1
        assert seen.value("ready") == 1
        assert (seen.value("event_loop_lag_seconds_count") or 0) > 0


def test_a_scraper_that_takes_openmetrics_gets_it(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "1.0")
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"
    watcher = Watcher(tmp_path, document(registry.address, tmp_path))
    with watcher.running() as daemon:
        content_type, body = scrape(daemon, accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")

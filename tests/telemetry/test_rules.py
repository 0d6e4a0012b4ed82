"""docs/metrics.md and deploy/monitoring/prometheus-rules.yaml say of the metrics what is true, and
each alert fires when it should and rests when it should not: promtool plays Prometheus."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import need
from tests.telemetry.observed import REPOSITORY, Observed
from watcher.telemetry.families import PREFIX, Count, Family, Reading, Timing
from watcher.testing.registry import FakeRegistry

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
PAGE = (ROOT / "docs" / "metrics.md").read_text()
SHIPPED = ROOT / "deploy" / "monitoring" / "prometheus-rules.yaml"
SPEC = yaml.safe_load(SHIPPED.read_text())["spec"]
RULES = {rule["alert"]: rule for group in SPEC["groups"] for rule in group["rules"]}
FAMILIES = [what.value for kind in (Count, Timing, Reading) for what in kind]
NAME = re.compile(rf"{PREFIX}\w+")


class Row(NamedTuple):
    """What the page says of a metric."""

    kind: str
    labels: tuple[str, ...]
    alerts: tuple[str, ...]


def table() -> dict[str, Row]:
    lines = (line for line in PAGE.splitlines() if line.startswith(f"| `{PREFIX}"))
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {
        name.strip("`"): Row(kind, words(labels), words(alerts))
        for name, kind, labels, _, alerts in cells
    }


def words(cell: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in cell.split(",") if word.strip())


TABLE = table()


def series_of(family: Family) -> set[str]:
    parts = ("_bucket", "_sum", "_count") if family.buckets else ("",)
    return {family.name + part for part in parts}


# The page


def test_the_page_has_each_metric_with_its_labels() -> None:
    documented = {name: row.labels for name, row in TABLE.items()}
    assert documented == {family.name: family.labels for family in FAMILIES}


async def test_what_is_exposed_is_what_the_page_has_by_name_and_type(tmp_path: Path) -> None:
    async with FakeRegistry() as registry:
        registry.push(REPOSITORY, "1.0")
        async with Observed(registry, tmp_path, {}).working() as observed:
            await observed.wait_for("ready", 1)
            body, _ = await observed.exposition()
    families = text_string_to_metric_families(body.decode())
    types = {family.name: family.type for family in families if family.name.startswith(PREFIX)}
    exposed = {name + "_total" * (kind == "counter"): kind for name, kind in types.items()}
    for what in (Reading.QUOTA_LIMIT, Reading.QUOTA_REMAINING, Reading.QUOTA_RESETS):
        exposed[what.value.name] = "gauge"  # where a registry says nothing of a quota
    exposed[Reading.CREDENTIAL_AGE.value.name] = "gauge"  # where there is no credential
    exposed[Reading.MESSAGES.value.name] = "gauge"  # where there is no notifier
    assert exposed == {name: row.kind for name, row in TABLE.items()}


def test_the_page_names_the_alerts_of_each_metric() -> None:
    named = {(name, alert) for name, row in TABLE.items() for alert in row.alerts}
    used = {
        (family.name, alert)
        for alert, rule in RULES.items()
        for family in FAMILIES
        if series_of(family) & set(NAME.findall(rule["expr"]))
    }
    assert named == used


def test_every_expression_of_the_page_is_about_metrics_that_exist() -> None:
    prefixes = {name.removesuffix("_") for name in NAME.findall(PAGE)}
    known = {series for family in FAMILIES for series in (family.name, *series_of(family))}
    assert prefixes - known <= {f"{PREFIX}state"}, "`registry_watcher_state_*` stands for several"


# The alerts


@pytest.mark.parametrize("alert", RULES)
def test_each_alert_has_a_metric_a_severity_a_summary_and_a_place_in_the_runbook(
    alert: str,
) -> None:
    rule = RULES[alert]
    known = {series for family in FAMILIES for series in series_of(family)}
    used = set(NAME.findall(rule["expr"]))
    assert used
    assert used <= known
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/operations.md#alert-{alert.lower()}"
    assert f"\n### Alert {alert}\n" in RUNBOOK


OK = f'{PREFIX}build_info{{job="w", instance="i", version="0"}}'
LAG = f"{PREFIX}event_loop_lag_seconds_bucket"
FIRING: dict[str, dict[str, str]] = {
    "RegistryWatcherDown": {OK: "1 1 _x60", 'up{job="w", instance="i"}': "1 1 0x60"},
    "RegistryWatcherStuck": {f'{PREFIX}complaints{{ailment="stuck"}}': "0 1x60"},
    "RegistryWatcherNotReady": {f"{PREFIX}ready": "0x60"},
    "RepositoriesOverdue": {f'{PREFIX}repositories_overdue{{account="a"}}': "0 2x60"},
    "RegistryRateLimited": {f'{PREFIX}parked_until_timestamp_seconds{{host="h"}}': "0 7200x60"},
    "QuotaLow": {
        f'{PREFIX}quota_remaining{{host="h"}}': "100-5x18 9x40",
        f'{PREFIX}quota_limit{{host="h"}}': "100x60",
    },
    "AccountCredentialRefused": {f'{PREFIX}credential_trouble{{account="a"}}': "0 1x60"},
    "EventsHeld": {f'{PREFIX}events_held{{trigger="t"}}': "0 3x60"},
    "ExecutionsFailing": {f'{PREFIX}executions_total{{status="FAILED"}}': "0x50 1x10"},
    "RollbackFailed": {f'{PREFIX}rollbacks_total{{result="failed"}}': "0x50 1x10"},
    "NotificationsDead": {f'{PREFIX}notifications{{notifier="n", status="dead"}}': "0 1x60"},
    "StateNotWritable": {f'{PREFIX}state_failures_total{{during="bookkeeping"}}': "0+1x60"},
    "ConfigRejected": {f"{PREFIX}config_last_reload_successful": "1 0x60"},
    "EventLoopLate": {
        f'{LAG}{{le="0.25"}}': "0x60",
        f'{LAG}{{le="0.5"}}': "0+60x60",
        f'{LAG}{{le="+Inf"}}': "0+60x60",
    },
}
RESTING: dict[str, dict[str, str]] = {
    "RegistryWatcherDown": {OK: "1x60", 'up{job="w", instance="i"}': "1x60"},
    "RegistryWatcherStuck": {f'{PREFIX}complaints{{ailment="stale"}}': "0 1x60"},
    "RegistryWatcherNotReady": {f"{PREFIX}ready": "0x10 1x60"},
    "RepositoriesOverdue": {f'{PREFIX}repositories_overdue{{account="a"}}': "0x60"},
    "RegistryRateLimited": {f'{PREFIX}parked_until_timestamp_seconds{{host="h"}}': "0 300x60"},
    "QuotaLow": {
        f'{PREFIX}quota_remaining{{host="h"}}': "11x60",
        f'{PREFIX}quota_limit{{host="h"}}': "100x60",
    },
    "AccountCredentialRefused": {f'{PREFIX}credential_trouble{{account="a"}}': "1 0x60"},
    "EventsHeld": {f'{PREFIX}events_held{{trigger="t"}}': "0x60"},
    "ExecutionsFailing": {f'{PREFIX}executions_total{{status="SUCCEEDED"}}': "0+1x60"},
    "RollbackFailed": {f'{PREFIX}rollbacks_total{{result="skipped"}}': "0+1x60"},
    "NotificationsDead": {f'{PREFIX}notifications{{notifier="n", status="waiting"}}': "0 5x60"},
    "StateNotWritable": {
        f'{PREFIX}state_failures_total{{during="bookkeeping"}}': "0x55 1x5",
        f'{PREFIX}state_failures_total{{during="metrics"}}': "0+1x60",
    },
    "ConfigRejected": {f"{PREFIX}config_last_reload_successful": "0 1x60"},
    "EventLoopLate": {f'{LAG}{{le="0.25"}}': "0+60x60", f'{LAG}{{le="+Inf"}}': "0+60x60"},
}


def test_each_alert_is_played() -> None:
    assert set(FIRING) == set(RESTING) == set(RULES)


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "rests"])
@pytest.mark.parametrize("alert", RULES)
def test_an_alert_fires_when_it_should(alert: str, fires: bool, tmp_path: Path) -> None:
    need("promtool")
    series = (FIRING if fires else RESTING)[alert]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(SPEC))
    play: dict[str, Any] = {
        "rule_files": ["rules.yaml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values} for name, values in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                        "eval_time": "60m",
                        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                    }
                ],
            }
        ],
    }
    (tmp_path / "play.yaml").write_text(yaml.safe_dump(play))
    done = promtool("test", "rules", str(tmp_path / "play.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


async def test_promtool_finds_nothing_wrong_with_what_is_exposed(tmp_path: Path) -> None:
    need("promtool")
    async with FakeRegistry() as registry:
        registry.push(REPOSITORY, "1.0")
        async with Observed(registry, tmp_path, {}).working() as observed:
            await observed.wait_for("polls_total", 1, account="main", result="baseline")
            body, _ = await observed.exposition()
    done = promtool("check", "metrics", said=body.decode())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def promtool(*words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *words], input=said, capture_output=True, text=True, timeout=60, check=False
    )

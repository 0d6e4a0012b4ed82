"""What happens stands in the metrics: each one has a row that says what was made to happen."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as text_families

from tests.contract.conftest import run_of
from tests.contract.engines import remembering
from tests.telemetry.observed import REPOSITORY, Observed, Scrape
from watcher import __version__
from watcher.config import fields as config_fields
from watcher.core.health import Ailment, Complaint, HealthReport
from watcher.core.pipeline import (
    Done,
    Failed,
    Json,
    OnFailure,
    Skipped,
    StageOutcome,
    StageSpec,
)
from watcher.daemon.exposition import STATE_SECONDS
from watcher.daemon.upkeep import HOURLY, let_go_if_due
from watcher.engine.runner import EmbeddedRunner
from watcher.errors import StateUnwritable
from watcher.stages.base import StageContext
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.events import Event
from watcher.telemetry.families import PREFIX, Count, Reading, Timing
from watcher.telemetry.log import Log
from watcher.telemetry.metrics import PrometheusMeter
from watcher.testing.access import Auth, BasicAuth, BearerAuth
from watcher.testing.faults import Change, Cut, Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

Act = Callable[[Observed], Awaitable[None]]
Expected = float | Callable[[float], bool]
LISTING = Match(kind=Kind.TAGS)
OF_HOST = {"account": "", "counts": "requests"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One sample that comes of what was made to happen. `host` fills in the registry's name."""

    name: str
    expected: Expected
    labels: dict[str, str] = field(default_factory=dict)
    of_host: bool = False


@dataclass(frozen=True, kw_only=True)
class Case:
    """What was made to happen, and what is to be seen of it."""

    rows: tuple[Row, ...]
    act: Act | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    auth: Auth | None = None


def row(name: str, expected: Expected, **labels: str) -> Row:
    return Row(name=name, expected=expected, labels=labels)


def host_row(name: str, expected: Expected, **labels: str) -> Row:
    return Row(name=name, expected=expected, labels=labels, of_host=True)


def some(value: float) -> bool:
    return value > 0


def recent(value: float) -> bool:
    return 0 <= time.time() - value < 60


def in_about(seconds: float) -> Callable[[float], bool]:
    return lambda value: abs(value - time.time() - seconds) < 30


def push(*tags: str) -> Act:
    """New tags, once the repository has its baseline."""

    async def act(observed: Observed) -> None:
        await observed.wait_for("polls_total", some, account="main", result="baseline")
        for tag in tags:
            observed.registry.push(REPOSITORY, tag)

    return act


def answer(action: Any, *, first: bool = False) -> Act:
    """From now on listings are answered so."""

    async def act(observed: Observed) -> None:
        if not first:
            await observed.wait_for("polls_total", some, account="main", result="baseline")
        observed.registry.fault(Fault(match=LISTING, action=action))

    return act


async def full_disk(observed: Observed) -> None:
    """Whatever has to be written is not, but for what runs need."""
    await observed.wait_for("polls_total", some, account="main", result="baseline")

    def fault(point: str) -> None:
        if point in ("poll.before_commit", "flush.before_commit"):
            raise StateUnwritable("the disk is full")

    observed.fault = fault
    observed.registry.push(REPOSITORY, "2.0")
    await observed.wait_for("state_failures_total", some, during="poll")
    with pytest.raises(StateUnwritable):
        await observed.app.flush()


async def full_disk_for_runs(observed: Observed) -> None:
    """The first outcome of a stage can't be written."""
    left = [1]

    def fault(point: str) -> None:
        if point == "outcome.before_commit" and left:
            left.pop()
            raise StateUnwritable("the disk is full")

    observed.fault = fault
    await push("2.0")(observed)


async def full_disk_for_retention(observed: Observed) -> None:
    await push()(observed)

    def fault(point: str) -> None:
        if point == "retention.before_commit":
            raise StateUnwritable("the disk is full")

    observed.fault = fault
    await let_go_if_due(observed.app, HOURLY)


async def unanswerable(observed: Observed) -> None:
    """A command asks for something, and its answer can't be written."""

    def fault(point: str) -> None:
        if point == "request.before_commit":
            raise StateUnwritable("the disk is full")

    await push()(observed)
    observed.fault = fault
    with Store.open(observed.app.config.state) as asking:
        asking.request("baseline", {"account": "none", "repository": None})


async def stuck(observed: Observed) -> None:
    """What else of the daemon says of itself."""
    observed.health = HealthReport(
        ready=False,
        complaints=(
            Complaint(ailment=Ailment.STUCK, about="state", message="stands still"),
            Complaint(ailment=Ailment.STALE, about="main/acme/web", message="for 2 h"),
            Complaint(ailment=Ailment.STALE, about="main/acme/api", message="for 2 h"),
        ),
    )


async def a_log_that_takes_nothing(observed: Observed) -> None:
    stream = StringIO()
    stream.close()
    observed.app.log = Log("info", "json", stream)
    for _ in range(2):
        observed.app.log.info(Event.CONFIG_LOADED)


async def bad_config(observed: Observed) -> None:
    observed.write({**observed.document, "pipelines": "none"})


async def a_notifier_that_went(observed: Observed) -> None:
    """What waits for it is given up when it is no longer in the config."""
    await push("2.0")(observed)
    await observed.wait_for("notifications", 1, notifier="ops", status="waiting")
    observed.write({**observed.document, "notifiers": []})


async def good_config_after_a_bad_one(observed: Observed) -> None:
    await bad_config(observed)
    await observed.wait_for("config_last_reload_successful", 0)
    observed.write(observed.document)


NOBODY = [{"name": "ops", "webhook": {"url": "http://127.0.0.1:1/"}, "group": "0s"}]
CASES = {
    "a repository that is polled again and again": Case(
        act=push(),
        rows=(
            row("polls_total", 1, account="main", result="baseline"),
            row("polls_total", some, account="main", result="unchanged"),
            row("polls_total", 0, account="main", result="failed"),
            row("poll_seconds_count", some, account="main"),
            row("poll_seconds_sum", some, account="main"),
            host_row("requests_total", lambda n: n >= 2, kind="registry", code="200"),
            row("repositories", 1, account="main", state="ok"),
            row("repositories", 0, account="main", state="failing"),
            row("repositories_overdue", 0, account="main"),
            row("tags", 2, account="main"),
            row("last_success_timestamp_seconds", recent, account="main"),
            row("oldest_success_timestamp_seconds", recent, account="main"),
            host_row("parked_until_timestamp_seconds", 0, **OF_HOST),
            host_row("parked_until_timestamp_seconds", 0, account="main", counts="native"),
            row("credential_trouble", 0, account="main", trouble="refused"),
            row("credential_trouble", 0, account="main", trouble="unavailable"),
            row("events_held", 0, trigger="web"),
            row("executions_total", 0, pipeline="deploy", status="FAILED"),
            row("executions_unfinished", 0, pipeline="deploy", status="QUEUED"),
            row("rollbacks_total", 0, pipeline="deploy", result="failed"),
            row("state_transactions_total", some),
            row("state_bytes", some),
            row("state_failures_total", 0, during="poll"),
            row("event_loop_lag_seconds_count", some),
            row("webhook_deliveries_total", 0, sender="quay", outcome="polled"),
            row("webhook_deliveries_lost_total", 0),
            row("log_lines_lost_total", 0),
            row("config_reloads_total", 0, result="rejected"),
            row("config_last_reload_successful", 1),
            row("config_last_reload_success_timestamp_seconds", recent),
            row("ready", 1),
            row("complaints", 0, ailment="stuck"),
            row("build_info", 1, version=__version__),
        ),
    ),
    "a new tag whose run succeeds": Case(
        act=push("2.0"),
        rows=(
            row("polls_total", some, account="main", result="changed"),
            row("events_total", 1, account="main", outcome="fired"),
            row("executions_total", 1, pipeline="deploy", status="SUCCEEDED"),
            row("stage_seconds_count", 1, type="command", status="SUCCEEDED"),
            row("stage_seconds_sum", some, type="command", status="SUCCEEDED"),
            row("tags", 3, account="main"),
        ),
    ),
    "a log that takes no line": Case(
        act=a_log_that_takes_nothing, rows=(row("log_lines_lost_total", 2),)
    ),
    "a run that fails": Case(
        settings={"stages": [{"command": ["false"]}]},
        act=push("2.0"),
        rows=(
            row("executions_total", 1, pipeline="deploy", status="FAILED"),
            row("stage_seconds_count", 1, type="command", status="FAILED"),
        ),
    ),
    "a message that its notifier does not take": Case(
        settings={"stages": [{"command": ["false"]}], "notifiers": NOBODY},
        act=push("2.0"),
        rows=(
            row("notifications", 1, notifier="ops", status="waiting"),
            row("notifications", 0, notifier="ops", status="dead"),
        ),
    ),
    "a message of a notifier that is no more": Case(
        settings={"stages": [{"command": ["false"]}], "notifiers": NOBODY},
        act=a_notifier_that_went,
        rows=(row("notifications", 1, notifier="ops", status="dead"),),
    ),
    "a run that waits": Case(
        settings={"stages": [{"wait": "1h"}]},
        act=push("2.0"),
        rows=(row("executions_unfinished", 1, pipeline="deploy", status="WAITING"),),
    ),
    "more new tags than may fire at once": Case(
        settings={"hold_above": 1},
        act=push("2.0", "3.0"),
        rows=(
            row("events_total", 2, account="main", outcome="held"),
            row("events_held", 2, trigger="web"),
        ),
    ),
    "a registry that fails": Case(
        act=answer(Respond(500)),
        rows=(
            row("polls_total", some, account="main", result="failed"),
            host_row("requests_total", lambda n: n >= 2, kind="registry", code="500"),
            row("repositories", 1, account="main", state="failing"),
            row("last_success_timestamp_seconds", recent, account="main"),
        ),
    ),
    "a registry that never answered well": Case(
        settings={"stale_after": "1s"},
        act=answer(Respond(500), first=True),
        rows=(
            row("repositories_overdue", 1, account="main"),
            row("complaints", 1, ailment="stale"),
            row("polls_total", some, account="main", result="failed"),
            row("last_success_timestamp_seconds", 0, account="main"),
            row("oldest_success_timestamp_seconds", 0, account="main"),
        ),
    ),
    "connections that break": Case(
        act=answer(Cut(reset=True)),
        rows=(host_row("requests_total", some, kind="registry", code="none"),),
    ),
    "codes that no specification has": Case(
        act=answer(Respond(599)),
        rows=(host_row("requests_total", some, kind="registry", code="5xx"),),
    ),
    "429 with Retry-After": Case(
        act=answer(Respond(429, (("Retry-After", "600"),))),
        rows=(
            row("polls_total", 1, account="main", result="parked"),
            host_row("requests_total", 1, kind="registry", code="429"),
            host_row("parked_until_timestamp_seconds", in_about(600), **OF_HOST),
            row("repositories", 1, account="main", state="parked"),
        ),
    ),
    "a quota that the registry tells": Case(
        act=answer(
            Change(
                headers=(
                    ("RateLimit-Limit", "100;w=3600"),
                    ("RateLimit-Remaining", "80;w=3600"),
                )
            ),
            first=True,
        ),
        rows=(
            host_row("quota_remaining", 80, **OF_HOST),
            host_row("quota_limit", 100, **OF_HOST),
            host_row("quota_reset_timestamp_seconds", in_about(3600), **OF_HOST),
        ),
    ),
    "a password that is taken": Case(
        auth=BearerAuth(users={"acme": "secret"}, anonymous=False),
        settings={"username": "acme", "password": "secret"},
        rows=(
            host_row("requests_total", some, kind="token", code="200"),
            row("credential_age_seconds", lambda age: 0 <= age < 60, account="main"),
            row("credential_trouble", 0, account="main", trouble="refused"),
        ),
    ),
    "a password that is refused": Case(
        auth=BasicAuth(users={"acme": "secret"}),
        settings={"username": "acme", "password": "wrong"},
        rows=(
            host_row("requests_total", some, kind="registry", code="401"),
            row("credential_trouble", 1, account="main", trouble="refused"),
            row("credential_trouble", 0, account="main", trouble="unavailable"),
        ),
    ),
    "a password command that fails": Case(
        auth=BasicAuth(users={"acme": "secret"}),
        settings={"username": "acme", "password_command": ["false"]},
        rows=(row("credential_trouble", 1, account="main", trouble="unavailable"),),
    ),
    "a daemon that says of itself that it stands still": Case(
        act=stuck,
        rows=(
            row("ready", 0),
            row("complaints", 1, ailment="stuck"),
            row("complaints", 2, ailment="stale"),
            row("repositories_overdue", 2, account="main"),
        ),
    ),
    "a config that is rejected": Case(
        act=bad_config,
        rows=(
            row("config_reloads_total", 1, result="rejected"),
            row("config_last_reload_successful", 0),
        ),
    ),
    "a config that is right again": Case(
        act=good_config_after_a_bad_one,
        rows=(
            row("config_reloads_total", 1, result="loaded"),
            row("config_last_reload_successful", 1),
            row("config_last_reload_success_timestamp_seconds", recent),
        ),
    ),
    "a full disk": Case(
        act=full_disk,
        rows=(
            row("state_failures_total", some, during="poll"),
            row("state_failures_total", some, during="bookkeeping"),
        ),
    ),
    "a full disk while a stage ends": Case(
        act=full_disk_for_runs,
        rows=(
            row("state_failures_total", 1, during="execution"),
            row("executions_total", 1, pipeline="deploy", status="SUCCEEDED"),
        ),
    ),
    "a full disk while old rows are let go": Case(
        act=full_disk_for_retention,
        rows=(row("state_failures_total", 1, during="retention"),),
    ),
    "a full disk while a command asks": Case(
        act=unanswerable,
        rows=(row("state_failures_total", some, during="requests"),),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.timeout(60)
async def test_what_happens_stands_in_the_metrics(case: Case, tmp_path: Path) -> None:
    async with FakeRegistry(auth=case.auth) as registry:
        registry.push(REPOSITORY, "1.0")
        registry.push(REPOSITORY, "1.1")
        async with Observed(registry, tmp_path, case.settings).working() as observed:
            if case.act is not None:
                await case.act(observed)
            for each in case.rows:
                more = {"host": registry.address} if each.of_host else {}
                await observed.wait_for(each.name, each.expected, **each.labels, **more)


class Deploy:
    """A stage that fails, and whose work is taken back as the test says."""

    type = "deploy"
    options: config_fields.Kind = config_fields.Anything()
    has_dry_run = True

    def __init__(self, taken_back: StageOutcome) -> None:
        self._taken_back = taken_back

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        await context.memory.keep_undo({"before": "1.0"})
        return Failed("broken")

    async def undo(self, options: Json, context: StageContext) -> StageOutcome:
        return self._taken_back


@pytest.mark.parametrize(
    ("taken_back", "result"),
    [
        pytest.param(Done(), "succeeded", id="it was put back"),
        pytest.param(Failed("no right to"), "failed", id="it could not be"),
        pytest.param(Skipped("nothing was there"), "skipped", id="there was nothing to put back"),
    ],
)
async def test_a_rollback_is_counted_by_how_it_ended(
    taken_back: StageOutcome, result: str, tmp_path: Path
) -> None:
    meter = PrometheusMeter()
    store = ThreadedStore(lambda: Store.open(tmp_path / "watcher.db"))
    stages = {"deploy": Deploy(taken_back)}
    runner = EmbeddedRunner(
        store, stages, remembering(store), log=Log("error", stream=StringIO()), meter=meter
    )
    spec = StageSpec(name="web", type="deploy", options={}, on_failure=OnFailure.ROLLBACK)
    await runner.submit(run_of(spec, pipeline="deploy"))
    await runner.run(until_idle=True)
    await store.close()
    scrape = Scrape(meter.exposition([])[0])
    assert scrape.value("rollbacks_total", pipeline="deploy", result=result) == 1
    assert scrape.total("rollbacks_total") == 1
    assert scrape.value("stage_seconds_count", type="deploy", status="FAILED") == 1


async def test_each_metric_has_a_row() -> None:
    seen = {each.name for case in CASES.values() for each in case.rows}
    seen = {name.removesuffix("_count").removesuffix("_sum") for name in seen}
    measures = [what.value.name for kind in (Count, Timing, Reading) for what in kind]
    assert {name.removeprefix(PREFIX) for name in measures} == seen


async def test_a_state_file_that_hangs_keeps_the_answer_not_for_long(tmp_path: Path) -> None:
    async with FakeRegistry() as registry:
        registry.push(REPOSITORY, "1.0")
        async with Observed(registry, tmp_path, {}).working() as observed:
            await push()(observed)
            goes_on = threading.Event()
            hanging = asyncio.create_task(observed.app.store.run(lambda _: goes_on.wait(30)))
            try:
                began = time.monotonic()
                scrape = await observed.scrape()
                assert time.monotonic() - began < STATE_SECONDS + 3
            finally:
                goes_on.set()
                await hanging
            assert scrape.value("state_bytes") is None
            assert scrape.value("repositories", account="main", state="ok") == 1
            assert scrape.total("state_failures_total", during="metrics") >= 1


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "OpenMetrics"])
async def test_both_formats_are_read_by_their_parsers(openmetrics: bool, tmp_path: Path) -> None:
    parse = openmetrics_families if openmetrics else text_families
    async with FakeRegistry() as registry:
        registry.push(REPOSITORY, "1.0")
        async with Observed(registry, tmp_path, {}).working() as observed:
            await push()(observed)
            body, content_type = await observed.exposition(openmetrics=openmetrics)
    families = {family.name: family for family in parse(body.decode())}
    assert families["registry_watcher_polls"].type == "counter"
    assert families["registry_watcher_poll_seconds"].type == "histogram"
    assert families["process_resident_memory_bytes"].samples[0].value > 0
    assert not [name for name in families if name.endswith("_created")]
    assert content_type.startswith(("text/plain", "application/openmetrics-text")[openmetrics])


async def test_nothing_remote_becomes_a_label(tmp_path: Path) -> None:
    """Hosts that a registry names in redirects, repositories, tags."""
    bearer = BearerAuth(users={"acme": "secret"}, anonymous=False)
    async with FakeRegistry() as other, FakeRegistry(auth=bearer) as registry:
        registry.push(REPOSITORY, "tag-of-a-stranger")
        settings = {"username": "acme", "password": "secret"}
        async with Observed(registry, tmp_path, settings).working() as observed:
            await push()(observed)
            location = ("Location", f"http://{other.address}/v2/{REPOSITORY}/tags/list")
            registry.fault(Fault(match=LISTING, times=1, action=Respond(307, (location,))))
            host = registry.address
            await observed.wait_for("requests_total", some, host=host, kind="elsewhere", code="404")
            registry.push(REPOSITORY, "2.0-of-a-stranger")
            await observed.wait_for("events_total", some, account="main", outcome="fired")
            body, _ = await observed.exposition()
        assert Scrape(body).labels("host") == {registry.address}
        for word in ("stranger", REPOSITORY, other.address):
            assert word not in body.decode()

"""events rejected and clear, and what every other command makes of a rejected image."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cli.conftest import REPOSITORY, Bench
from watcher.core.deployment import Rejection
from watcher.store.sqlite import Store
from watcher.testing.registry import FakeRegistry

RUN = "0123456789abcdef"


def reject(bench: Bench, tag: str, digest: str | None, pipeline: str = "deploy") -> None:
    """As a stage does when it takes its work back."""
    with Store.open(bench.directory / "watcher.db") as store:
        store.reject(
            Rejection(
                pipeline=pipeline,
                account="fake",
                repository=REPOSITORY,
                tag=tag,
                digest=digest,
                execution=RUN,
                reason="the rollout failed",
                time=datetime.now(UTC),
            )
        )


@pytest.fixture
def bad(polled: Bench, registry: FakeRegistry) -> Bench:
    """Polled once; the image of the coming tag 1.1 was rejected."""
    reject(polled, "1.1", registry.push(REPOSITORY, "1.1", content="bad"))
    return polled


def outcomes(bench: Bench) -> list[tuple[str, str]]:
    return [
        (row["tag"], trigger["outcome"])
        for row in bench.json("activity")
        for trigger in row["triggers"]
    ]


def test_what_is_rejected_is_listed_with_all_that_a_person_needs(bad: Bench) -> None:
    (row,) = bad.json("events", "rejected")
    assert row["time"].endswith("Z")
    assert {**row, "time": "", "digest": row["digest"][:7]} == {
        "number": 1,
        "time": "",
        "pipeline": "deploy",
        "account": "fake",
        "repository": REPOSITORY,
        "tag": "1.1",
        "digest": "sha256:",
        "execution": RUN,
        "reason": "the rollout failed",
    }
    shown = bad.run("events", "rejected").stdout
    for word in ("NUMBER", f"fake/{REPOSITORY}:1.1", RUN, "the rollout failed"):
        assert word in shown


def test_without_any_the_list_is_empty(polled: Bench) -> None:
    assert polled.json("events", "rejected") == []
    assert polled.run("events", "rejected").stdout == "no image is rejected\n"


def test_before_the_first_run_nothing_is_rejected(bench: Bench) -> None:
    bench.configure("127.0.0.1:1")
    assert bench.json("events", "rejected") == []
    assert not (bench.directory / "watcher.db").exists()


def test_the_next_poll_says_so_and_runs_nothing(bad: Bench) -> None:
    report = bad.json("run", "--once")
    assert (report["ok"], report["executions"]) == (True, [])
    (decision,) = report["polls"][0]["decisions"]
    assert decision["outcome"] == "rejected"
    assert outcomes(bad) == [("1.1", "rejected")]
    (event,) = bad.json("events", "ls", "--outcome", "rejected")
    assert (event["tag"], event["execution"], event["batch"]) == ("1.1", None, None)
    assert f"execution {RUN}: the rollout failed" in event["reason"]
    assert "rejected" in bad.run("events", "ls").stdout


def test_a_dry_run_says_so(bad: Bench) -> None:
    assert "rejected: web for 1.1" in bad.run("run", "--once", "--dry-run").stdout


def test_explain_says_so(bad: Bench, registry: FakeRegistry) -> None:
    bad.run("run", "--once")
    shown = bad.run("explain", "web").stdout
    assert "`watcher events clear 1` lets it go again" in shown
    (repository,) = bad.json("explain", "web")["repositories"]
    assert [(tag["tag"], tag["kept"]) for tag in repository["tags"]] == [
        ("1.0", True),
        ("1.1", False),
    ]
    assert repository["newest"] == "1.0"
    bad.run("events", "clear", "1")
    (repository,) = bad.json("explain", "web", "1.1")["repositories"]
    assert repository["tags"][0]["kept"]


def test_trigger_refuses_unless_it_is_forced_and_then_says_so(bad: Bench) -> None:
    bad.run("run", "--once")
    refused = bad.run("trigger", "web", "--tag", "1.1", code=2).stderr
    assert "(rejected): its digest was rejected by" in refused
    assert "--force" in refused
    assert bad.json("executions") == []
    forced = bad.run("trigger", "web", "--tag", "1.1", "--force", "--wait")
    assert "1.1 is forced: its digest was rejected by" in forced.stderr
    assert [run["status"] for run in bad.json("executions")] == ["SUCCEEDED"]
    assert bad.run("trigger", "web", "--tag", "1.0", "--force").stderr == ""


def test_what_is_cleared_fires_with_its_next_event_and_can_be_replayed(
    bad: Bench, registry: FakeRegistry
) -> None:
    bad.run("run", "--once")
    number = str(bad.json("events", "ls")[0]["id"])
    assert "watcher events clear 1" in bad.run("events", "replay", number, code=2).stderr
    cleared = bad.run("events", "clear", "1").stdout
    assert f"`watcher retry {RUN}`" in cleared
    assert cleared.endswith("cleared: 1 image\n")
    bad.run("run", "--once")
    assert bad.json("executions") == []
    assert bad.json("events", "replay", number)["tag"] == "1.1"
    registry.push(REPOSITORY, "1.2", content="bad")
    bad.run("run", "--once")
    assert {run["tag"] for run in bad.json("executions")} == {"1.1", "1.2"}


def test_a_run_that_waited_in_the_queue_is_skipped(polled: Bench, registry: FakeRegistry) -> None:
    digest = registry.push(REPOSITORY, "1.1", content="bad")
    polled.run("poll")
    with Store.open(polled.directory / "watcher.db") as store:
        (run,) = store.executions()
        store.replay(1)
    reject(polled, "1.1", digest)
    polled.run("run", "--once")
    assert [each["status"] for each in polled.json("executions")] == ["SKIPPED", "SUCCEEDED"]
    assert run.digest == digest


@pytest.fixture
def many(bad: Bench) -> Bench:
    """Numbers 1 and 2 for `deploy`, 3 for a pipeline that is gone."""
    reject(bad, "1.2", None)
    reject(bad, "1.2", None, pipeline="gone")
    return bad


@pytest.mark.parametrize(
    ("words", "cleared"),
    [
        pytest.param(("2",), [2], id="one"),
        pytest.param(("3", "1", "1"), [1, 3], id="several, one twice"),
        pytest.param(("--pipeline", "deploy"), [1, 2], id="a pipeline's"),
        pytest.param(("--pipeline", "gone"), [3], id="those of a pipeline that is gone"),
        pytest.param(("--all",), [1, 2, 3], id="all"),
    ],
)
def test_clear_takes_numbers_a_pipeline_or_all(
    many: Bench, words: tuple[str, ...], cleared: list[int]
) -> None:
    assert many.json("events", "clear", *words) == {"cleared": cleared}
    left = [row["number"] for row in many.json("events", "rejected")]
    assert left == [number for number in (1, 2, 3) if number not in cleared]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("1", "4711"), "there is no rejection 4711", id="one of them is not there"),
        pytest.param((), "say what to clear", id="nothing"),
        pytest.param(("1", "--all"), "say what to clear", id="two things"),
        pytest.param(("--pipeline", "deplyo"), "did you mean 'deploy'?", id="no such pipeline"),
        pytest.param(("x",), "not a valid integer", id="no number"),
    ],
)
def test_clear_says_what_there_is_not_and_clears_nothing(
    many: Bench, words: tuple[str, ...], said: str
) -> None:
    assert said in many.run("events", "clear", *words, code=2).stderr
    assert len(many.json("events", "rejected")) == 3


@pytest.mark.parametrize("words", [("--all",), ("--pipeline", "deploy")])
def test_clearing_where_nothing_is_rejected_is_no_error(
    polled: Bench, words: tuple[str, ...]
) -> None:
    assert polled.run("events", "clear", *words).stdout == "cleared: 0 images\n"


def test_the_list_takes_a_pipeline(many: Bench) -> None:
    rows = many.json("events", "rejected", "--pipeline", "gone")
    assert [row["number"] for row in rows] == [3]


def test_of_a_batch_what_was_rejected_meanwhile_is_not_released(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, account="hold_above: 1")
    bench.run("run", "--once")
    for tag in ("1.1", "1.2"):
        registry.push(REPOSITORY, tag, content=tag)
    bench.run("run", "--once")
    reject(bench, "1.1", None)
    held: list[dict[str, Any]] = bench.json("events", "ls", "--held")
    result = bench.run("events", "release", held[0]["batch"])
    assert "(1.1) is not released: it was rejected by" in result.stderr
    assert "released: 1 event\n" in result.stdout
    assert [run["tag"] for run in bench.json("executions")] == ["1.2"]

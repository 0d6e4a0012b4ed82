"""What every stage is given, and the table of stages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.stages.conftest import DIGEST, ContextMaker, FakeImage, make_execution
from watcher.stages import STAGES, UNDOABLE
from watcher.stages.base import LOG_LIMIT, StageLog, Undoable


def test_the_stages_of_the_contract_are_there() -> None:
    in_clusters = {"apply", "set_image", "restart", "rollback", "delete", "pull_secret"}
    others = {"render", "command", "webhook", "wait", "verify", "pipeline"}
    assert set(STAGES) == in_clusters | others
    assert all(stage.type == name for name, stage in STAGES.items())


def test_what_can_be_taken_back_is_known_by_type() -> None:
    assert [name for name in STAGES if name in UNDOABLE] == ["apply", "set_image"]
    assert all(isinstance(STAGES[name], Undoable) for name in ("apply", "set_image"))


def test_every_option_has_a_schema_and_words() -> None:
    for stage in STAGES.values():
        assert stage.options.schema()
        assert stage.options.describe()


def test_importing_the_stages_loads_nothing_heavy() -> None:
    heavy = "jinja2 httpx yaml re2 structlog rich"
    program = f"import sys, watcher.stages; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_log_keeps_its_end_and_counts_everything() -> None:
    log = StageLog()
    log.line("first")
    log.write("ü" * LOG_LIMIT)
    assert len(log.text.encode()) <= LOG_LIMIT
    assert set(log.text) == {"ü"}
    assert log.written == 6 + 2 * LOG_LIMIT


def test_a_log_goes_on_after_an_earlier_attempt() -> None:
    log = StageLog.of("attempt 1\n")
    log.line("attempt 2")
    assert log.text == "attempt 1\nattempt 2\n"


async def test_the_registry_is_asked_only_for_what_is_used(make_context: ContextMaker) -> None:
    image = FakeImage()
    context = make_context(image=image)
    assert await context.rendered("${trigger.tag}") == "1.10"
    assert image.asked == []
    assert await context.rendered(["${image.by_digest}", "${labels.commit}"]) == [
        f"index.docker.io/acme/demoapp@{DIGEST}",
        "abc",
    ]
    assert sorted(image.asked) == ["digest", "labels"]


async def test_a_deleted_image_is_not_looked_for(make_context: ContextMaker) -> None:
    image = FakeImage()
    context = make_context(image=image, execution=make_execution(change="deleted"))
    assert await context.rendered("${trigger.digest | default('gone', true)}") == "gone"
    assert image.asked == []


@pytest.mark.parametrize(
    ("condition", "answer"), [("labels.commit == 'abc'", True), ("false", False)]
)
async def test_conditions_are_decided(
    condition: str, answer: bool, make_context: ContextMaker
) -> None:
    assert await make_context().holds(condition) is answer


def test_the_key_of_repetition_names_run_and_stage(make_context: ContextMaker) -> None:
    assert make_context().idempotency_key == "0123456789abcdef/step"

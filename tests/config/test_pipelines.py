"""Pipelines and their stages (SPEC 3.3)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.config.loading import ACCOUNT, load_text, problems
from watcher.core.pipeline import (
    Concurrency,
    ConcurrencyPolicy,
    OnFailure,
    Parameter,
    Pipeline,
    StageSpec,
)


def text_of(stages: str, *lines: str, name: str = "p") -> str:
    head = f"pipelines:\n  - name: {name}\n    stages: {stages}\n"
    return ACCOUNT + head + "".join(f"    {line}\n" for line in lines)


def pipeline_of(folder: Path, stages: str, *lines: str) -> Pipeline:
    return load_text(folder, text_of(stages, *lines)).pipelines[0]


def said(folder: Path, stages: str, *lines: str) -> list[str]:
    """The problems without their lines."""
    return [p.partition(" ")[2] for p in problems(folder, text_of(stages, *lines))]


def test_a_pipeline_of_the_required_keys_has_every_default(tmp_path: Path) -> None:
    assert pipeline_of(tmp_path, "[{command: echo}]") == Pipeline(
        name="p", stages=(StageSpec(name="command", type="command", options="echo"),)
    )


def test_every_key_of_a_pipeline_makes_its_part(tmp_path: Path) -> None:
    found = pipeline_of(
        tmp_path,
        "[{command: echo}]",
        "parameters: {replicas: {default: 2, description: pods}, image: {required: true}}",
        "concurrency: {max: 2, policy: newest}",
        "timeout: 2h",
        "dry_run: true",
    )
    assert found.parameters == {
        "replicas": Parameter(default=2, description="pods"),
        "image": Parameter(required=True),
    }
    assert found.concurrency == Concurrency(max=2, policy=ConcurrencyPolicy.NEWEST)
    assert found.timeout == timedelta(hours=2)
    assert found.dry_run is True


def test_every_key_of_a_stage_makes_its_part(tmp_path: Path) -> None:
    stage = """{command: [a, b], name: x, if: '${true}', timeout: 1m,
               retry: {attempts: 3, backoff: 0s}, on_failure: continue}"""
    assert pipeline_of(tmp_path, f"[{stage}]").stages == (
        StageSpec(
            name="x",
            type="command",
            options=["a", "b"],
            condition="${true}",
            timeout=timedelta(minutes=1),
            attempts=3,
            backoff=timedelta(),
            on_failure=OnFailure.CONTINUE,
        ),
    )


@pytest.mark.parametrize(
    ("written", "condition"),
    [("true", "true"), ("false", "false"), ("\"trigger.tag == 'x'\"", "trigger.tag == 'x'")],
)
def test_a_condition_is_text_or_a_boolean(tmp_path: Path, written: str, condition: str) -> None:
    assert (
        pipeline_of(tmp_path, f"[{{command: a, if: {written}}}]").stages[0].condition == condition
    )


def test_stages_without_names_are_called_by_their_types(tmp_path: Path) -> None:
    stages = "[{command: a}, {command: b, name: command-2}, {command: c}, {command: d}]"
    names = [stage.name for stage in pipeline_of(tmp_path, stages).stages]
    assert names == ["command", "command-2", "command-3", "command-4"]


def test_paths_in_options_are_absolute_and_expressions_stay(tmp_path: Path) -> None:
    stages = "[{render: {manifests: [web.yaml], to: 'out/${trigger.tag}'}}]"
    assert pipeline_of(tmp_path, stages).stages[0].options == {
        "manifests": [f"{tmp_path}/web.yaml"],
        "to": f"{tmp_path}/out/${{trigger.tag}}",
    }


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("[]", "stages: needs at least 1"),
        ("[echo]", "stages[0]: must be a mapping with a stage type, is text "
         "(for instance `command, render, pipeline`)"),
        ("[{name: x}]", "stages[0]: has no stage type (one of: command, render, pipeline)"),
        ("[{comand: x}]", "stages[0].comand: unknown stage type 'comand' "
         "(did you mean 'command'?)"),
        ("[{apply: {}}]", "stages[0].apply: unknown stage type 'apply' "
         "(there are: command, render, pipeline)"),
        ("[{command: a, render: {}}]", "stages[0]: has 'command' and 'render': a stage has one "
         "type (make two stages of it)"),
        ("[{command: a, tiemout: 1m}]", "stages[0].tiemout: unknown key 'tiemout' "
         "(did you mean 'timeout'?)"),
        ("[{command: a, on_failure: undo}]", "stages[0].on_failure: 'undo' is not one of "
         "stop, continue, rollback"),
        ("[{command: a, retry: {attempts: 0}}]", "stages[0].retry.attempts: must be a whole number "
         "from 1 to 1000, is 0"),
        ("[{command: a, name: 'a b'}]", "stages[0].name: 'a b' is not a name of letters, digits, "
         "dashes and underscores"),
        ("[{command: a, name: x}, {command: b, name: x}]",
         "stages[1].name: another stage is named 'x'"),
        ("[{render: {manifests: [a]}}]", "stages[0].render.to: the key 'to' is missing"),
    ],
)  # fmt: skip
def test_a_wrong_stage_is_refused_with_the_way_out(
    tmp_path: Path, stages: str, message: str
) -> None:
    assert said(tmp_path, stages) == [f"pipelines[0].{message}"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("notifi: []", "notifi: unknown key 'notifi' (did you mean 'notify'?)"),
        ("parameters: {replicas: 2}", "parameters.replicas: must be a mapping, is a number"),
        ("parameters: {'a b': {}}", "parameters.a b: the key 'a b' can't be used "
         "(keys look like [A-Za-z_][-._A-Za-z0-9]*)"),
        ("parameters: {v: {default: 1.10}}", "parameters.v.default: 1.10 is the number 1.1, not "
         "that text (write '1.10' for the text, 1.1 for the number)"),
        ("concurrency: {policy: fifo}", "concurrency.policy: 'fifo' is not one of queue, newest, "
         "skip"),
        ("dry_run: yes", "dry_run: must be true or false, is text (only `true` and `false`, "
         "unquoted, are booleans)"),
        ("timeout: 3600", "timeout: a bare number is no duration, the unit is missing "
         "(write 3600s, 3600m or 3600h)"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_refused_with_the_way_out(tmp_path: Path, line: str, message: str) -> None:
    assert said(tmp_path, "[{command: a}]", line) == [f"pipelines[0].{message}"]


def calls(*pairs: tuple[str, str]) -> str:
    lines = [f"  - {{name: {name}, stages: [{{pipeline: {options}}}]}}" for name, options in pairs]
    return ACCOUNT + "pipelines:\n" + "\n".join(lines)


@pytest.mark.parametrize(
    ("pairs", "messages"),
    [
        pytest.param((("a", "{name: b}"),),
                     ["6: pipelines[0].stages[0].pipeline.name: no pipeline is named 'b' "
                      "(there are: a)"], id="unknown"),
        pytest.param((("a", "{name: a}"),),
                     ["6: pipelines[0].stages[0].pipeline.name: the pipeline calls itself: a -> a"],
                     id="itself"),
        pytest.param((("a", "{name: b}"), ("b", "{name: c}"), ("c", "{name: a}")),
                     ["6: pipelines[0].stages[0].pipeline.name: the pipeline calls itself: "
                      "a -> b -> c -> a",
                      "7: pipelines[1].stages[0].pipeline.name: the pipeline calls itself: "
                      "b -> c -> a -> b",
                      "8: pipelines[2].stages[0].pipeline.name: the pipeline calls itself: "
                      "c -> a -> b -> c"], id="a circle"),
    ],
)  # fmt: skip
def test_calls_that_can_not_work_are_refused(
    tmp_path: Path, pairs: tuple[tuple[str, str], ...], messages: list[str]
) -> None:
    assert problems(tmp_path, calls(*pairs)) == messages


def test_a_call_gives_the_parameters_that_the_other_requires(tmp_path: Path) -> None:
    child = "  - {name: b, stages: [{command: x}], parameters: {n: {required: true}}}\n"
    text = calls(("a", "{name: b, parameters: {m: 1}}")) + "\n" + child
    place = "6: pipelines[0].stages[0].pipeline.parameters"
    assert problems(tmp_path, text) == [
        f"{place}: the pipeline 'b' requires the parameter 'n'",
        f"{place}.m: the pipeline 'b' has no parameter 'm'",
    ]


def test_a_call_by_expression_is_left_for_the_run(tmp_path: Path) -> None:
    assert load_text(tmp_path, calls(("a", "{name: '${parameters.x}'}"))).pipelines[0].name == "a"

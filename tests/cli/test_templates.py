"""Expressions that can't be right are found before anything runs."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Bench

ADDRESS = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        pytest.param(
            '- {name: s, command: [echo, "${trigger.tga}"]}',
            "pipelines.deploy.stages.s.command.[1]: `${trigger.tga}`: 'trigger.tga' is an unknown "
            "name; did you mean 'tag'?",
            id="unknown name",
        ),
        pytest.param(
            '- {name: s, command: [echo, "${trigger.tag | nope}"]}',
            "No filter named 'nope'",
            id="unknown filter",
        ),
        pytest.param(
            '- {name: s, command: [echo], if: "${trigger.tag"}',
            "pipelines.deploy.stages.s.if: `${trigger.tag` is never closed",
            id="condition",
        ),
    ],
)
@pytest.mark.parametrize("words", [("validate",), ("run",)], ids=["validate", "daemon"])
def test_a_wrong_expression_is_a_config_error(
    bench: Bench, stage: str, sentence: str, words: tuple[str, ...]
) -> None:
    bench.configure(ADDRESS, stages=stage)
    result = bench.run(*words, code=2)
    assert sentence in result.stderr
    assert not (bench.directory / "watcher.db").exists()


def test_a_wrong_manifest_is_named_with_its_place(bench: Bench) -> None:
    bench.configure(ADDRESS, stages="- {render: {manifests: [web.yaml], to: out}}")
    bench.write("web.yaml", "kind: Pod\nspec:\n  image: ${image.refernce}\n")
    result = bench.run("validate", code=1)
    assert "web.yaml, document 1, spec.image: `${image.refernce}`" in result.stdout


def test_a_missing_manifest_is_a_warning_for_a_stage_may_write_it(bench: Bench) -> None:
    bench.configure(ADDRESS, stages="- {render: {manifests: [web.yaml], to: out}}")
    assert "warning: pipeline deploy: " in bench.run("validate").stdout

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


def objects(bench: Bench, text: str, *, code: int = 0) -> str:
    bench.configure(ADDRESS, stages="- {apply: {manifests: [web.yaml]}}")
    bench.write("web.yaml", text)
    return bench.run("validate", code=code).stdout


MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  a: %s\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(MAP % ("web", "1"), "configmap/web: data.a: must be a string", id="a number"),
        pytest.param(MAP % ("Web_1", "b"), "metadata.name", id="a name that can't be"),
        pytest.param(
            f"{MAP % ('web', 'b')}---\n{MAP % ('web', 'c')}", "configmap/web stands in", id="twice"
        ),
        pytest.param("a: 1\n", "document 1: ", id="no object"),
    ],
)
def test_objects_that_no_run_could_apply_are_errors(bench: Bench, text: str, sentence: str) -> None:
    said = objects(bench, text, code=1)
    assert "error: pipeline deploy: " in said
    assert sentence in said


def test_objects_are_looked_at_with_a_sample_image_and_their_faults_are_warnings(
    bench: Bench,
) -> None:
    said = objects(bench, MAP % ("web", "1") + "---\n" + MAP % ("${trigger.tag}", "b"))
    assert "warning: pipeline deploy, stage apply: with a sample image: " in said
    assert "data.a: must be a string" in said
    assert "all well" in objects(bench, MAP % ("web-${trigger.tag | dns_label}", "b"))


def test_what_only_a_run_knows_is_said(bench: Bench) -> None:
    said = objects(bench, MAP % ("web", "${labels.build}"))
    assert "its objects can't be checked before it runs: " in said


def test_files_that_are_only_rendered_need_not_hold_objects(bench: Bench) -> None:
    bench.configure(ADDRESS, stages="- {render: {manifests: [web.yaml], to: out}}")
    bench.write("web.yaml", "a: 1\n")
    assert "all well" in bench.run("validate").stdout


def test_without_an_account_objects_are_looked_at_too(bench: Bench) -> None:
    stage = "{apply: {manifests: [web.yaml]}}"
    bench.write("config.yaml", f"accounts: []\npipelines: [{{name: deploy, stages: [{stage}]}}]\n")
    bench.write("web.yaml", MAP % ("${trigger.tag}", "1"))
    assert "data.a: must be a string" in bench.run("validate").stdout

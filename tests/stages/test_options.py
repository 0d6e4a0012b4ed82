"""What may stand in the config for each stage, read by the config's own loader."""

from __future__ import annotations

from pathlib import Path

import pytest

from watcher.config.load import load
from watcher.core.pipeline import Json
from watcher.errors import ConfigError
from watcher.stages import STAGES

CONFIG = """\
accounts: [{name: hub, address: index.docker.io, repositories: [acme/web]}]
triggers: [{name: web, account: hub, repository: acme/web, pipeline: deploy}]
pipelines:
  - name: deploy
    stages:
      - %s
  - name: other
    stages: [{wait: 0s}]
"""


def read(stage: str, directory: Path) -> Json:
    file = directory / "config.yaml"
    file.write_text(CONFIG % stage)
    kinds = {name: stage.options for name, stage in STAGES.items()}
    config = load(file, stages=kinds, environment={"HOME": "/home/me"})
    return config.pipelines[0].stages[0].options


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        ("wait: 5m", "5m"),
        ("wait: {for: 5m}", {"for": "5m"}),
        ("command: make deploy", "make deploy"),
        ("command: [make, '${trigger.tag}']", ["make", "${trigger.tag}"]),
        ("command: {run: make, env: {EMPTY: ''}}", {"run": "make", "env": {"EMPTY": ""}}),
        ("pipeline: {name: other}", {"name": "other"}),
        (
            "webhook: {url: 'https://a/b', body: {n: 1}, expect: [200-204, 404]}",
            {"url": "https://a/b", "body": {"n": 1}, "expect": ["200-204", 404], "method": "POST"},
        ),
        (
            "verify: {url: 'https://a/b', for: 2m}",
            {"url": "https://a/b", "for": "2m", "interval": "5s", "expect": ["200-299"]},
        ),
        ("render: {manifests: [/a/*.yaml, /b], to: '/c/${trigger.tag}'}",
         {"manifests": ["/a/*.yaml", "/b"], "to": "/c/${trigger.tag}"}),
        (
            "apply: {manifests: [/a.yaml]}",
            {
                "manifests": ["/a.yaml"],
                "wait": "5m",
                "bind": "auto",
                "pin": "tag",
                "conflicts": "fail",
                "replace": [],
                "prune": False,
                "dry_run": False,
            },
        ),
        (
            "set_image: {workload: deployment/web, container: web, wait: false}",
            {"workload": "deployment/web", "container": "web", "wait": False},
        ),
        ("restart: {workload: sts/db}", {"workload": "sts/db", "wait": "5m"}),
        (
            "rollback: {workload: ds/log, to_revision: 3, wait: 1m}",
            {"workload": "ds/log", "to_revision": 3, "wait": "1m"},
        ),
        ("delete: {workload: deployment/web}", {"workload": "deployment/web", "wait": "5m"}),
        ("pull_secret: {name: regcred, account: hub}", {"name": "regcred", "account": "hub"}),
    ],
)  # fmt: skip
def test_options_are_read(stage: str, options: Json, tmp_path: Path) -> None:
    assert read(stage, tmp_path) == options


def test_paths_are_relative_to_the_config(tmp_path: Path) -> None:
    options = read("render: {manifests: [deploy/*.yaml], to: out}", tmp_path)
    assert options == {"manifests": [f"{tmp_path}/deploy/*.yaml"], "to": f"{tmp_path}/out"}


@pytest.mark.parametrize(
    "stage",
    [
        "wait: 5",
        "wait: soon",
        "command: []",
        "command: ''",
        "command: {env: {A: b}}",
        "command: {run: a, env: {A-B: c}}",
        "render: {manifests: [], to: out}",
        "render: {manifests: [a.yaml]}",
        "webhook: {url: x, method: BREW}",
        "webhook: {url: x, expect: [2xx]}",
        "webhook: {url: x, expect: [99]}",
        "webhook: {url: x, headers: {'a b': c}}",
        "webhook: {body: x}",
        "verify: {url: x, body: '(?=a)'}",
        "verify: {url: x, interval: 0s}",
        "pipeline: {parameters: {}}",
        "webhook: {url: x, ulr: y}",
        "apply: {manifests: []}",
        "apply: {manifests: [a], wait: 5}",
        "apply: {manifests: [a], wait: 0s}",
        "apply: {manifests: [a], bind: always}",
        "apply: {manifests: [a], bind: false}",
        "apply: {manifests: [a], conflicts: []}",
        "apply: {manifests: [a], conflicts: take}",
        "apply: {manifests: [a], replace: [job]}",
        "apply: {manifests: [a], bind_paths: {Rollout: ['spec..image']}}",
        "apply: {manifests: [a], cluster: '${trigger.tag}'}",
        "apply: {manifests: [a], namespace: '${trigger.tag}'}",
        "set_image: {workload: deployment/web}",
        "rollback: {workload: deployment/web, to_revision: 0}",
        "restart: {workload: deploymnet/web}",
        "restart: {workload: job/web}",
        "set_image: {workload: deployment/, container: web}",
        "rollback: {workload: web}",
        "delete: {wait: 1m}",
        "delete: {objects: []}",
        "delete: {objects: [namespace/web]}",
        "delete: {objects: [configmap/d, configmap/d]}",
        "delete: {objects: [configmap/..]}",
        "delete: {workload: service/web}",
        "pull_secret: {name: Reg_Cred, account: hub}",
    ],
)
def test_what_makes_no_sense_is_refused(stage: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read(stage, tmp_path)


def test_what_is_no_object_is_refused_with_its_line_and_what_may_stand_there(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError) as raised:
        read("delete: {objects: [configmap/a, namespace/web]}", tmp_path)
    (problem,) = raised.value.problems
    assert problem.line > 0
    assert problem.path.endswith("delete.objects[1]")
    assert "'namespace/web' is not KIND/NAME" in problem.message
    assert "configmap" in (problem.hint or "")


@pytest.mark.parametrize(
    "stage",
    [
        "restart: {workload: 'deployment/${trigger.tag}'}",
        "delete: {objects: ['${parameters.kind}/web']}",
    ],
)
def test_an_object_named_by_an_expression_is_checked_when_the_stage_runs(
    stage: str, tmp_path: Path
) -> None:
    read(stage, tmp_path)


@pytest.mark.parametrize(
    ("stage", "is_refused"),
    [
        ("restart: {workload: deployment/web, wait: 10m}", True),
        ("{restart: {workload: deployment/web, wait: 2m}, timeout: 2m}", True),
        ("{apply: {manifests: [a], wait: 1h}, timeout: 30m}", True),
        ("{restart: {workload: deployment/web, wait: 10m}, timeout: 11m}", False),
        ("restart: {workload: deployment/web}", False),
        ("{restart: {workload: deployment/web, wait: false}, timeout: 1s}", False),
    ],
)
def test_a_wait_is_shorter_than_the_time_of_its_stage(
    stage: str, is_refused: bool, tmp_path: Path
) -> None:
    if not is_refused:
        read(stage, tmp_path)
        return
    with pytest.raises(ConfigError, match="is not shorter than the stage's `timeout`") as raised:
        read(stage, tmp_path)
    (problem,) = raised.value.problems
    assert problem.line > 0
    assert "`timeout`" in (problem.hint or "")

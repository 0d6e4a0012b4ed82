"""The rights that each stage is said to need are enough for it, on the real API server: each runs
here as a service account with these and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.stages.deploying import (
    BROKEN,
    IMAGE,
    Deploying,
    apply,
    config_map,
    secret,
    workload,
)
from watcher.cli.cluster_access import sample_context
from watcher.core.pipeline import ExecutionStatus, Json
from watcher.kube.access import Right, merged
from watcher.stages import STAGES
from watcher.stages.rights import STAGES_IN_CLUSTERS, needs_of

RBAC = Path(__file__).parents[2] / "deploy" / "rbac.yaml"
WEB = {"workload": "deployment/web", "wait": "30s"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a pipeline does to what an administrator's runs left behind, one after the other."""

    stages: tuple[Mapping[str, Json], ...]
    before: tuple[tuple[Mapping[str, Json], ...], ...] = ()
    now: tuple[Mapping[str, Json], ...] = ()
    tag: str = "2"
    status: ExecutionStatus = ExecutionStatus.SUCCEEDED
    says: tuple[str, ...] = ()


JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "migrate"},
    "spec": {
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "migrate", "image": "acme/web:job-ok"}],
            }
        }
    },
}
CASES = {
    "apply": Case(
        stages=(apply("now.yaml"),), now=(config_map(a="1"), secret(a="1"), workload(replicas=2))
    ),
    "apply with prune": Case(
        stages=(apply("now.yaml", prune=True),),
        before=((config_map(a="1"), config_map("more", a="1"), workload()),),
        now=(config_map(a="2"), workload()),
        says=("configmap/more", "pruned"),
    ),
    "apply with replace": Case(
        stages=(apply("now.yaml", replace=["Job"]),),
        before=((JOB,),),
        now=(JOB,),
        tag="job-ok-2",
        says=("replaced",),
    ),
    "apply that is taken back": Case(
        stages=(apply("now.yaml"), BROKEN),
        before=((config_map(a="1"), secret(a="1"), workload()),),
        now=(config_map(a="2"), secret(a="2"), config_map("new", a="1"), workload()),
        status=ExecutionStatus.FAILED,
        says=("configmap/settings", "put back", "configmap/new", "deleted"),
    ),
    "apply of a StatefulSet that is taken back": Case(
        stages=(apply("now.yaml", on_failure="rollback", wait="3s"),),
        before=((workload("StatefulSet"),),),
        now=(workload("StatefulSet"),),
        tag="bad",
        status=ExecutionStatus.FAILED,
        says=("pod/web-0", "deleted: it ran the rejected template"),
    ),
    "set_image": Case(
        stages=({"set_image": {**WEB, "container": "web"}},), before=((workload(),),)
    ),
    "restart": Case(stages=({"restart": WEB},), before=((workload(),),)),
    "rollback": Case(
        stages=({"rollback": WEB},), before=((workload(),), (workload(image=f"{IMAGE}:1"),))
    ),
    "delete": Case(
        stages=({"delete": {"objects": ["configmap/settings"], "wait": "10s"}},),
        before=((config_map(a="1"),),),
        says=("deleted",),
    ),
    "pull_secret": Case(stages=({"pull_secret": {"name": "regcred", "account": "hub"}},)),
}


def rules_of(rights: Iterable[Right]) -> list[dict[str, Any]]:
    return [
        {
            "apiGroups": [right.group],
            "resources": [right.resource],
            "verbs": [right.verb],
            **({"resourceNames": list(right.names)} if right.names else {}),
        }
        for right in merged(rights)
    ]


async def needed(deploying: Deploying) -> list[Right]:
    """By all stages of the pipeline."""
    pipeline = deploying.config.pipelines[0]
    rights: list[Right] = []
    for stage in pipeline.stages:
        context = sample_context(
            deploying.config, pipeline, stage, deploying.clusters, lambda: datetime.now(UTC)
        )
        found, problems = await needs_of(stage.options, context)
        assert problems == []
        rights += found
    return rights


async def prepare(deploying: Deploying, case: Case) -> None:
    """What was there before, by the same stage where it applies something."""
    applying = [stage["apply"] for stage in case.stages if "apply" in stage]
    options = {**(applying or [apply("now.yaml")["apply"]])[0], "wait": "30s", "bind": "off"}
    deploying.configure({"apply": options})
    for bundle in case.before:
        deploying.manifest("now.yaml", *bundle)
        run = await deploying.deploy("1")
        assert run.status is ExecutionStatus.SUCCEEDED, run.reason
    deploying.manifest("now.yaml", *case.now)


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
async def test_a_stage_needs_no_more_than_the_rights_it_says(
    deploying: Deploying, case: Case
) -> None:
    await prepare(deploying, case)
    deploying.configure(*case.stages)
    rules = rules_of(await needed(deploying))
    kubeconfig = deploying.cluster.service_account(deploying.namespace, rules)
    deploying.configure(*case.stages, clusters=[deploying.settings(kubeconfig=str(kubeconfig))])
    run = await deploying.deploy(case.tag)
    log = "\n".join(stage.log for stage in run.stages)
    assert run.status is case.status, (run.reason, log)
    assert all(stage.undo_error is None for stage in run.stages), log
    assert "no right" not in log
    assert all(words in log for words in case.says), log


async def test_the_published_rights_are_enough_for_every_stage(deploying: Deploying) -> None:
    """That each of them is needed, and no other one, is shown in tests/cli."""
    account = deploying.cluster.service_account(deploying.namespace, RBAC)
    stages = [
        apply("now.yaml", prune=True, on_failure="rollback"),
        {"set_image": {**WEB, "container": "web", "image": f"{IMAGE}:3"}},
        {"restart": {**WEB, "workload": "statefulset/web"}},
        {"rollback": WEB},
        {"delete": {"objects": ["configmap/settings"], "wait": "10s"}},
        {"pull_secret": {"name": "regcred", "account": "hub"}},
    ]
    deploying.configure(*stages, clusters=[deploying.settings(kubeconfig=str(account))])
    objects = [config_map(a="1"), secret(a="1"), workload(), workload("StatefulSet")]
    for number in (1, 2):
        deploying.manifest("now.yaml", *objects, *[config_map("first")][number - 1 :])
        run = await deploying.deploy(str(number))
        log = "\n".join(stage.log for stage in run.stages)
        assert run.status is ExecutionStatus.SUCCEEDED, (run.reason, log)
        assert "no right" not in log
    assert not deploying.exists("ConfigMap", "first")


def test_every_stage_that_works_in_a_cluster_says_its_rights() -> None:
    from watcher.config.cluster_checks import knows_cluster

    assert {name for name, stage in STAGES.items() if knows_cluster(stage.options)} == set(
        STAGES_IN_CLUSTERS
    )

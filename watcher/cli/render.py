"""`watcher render PIPELINE --image REF`: prints the manifests of its render stages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.onlooker import OneClient, context_for, execution_of
from watcher.cli.registry import client_for
from watcher.cli.session import find_pipeline, find_trigger, load_config
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.account import Account
    from watcher.core.pipeline import Execution, NewExecution, StageSpec
    from watcher.core.reference import Reference
    from watcher.stages.base import ImageFacts
    from watcher.stages.manifest_files import Rendered

STAGE = "render"


@command("render", short_help="The manifests a pipeline would write.")
@click.argument("pipeline")
@click.option("--image", required=True, help="Image with its tag, such as nginx:1.27.3.")
@click.option("--trigger", "trigger_name", help="Take its name and parameters, too.")
@click.option("--param", "pairs", multiple=True, metavar="K=V", help="May be repeated.")
@pass_invocation
def render(
    invocation: Invocation,
    pipeline: str,
    image: str,
    trigger_name: str | None,
    pairs: tuple[str, ...],
) -> None:
    """Print what the render stages of PIPELINE would write for an image. Nothing runs.

    A registry is asked only when a manifest uses the image's digest or labels, with the account of
    the config that has this registry.
    """
    config = load_config(invocation)
    planned = _plan(config, pipeline, image, trigger_name, pairs, invocation)
    stages = [stage for stage in planned.pipeline.stages if stage.type == STAGE]
    if not stages:
        raise UsageError(f"pipeline {pipeline!r} has no {STAGE} stage")
    account = _account(config, _reference(image), planned.account)
    results = asyncio.run(_render_all(stages, execution_of(planned), account, invocation))
    if invocation.json:
        output.print_json(_shape(planned, results))
        return
    for _, files in results:
        for file in files:
            output.write(f"---\n# Source: {output.clean(str(file.source))}")
            output.write_document(file.text)


def _shape(
    planned: NewExecution, results: list[tuple[StageSpec, list[Rendered]]]
) -> dict[str, Any]:
    return {
        "pipeline": planned.pipeline.name,
        "image": planned.source["artifacts"][0]["reference"],
        "stages": [
            {
                "name": stage.name,
                "files": [
                    {"source": str(file.source), "name": file.name, "text": file.text}
                    for file in files
                ],
            }
            for stage, files in results
        ],
    }


def _reference(image: str) -> Reference:
    from watcher.core.reference import Reference

    try:
        reference = Reference.parse(image)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if reference.tag is None:
        raise UsageError(f"{image!r} has no tag", hint="such as nginx:1.27.3")
    return reference


def _account(config: Config, reference: Reference, name: str | None) -> Account:
    """The trigger's, else the first that watches the repository, else one of the same registry."""
    from watcher.core.account import Account
    from watcher.core.reference import Registry

    same = [a for a in config.accounts if a.registry.name == reference.registry]
    named = [a for a in same if a.name == name]
    watching = [a for a in same if reference.repository in a.repositories]
    anonymous = Account(name="anonymous", registry=Registry.parse(reference.registry))
    return [*named, *watching, *same, anonymous][0]


def _plan(
    config: Config,
    pipeline: str,
    image: str,
    trigger_name: str | None,
    pairs: tuple[str, ...],
    invocation: Invocation,
) -> NewExecution:
    from watcher.cli.trigger import current_user, parse_parameters
    from watcher.core.planning import plan_manual

    reference = _reference(image)
    trigger = find_trigger(config, trigger_name) if trigger_name is not None else None
    account = _account(config, reference, trigger.account if trigger is not None else None)
    assert reference.tag is not None  # checked when it was parsed
    return plan_manual(
        find_pipeline(config, pipeline),
        trigger=trigger,
        account=account.name,
        registry=reference.registry,
        repository=reference.repository,
        tag=reference.tag,
        digest=reference.digest,
        parameters=parse_parameters(pairs),
        user=current_user(),
        word="render",
        now=invocation.now(),
    )


async def _render_all(
    stages: list[StageSpec], execution: Execution, account: Account, invocation: Invocation
) -> list[tuple[StageSpec, list[Rendered]]]:
    from watcher.daemon.facts import RunFacts

    async with client_for(account) as client:
        image = RunFacts(execution, OneClient(client))
        return [(stage, await _render(stage, execution, image, invocation)) for stage in stages]


async def _render(
    stage: StageSpec, execution: Execution, image: ImageFacts, invocation: Invocation
) -> list[Rendered]:
    from watcher.stages import guards
    from watcher.stages.manifest_files import render_manifests

    context = context_for(stage, execution, image=image, now=invocation.now)
    paths = await context.rendered(stage.options["manifests"], guard=guards.for_path)
    return await render_manifests(paths, context)

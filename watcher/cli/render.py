"""`watcher render PIPELINE --image REF [--diff]`: what its render and apply stages would do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from watcher.cli import changes, completing, manifests, output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.manifests import APPLY, RENDER
from watcher.cli.onlooker import OneClient, context_for, execution_of
from watcher.cli.registry import client_for
from watcher.cli.session import load_config
from watcher.config.lookup import find_pipeline, find_trigger
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.cli.changes import StageChanges
    from watcher.config.load import Config
    from watcher.core.account import Account
    from watcher.core.pipeline import Execution, NewExecution, StageSpec
    from watcher.core.reference import Reference
    from watcher.stages.base import Clusters, ImageFacts, StageContext


@command("render", short_help="The manifests a pipeline would apply, or what they would change.")
@click.argument("pipeline", shell_complete=completing.pipelines)
@click.option("--image", required=True, help="Image with its tag, such as nginx:1.27.3.")
@click.option(
    "--trigger",
    "trigger_name",
    shell_complete=completing.triggers,
    help="Take its name and parameters, too.",
)
@click.option("--param", "pairs", multiple=True, metavar="K=V", help="May be repeated.")
@click.option("--diff", is_flag=True, help="Ask the clusters what applying them would change.")
@pass_invocation
def render(
    invocation: Invocation,
    pipeline: str,
    image: str,
    trigger_name: str | None,
    pairs: tuple[str, ...],
    diff: bool,
) -> None:
    """Print what the render and apply stages of PIPELINE would write or apply for an image; with
    --diff, what applying would change, by a dry run in the cluster. Nothing is changed.

    A registry is asked only when a manifest uses the image's digest or labels, with the account of
    the config that has this registry. Values of Secrets in apply stages are hidden. The exit code
    is 0 whether or not there are changes.
    """
    config = load_config(invocation)
    planned = _plan(config, pipeline, image, trigger_name, pairs, invocation)
    types = (APPLY,) if diff else (RENDER, APPLY)
    stages = [stage for stage in planned.pipeline.stages if stage.type in types]
    if not stages:
        raise UsageError(f"pipeline {pipeline!r} has no {' or '.join(types)} stage")
    account = _account(config, _reference(image), planned.account)
    look = _Look(config, stages, execution_of(planned), account, invocation)
    if diff:
        found = asyncio.run(look.changes())
        _print(planned, invocation, changes.shape(found), lambda: changes.show(found))
    else:
        files = asyncio.run(look.manifests())
        _print(planned, invocation, manifests.shape(files), lambda: manifests.show(files))


def _print(
    planned: NewExecution,
    invocation: Invocation,
    stages: list[dict[str, Any]],
    show: Callable[[], None],
) -> None:
    if not invocation.json:
        show()
        return
    reference = planned.source["artifacts"][0]["reference"]
    output.print_json({"pipeline": planned.pipeline.name, "image": reference, "stages": stages})


@dataclass(frozen=True, slots=True)
class _Look:
    """What is looked at: stages of a run that never starts."""

    config: Config
    stages: list[StageSpec]
    execution: Execution
    account: Account
    invocation: Invocation

    async def manifests(self) -> manifests.Stages:
        async with self._image() as image:
            return await manifests.render_stages(
                self.stages, lambda stage: self._context(stage, image)
            )

    async def changes(self) -> list[StageChanges]:
        async with self._image() as image:
            return await changes.find_changes(
                self.config,
                self.stages,
                lambda stage, clusters: self._context(stage, image, clusters),
            )

    @asynccontextmanager
    async def _image(self) -> AsyncIterator[ImageFacts]:
        from watcher.daemon.facts import RunFacts

        async with client_for(self.account) as client:
            yield RunFacts(self.execution, OneClient(client))

    def _context(
        self, stage: StageSpec, image: ImageFacts, clusters: Clusters | None = None
    ) -> StageContext:
        now = self.invocation.now
        return context_for(stage, self.execution, image=image, now=now, clusters=clusters)


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

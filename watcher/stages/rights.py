"""The rights that each stage needs in its cluster, as far as they can be known before it runs.

Next to the stages, and of no use to them: for `validate --online`, which asks the API server
whether we have them. Each type of stage that works in a cluster has its line in `_RIGHTS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

from watcher.core.pipeline import Json, OnFailure
from watcher.errors import StageError
from watcher.kube import access
from watcher.kube.access import Right, Target
from watcher.kube.applying.applyset import PARENT, parent_name
from watcher.kube.applying.dry_run import NEVER_REPLACED
from watcher.kube.applying.kinds import known_kinds, served_kinds, unknown_kinds
from watcher.kube.applying.plan import ApplyOptions
from watcher.kube.applying.refused import Problem
from watcher.kube.manifests.scope import placed
from watcher.kube.objects import Object, ObjectKey, Resource
from watcher.kube.rollouts.owned_pods import creates_pods
from watcher.kube.rollouts.rollout import is_followed
from watcher.kube.workloads import API_VERSION, Workload
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import Place, is_dry_run, place_of, wait_of
from watcher.stages.delete import wanted
from watcher.stages.manifest_files import documents_of

Needs = tuple[list[Right], list[Problem]]
"""The rights, and why some objects have none: their kind is not known, or the config does not allow
them (a StageError)."""


async def needs_of(options: Json, context: StageContext) -> Needs:
    """What the stage of the context needs; nothing for one that works in no cluster.

    Asks the cluster which kinds it has. Raises ClusterError, and StageError or RenderError where
    what the stage works on can't be told before it runs.
    """
    find = _RIGHTS.get(context.spec.type)
    return await find(options, context) if find is not None else ([], [])


async def _apply(options: Json, context: StageContext) -> Needs:
    place = await place_of(options, context)
    documents = (await documents_of(options["manifests"], context)).documents
    served = await served_kinds(place.client, documents)
    problems = unknown_kinds(served, documents)
    targets, items = [], []
    for document, resource in known_kinds(served, documents):
        try:
            item = placed(
                document,
                namespaced=resource.namespaced,
                cluster=place.cluster,
                namespace=place.namespace,
            )
        except StageError as error:
            problems.append(Problem(document.place, error))
            continue
        items.append(item)
        targets.append(_target(resource, item))
    rights = [
        *access.to_apply(targets),
        *_after_applying(targets, items, options, context),
        *_deletions(targets, options, place, context),
    ]
    return rights, problems


def _after_applying(
    targets: Sequence[Target], items: Sequence[Object], options: Json, context: StageContext
) -> Iterator[Right]:
    if is_dry_run(options, context):
        return
    if wait_of(options) is not None:
        pairs = zip(targets, items, strict=True)
        yield from access.to_follow(target for target, item in pairs if is_followed(item))
    if _may_be_taken_back(context):
        yield from access.to_take_back(targets)


def _deletions(
    targets: Sequence[Target], options: Json, place: Place, context: StageContext
) -> Iterator[Right]:
    replaced = [target for target in targets if _is_replaced(target, options["replace"])]
    yield from access.to_replace(replaced)
    if options["prune"]:
        name = parent_name(
            ApplyOptions(
                pipeline=context.execution.pipeline.name,
                stage=context.spec.name,
                cluster=place.cluster,
                namespace=place.namespace,
            )
        )
        inventory = Target(resource=PARENT, namespace=place.namespace, name=name)
        yield from access.to_prune(targets, inventory)


def _is_replaced(target: Target, kinds: Iterable[str]) -> bool:
    group, kind = target.kind
    return target.kind not in NEVER_REPLACED and bool({kind, f"{kind}.{group}"} & set(kinds))


def _target(resource: Resource, item: Object) -> Target:
    key = ObjectKey.of(item)
    return Target(
        resource=resource,
        namespace=key.namespace,
        name=key.name,
        runs_pods=creates_pods(item),
    )


async def _set_image(options: Json, context: StageContext) -> Needs:
    target = await _workload(options, context)
    back = access.to_free(target) if _may_be_taken_back(context) else ()
    return [*access.to_patch(target), *_following(target, options, context), *back], []


async def _restart(options: Json, context: StageContext) -> Needs:
    target = await _workload(options, context)
    return [*access.to_patch(target), *_following(target, options, context)], []


async def _rollback(options: Json, context: StageContext) -> Needs:
    target = await _workload(options, context)
    rights = [*access.to_patch(target), *access.to_find_revisions(target)]
    if following := list(_following(target, options, context)):
        rights += [*following, *access.to_free(target)]
    return rights, []


async def _pull_secret(options: Json, context: StageContext) -> Needs:
    place = await place_of(options, context)
    resource = await place.client.resource("v1", "Secret")
    target = Target(resource=resource, namespace=place.namespace, name=options["name"])
    return [*target.rights("patch", "create")], []


async def _delete(options: Json, context: StageContext) -> Needs:
    place = await place_of(options, context)
    rights: list[Right] = []
    for item in await wanted(place, options, context):
        resource = await place.client.resource(item["apiVersion"], item["kind"])
        rights += access.to_delete(_target(resource, item))
    return rights, []


async def _workload(options: Json, context: StageContext) -> Target:
    place = await place_of(options, context)
    workload = Workload.parse(str(await context.rendered(options["workload"])))
    resource = await place.client.resource(API_VERSION, workload.kind)
    return Target(resource=resource, namespace=place.namespace, name=workload.name, runs_pods=True)


def _following(target: Target, options: Json, context: StageContext) -> Iterator[Right]:
    if wait_of(options) is not None and not is_dry_run(options, context):
        yield from access.to_follow([target])


def _may_be_taken_back(context: StageContext) -> bool:
    """Whether this stage or a later one rolls back when it fails."""
    stages = context.execution.pipeline.stages[context.index :]
    return any(stage.on_failure is OnFailure.ROLLBACK for stage in stages)


_RIGHTS: Mapping[str, Callable[[Json, StageContext], Awaitable[Needs]]] = {
    "apply": _apply,
    "set_image": _set_image,
    "restart": _restart,
    "rollback": _rollback,
    "delete": _delete,
    "pull_secret": _pull_secret,
}

STAGES_IN_CLUSTERS = frozenset(_RIGHTS)
"""The types of stages that work in a cluster."""

"""`set_image: {workload: deployment/web, container: web}`: the run's image, in a live workload.

For workloads whose manifests somebody else keeps. It can be taken back: the image from before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from watcher.config.fields import Field, Kind, Section, Text
from watcher.core.change import ChangeKind
from watcher.core.pipeline import Done, Failed, Json, Skipped, StageOutcome, Superseded
from watcher.errors import StageError, WatcherError
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import (
    PLACE_FIELDS,
    WAIT_FIELD,
    WORKLOAD_FIELD,
    Place,
    has_image,
    is_dry_run,
    place_of,
    rollback_wait_of,
    wait_of,
)
from watcher.stages.live_workloads import check_event, notes_of, patched
from watcher.stages.rejections import check_rejected, reject
from watcher.stages.rollouts import outcome_of, rollout_of, settled

if TYPE_CHECKING:
    from watcher.kube.objects import Object, Resource
    from watcher.kube.workloads import Workload


class SetImageStage:
    """The name is kept as it is written in the workload; only a container that runs the image of
    the trigger gets it, unless `image` says which one to set."""

    type = "set_image"
    has_dry_run = True
    options: Kind = Section(
        {
            "workload": WORKLOAD_FIELD,
            "container": Field(
                Text(template=True),
                required=True,
                doc="The container or init container.",
                example="web",
            ),
            "image": Field(
                Text(template=True),
                doc="The image to set, whatever the container ran before.",
                example="${image.by_digest}",
                default_doc="the run's, by tag; the container must run that image in some version",
            ),
            **PLACE_FIELDS,
            "wait": WAIT_FIELD,
        },
        doc="Sets the image of a container of a live workload.",
    )

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        from watcher.kube.applying.plan import Newer
        from watcher.kube.rollouts.follow import Followed
        from watcher.kube.workloads import container_image

        setting = await _Setting.of(options, context)
        dry_run = is_dry_run(options, context)
        try:
            resource, item = await setting.set(dry_run=dry_run)
        except Newer as newer:
            return Superseded(newer.message)
        outputs = {
            "workload": str(setting.workload),
            "container": setting.container,
            "image": container_image(item, setting.container),
        }
        wait = None if dry_run else wait_of(options)
        target = Followed(resource=resource, applied=item)
        outcome = outcome_of(await rollout_of(setting.place, [target], wait, context))
        outcome = outcome or Done(outputs)
        kept = context.memory.undo
        if kept is not None and isinstance(outcome, Done | Failed):
            await context.memory.keep_undo({**kept, "blames_image": True})
        return outcome

    async def undo(self, options: Json, context: StageContext) -> StageOutcome:
        from watcher.kube.rollouts.follow import Followed

        kept = context.memory.undo
        setting = await _Setting.of(options, context)
        resource, item = await setting.set_back(kept)
        if item is None:
            return Skipped(f"{setting.workload} was left alone: somebody has changed it since")
        target = Followed(resource=resource, applied=item)
        wait = rollback_wait_of(options)
        return await settled(setting.place, [target], wait, context) or Done(
            {"image": kept["before"]}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """One run of the stage. `image` is the one to set, None for the run's."""

    place: Place
    workload: Workload
    container: str
    image: str | None
    context: StageContext

    @staticmethod
    async def of(options: Json, context: StageContext) -> _Setting:
        from watcher.kube.workloads import Workload

        texts = {key: options[key] for key in ("workload", "container", "image") if key in options}
        wanted = await context.rendered(texts)
        return _Setting(
            place=await place_of(options, context),
            workload=Workload.parse(str(wanted["workload"])),
            container=str(wanted["container"]),
            image=_checked(str(wanted["image"])) if "image" in wanted else None,
            context=context,
        )

    async def set(self, *, dry_run: bool) -> tuple[Resource, Object]:
        """Patch, having kept what was there before."""
        from watcher.kube.objects import ObjectKey
        from watcher.kube.workloads import container_image, image_patch

        if self.image is None:
            await check_rejected(self.context, self.context.execution.digest)
        log = self.context.log

        async def patch(live: Object) -> Json:
            check_event(live, self.context)
            before = container_image(live, self.container)
            after = self.image or self._own_image(live, before)
            words = f"{ObjectKey.of(live)}: container {self.container}: {before}"
            ending = " (dry run)" if dry_run else ""
            log.line(f"{words} already" if before == after else f"{words} -> {after}{ending}")
            if before == after:
                self._check_moved(live)
                return None
            if not dry_run:
                await self._keep(live, before, after)
            notes = notes_of(self.context, f"{self.container} set to {after} by registry-watcher")
            return image_patch(live, self.container, after, notes)

        known = self.context.memory.undo
        try:
            return await patched(self.place, self.workload, patch, self.context, dry_run=dry_run)
        except WatcherError as error:
            if known is None and not error.temporary:
                await self.context.memory.keep_undo(None)  # refused: there is nothing to take back
            raise

    async def set_back(self, kept: Json) -> tuple[Resource, Object | None]:
        """Patch back; None for a workload that somebody else changed since. Where the image may be
        at fault it is rejected before that, so that no crash lets it come again."""
        from watcher.kube.objects import ObjectKey
        from watcher.kube.reading import uid
        from watcher.kube.workloads import container_image, image_patch

        log, left = self.context.log, False

        async def patch(live: Object) -> Json:
            nonlocal left
            current = container_image(live, self.container)
            left = uid(live) != kept["uid"] or current not in (kept["after"], kept["before"])
            if left:
                log.line(f"{ObjectKey.of(live)} left alone: somebody has changed it since")
                return None
            if kept["blames_image"]:
                await reject(self.context, kept["digest"])
            log.line(f"{ObjectKey.of(live)}: container {self.container} back to {kept['before']}")
            if current == kept["before"]:
                return None
            return image_patch(live, self.container, kept["before"], kept["notes"])

        resource, item = await patched(self.place, self.workload, patch, self.context)
        return resource, None if left else item

    def _check_moved(self, live: Object) -> None:
        """Raises StageError where pods keep their old image: the tag moved, its name did not."""
        from watcher.kube.reading import text

        run = self.context.execution
        later = run.pipeline.stages[self.context.index + 1 :]
        restarts = any(stage.type == "restart" for stage in later)
        if run.change != ChangeKind.MOVED or run.digest is None or self.image or restarts:
            return
        if text(live, "metadata", "annotations", "registry-watcher/digest") != run.digest:
            raise StageError(
                f"the tag {run.tag} has moved, but the workload names it already: its pods would "
                "keep the image that they have",
                hint="set `image: ${image.by_digest}`, or let a stage `restart` follow",
            )

    def _own_image(self, live: Object, before: str) -> str:
        """The run's image in the spelling of the container. Raises StageError for a container
        that runs another one."""
        from watcher.kube.objects import ObjectKey
        from watcher.kube.workloads import container_image
        from watcher.render.images import Pin, bind

        run = self.context.execution
        if not has_image(run):
            raise StageError("this run has no image to set", hint="say which one by `image`")
        name = f"{run.source['registry']}/{run.repository}"
        binding = bind(
            [live], name=name, tag=str(run.tag), digest=run.digest, pin=Pin.TAG, paths={}
        )
        if not any(bound.before == before for bound in binding.bound):
            raise StageError(
                f"{ObjectKey.of(live)}: container {self.container} runs {before}, not {name}",
                hint="say by `image` what it shall run instead",
            )
        return container_image(binding.objects[0], self.container)

    async def _keep(self, live: Object, before: str, after: str) -> None:
        """What was there before the first patch of this run."""
        from watcher.kube.applying.plan import NOTE_KEYS
        from watcher.kube.reading import section, uid

        kept = self.context.memory.undo
        if kept is not None and kept["uid"] == uid(live):
            return
        annotations = section(live, "metadata", "annotations")
        await self.context.memory.keep_undo(
            {
                "uid": uid(live),
                "before": before,
                "after": after,
                "digest": self.context.execution.digest,
                "blames_image": False,
                "notes": {name: annotations.get(name) for name in sorted(NOTE_KEYS)},
            }
        )


def _checked(image: str) -> str:
    """The image as given. Raises StageError for what is none: no API server would."""
    from watcher.core.reference import Reference

    try:
        Reference.parse(image)
    except ValueError as error:
        raise StageError(f"`image`: {error}") from error
    return image

"""`apply: {manifests: [deploy/web.yaml]}`: objects into a cluster, and their rollout (SPEC 7.1).

What is applied is decided here and in `applying`; how, in `watcher.kube`. It can be taken back.
"""

from __future__ import annotations

from watcher.config.fields import (
    Boolean,
    Choice,
    Either,
    Field,
    Kind,
    ListOf,
    MapOf,
    PathValue,
    Section,
    Text,
)
from watcher.core.pipeline import Json, StageOutcome
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import PLACE_FIELDS, WAIT_FIELD, place_of
from watcher.stages.image_binding import AUTO, OFF, REQUIRED

_KIND = r"[A-Z][A-Za-z0-9]*(\.[a-z0-9]([-.a-z0-9]*[a-z0-9])?)?"
_KIND_RULE = "a kind: `Kind` or `Kind.group`"
_STEP = r"[A-Za-z0-9_-]+(\[(\*|[0-9]{1,6})\])*"
_IMAGE_PATH = rf"{_STEP}(\.{_STEP})*"

_FIELDS = {
    "manifests": Field(
        ListOf(PathValue(template=True), minimum=1),
        required=True,
        doc="Files, globs or directories (*.yaml, *.yml, *.json, with or without .j2).",
        example=["deploy/web.yaml"],
    ),
    **PLACE_FIELDS,
    "wait": WAIT_FIELD,
    "bind": Field(
        Choice(AUTO, OFF, REQUIRED),
        default=AUTO,
        doc="The run's image replaces that of every container with the same image name, in any "
        "version. `auto` refuses manifests that mention the new tag or digest nowhere; `required` "
        "also those without such a container; `off` leaves them as they are.",
        example=REQUIRED,
    ),
    "pin": Field(
        Choice("tag", "digest"),
        default="tag",
        doc="Whether the image is bound by its tag, or by the digest that was seen.",
        example="digest",
    ),
    "bind_paths": Field(
        MapOf(
            ListOf(
                Text(
                    matches=_IMAGE_PATH,
                    rule="a path such as spec.template.spec.containers[*].image",
                ),
                minimum=1,
            ),
            keys=_KIND,
        ),
        doc="Where custom kinds (`Kind` or `Kind.group`) hold images.",
        example={"Rollout.argoproj.io": ["spec.template.spec.containers[*].image"]},
    ),
    "conflicts": Field(
        Either(Choice("fail", "force"), ListOf(Text(), minimum=1, unique=True)),
        default="fail",
        doc="What happens to fields that somebody else has set to another value: the stage fails, "
        "takes them all (`force`), or takes those of the managers listed.",
        example=["kubectl-edit"],
    ),
    "replace": Field(
        ListOf(Text(matches=_KIND, rule=_KIND_RULE), unique=True),
        default=[],
        doc="Kinds that may be deleted and created anew where a change of them is refused because "
        "a field is immutable.",
        example=["Job"],
    ),
    "prune": Field(
        Boolean(),
        default=False,
        doc="Delete what an earlier run of this stage applied and this one no longer has, once the "
        "rollout is ready.",
        example=True,
    ),
    "dry_run": Field(
        Boolean(),
        default=False,
        doc="Ask the cluster what would change, and change nothing.",
        example=True,
    ),
}


class ApplyStage:
    """Nothing is written before the cluster has accepted a dry run of everything."""

    type = "apply"
    has_dry_run = True
    options: Kind = Section(_FIELDS, doc="Applies manifests and waits for their rollout.")

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        from watcher.stages.applying import Applying, bound_documents
        from watcher.stages.rejections import check_rejected

        await check_rejected(context, context.execution.digest)
        place = await place_of(options, context)
        bound = await bound_documents(options, context)
        if bound.digest != context.execution.digest:
            await check_rejected(context, bound.digest)
        return await Applying.of(place, bound, options, context).run()

    async def undo(self, options: Json, context: StageContext) -> StageOutcome:
        from watcher.stages.taking_back import TakingBack

        place = await place_of(options, context)
        return await TakingBack.of(place, options, context).run()

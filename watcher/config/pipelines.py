"""The keys of a pipeline and of its stages, and the Pipeline that they make (SPEC 3.3).

The stages' own options come from above (`stages` knows this package, not the other way round).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from watcher.config import nodes
from watcher.config.durations import text_of
from watcher.config.fields import (
    Anything,
    Boolean,
    Choice,
    Duration,
    Either,
    Field,
    Integer,
    Kind,
    ListOf,
    MapOf,
    Section,
    Text,
    key_path,
)
from watcher.config.items import LOOSE_NAME, LOOSE_NAME_RULE, Data, Item, Json, span
from watcher.config.notifying import NOTIFY, wishes
from watcher.config.reading import INVALID, Invalid, Reading, nearest
from watcher.core.pipeline import (
    Concurrency,
    ConcurrencyPolicy,
    OnFailure,
    Parameter,
    Pipeline,
    StageSpec,
)

PARAMETER_NAME = r"[A-Za-z_][-._A-Za-z0-9]*"
_STAGE_NAME = r"[A-Za-z_][-_A-Za-z0-9]*"
_PLAIN_STAGE = StageSpec(name="", type="", options=None)
_PLAIN_PIPELINE = Pipeline(name="", stages=())

RETRY = Section(
    {
        "attempts": Field(
            Integer(minimum=1, maximum=1000),
            default=_PLAIN_STAGE.attempts,
            doc="How often the stage is tried in all.",
            example=3,
        ),
        "backoff": Field(
            Duration(),
            default=text_of(_PLAIN_STAGE.backoff),
            doc="Wait before the second attempt.",
            example="10s",
        ),
    }
)

STAGE_KEYS: Mapping[str, Field] = {
    "name": Field(
        Text(matches=_STAGE_NAME, rule="a name of letters, digits, dashes and underscores"),
        doc="What `stages.NAME` and the executions call it.",
        example="manifests",
        default_doc="the stage type, numbered from the second on",
    ),
    "if": Field(
        Either(Boolean(), Text()),
        doc="Expression; when it is false, the stage is skipped.",
        example="${trigger.change == 'new'}",
    ),
    "timeout": Field(
        Duration(minimum="1s"),
        default=text_of(_PLAIN_STAGE.timeout),
        doc="After this the stage has failed.",
        example="10m",
    ),
    "retry": Field(RETRY, doc="Attempts for failures that may pass."),
    "on_failure": Field(
        Choice(*OnFailure),
        default=_PLAIN_STAGE.on_failure.value,
        doc="Whether the execution stops when the stage failed, goes on, or takes back what its "
        "stages changed (`rollback`; of the stages up to this one, one must be able to).",
        example="continue",
    ),
}


@dataclass(frozen=True, slots=True)
class StageKind(Kind):
    """A mapping with exactly one stage type as key, beside the keys of every stage. Read, it is
    `{path, type, options, …}`."""

    types: Mapping[str, Kind]

    def accepts(self, node: nodes.Node) -> bool:
        return isinstance(node, nodes.Mapping)

    def read(self, node: nodes.Node, path: str, reading: Reading) -> Data | Invalid:
        if not isinstance(node, nodes.Mapping):
            message = f"must be a mapping with a stage type, is {nodes.name_of(node)}"
            return reading.refuse(node, path, message, f"for instance `{self.words}`")
        given = [entry for entry in node.entries if entry.key in self.types]
        if len(given) != 1:
            return self._refuse_types(node, path, reading, given)
        data = self.section(given[0].key).read(node, path, reading)
        if data is INVALID:
            return INVALID
        return {"path": path, "type": given[0].key, "options": data.pop(given[0].key), **data}

    def _refuse_types(
        self, node: nodes.Mapping, path: str, reading: Reading, given: list[nodes.Entry]
    ) -> Invalid:
        if given:
            names = " and ".join(repr(entry.key) for entry in given)
            message = f"has {names}: a stage has one type"
            return reading.refuse_at(given[1].line, path, message, "make two stages of it")
        known = [*self.types, *STAGE_KEYS]
        unknown = [entry for entry in node.entries if entry.key not in known]
        for entry in unknown:
            message = f"unknown stage type {entry.key!r}"
            hint = nearest(entry.key, known) or f"there are: {self.words}"
            reading.refuse_at(entry.line, key_path(path, entry.key), message, hint)
        if not unknown:
            reading.refuse(node, path, "has no stage type", f"one of: {self.words}")
        return INVALID

    @property
    def words(self) -> str:
        return ", ".join(self.types)

    def section(self, stage_type: str) -> Section:
        """The keys of a stage of this type."""
        return Section({stage_type: Field(self.types[stage_type], required=True), **STAGE_KEYS})

    def schema(self) -> dict[str, Json]:
        types = {name: kind.schema() for name, kind in self.types.items()}
        common = {key: field.schema() for key, field in STAGE_KEYS.items()}
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {**types, **common},
            "oneOf": [{"required": [name]} for name in types],
        }

    def describe(self) -> str:
        return "a stage"


PARAMETER = Section(
    {
        "default": Field(
            Anything(), doc="The value when a run gives none.", example=2, default_doc="null"
        ),
        "required": Field(
            Boolean(),
            default=Parameter().required,
            doc="Refuse a run without a value.",
            example=True,
        ),
        "description": Field(
            Text(empty=True), doc="What it is, for people.", example="How many pods"
        ),
    }
)

CONCURRENCY = Section(
    {
        "max": Field(
            Integer(minimum=1, maximum=1000),
            default=Concurrency().max,
            doc="Runs at once.",
            example=1,
        ),
        "policy": Field(
            Choice(*ConcurrencyPolicy),
            default=Concurrency().policy.value,
            doc="What happens to a run that is too many: it waits (`queue`), supersedes those "
            "that wait (`newest`), or is left out (`skip`).",
            example="queue",
        ),
    }
)


def pipeline_section(types: Mapping[str, Kind]) -> Section:
    """The keys of a pipeline whose stages may be of these types."""
    return Section(
        {
            "name": Field(
                Text(matches=LOOSE_NAME, rule=LOOSE_NAME_RULE),
                required=True,
                doc="What triggers and commands call it.",
                example="deploy-web",
            ),
            "parameters": Field(
                MapOf(PARAMETER, keys=PARAMETER_NAME),
                doc="The values that a run may be given; expressions see `parameters.NAME`.",
            ),
            "concurrency": Field(CONCURRENCY, doc="How many runs go at once."),
            "timeout": Field(
                Duration(minimum="1s"),
                default=text_of(_PLAIN_PIPELINE.timeout),
                doc="Of the whole run; time spent waiting for a person does not count.",
                example="1h",
            ),
            "dry_run": Field(
                Boolean(),
                default=_PLAIN_PIPELINE.dry_run,
                doc="Ask clusters what would change, and change nothing. Stages that can't do that "
                "are skipped.",
                example=True,
            ),
            "notify": Field(
                NOTIFY,
                doc="Who is told how its runs end: names of notifiers, of whom each is told of "
                "runs that failed or wait for a person, or `{notifier, on}` with the statuses.",
                example=["ops", {"notifier": "team", "on": ["FAILED", "SUCCEEDED"]}],
            ),
            "stages": Field(
                StageList(StageKind(types), minimum=1),
                required=True,
                doc="What is done, one after the other. Each is a mapping with exactly one stage "
                "type as key.",
            ),
        }
    )


class StageList(ListOf):
    """Stages, of which no two have the same name."""

    def read(self, node: nodes.Node, path: str, reading: Reading) -> list[Json] | Invalid:
        stages = super().read(node, path, reading)
        if isinstance(node, nodes.Sequence):
            _refuse_equal_names(node, path, reading)
        return stages


def _refuse_equal_names(node: nodes.Sequence, path: str, reading: Reading) -> None:
    taken: set[str] = set()
    for index, stage in enumerate(node.items):
        entries = stage.entries if isinstance(stage, nodes.Mapping) else ()
        for entry in entries:
            if entry.key != "name" or not isinstance(entry.value, nodes.Scalar):
                continue
            name = entry.value.text
            if name in taken:
                place = f"{path}[{index}].name"
                reading.refuse_at(entry.line, place, f"another stage is named {name!r}")
            taken.add(name)


def build(item: Item) -> Pipeline | None:
    """The pipeline of an item that was read; None when that had problems."""
    if item.broken:
        return None
    data = item.data
    return Pipeline(
        name=data["name"],
        stages=tuple(map(_stage, data["stages"], _stage_names(data["stages"]))),
        parameters={
            name: Parameter(**values) for name, values in data.get("parameters", {}).items()
        },
        concurrency=_concurrency(data.get("concurrency")),
        timeout=span(data, "timeout", _PLAIN_PIPELINE.timeout),
        dry_run=data["dry_run"],
        notify=wishes(data),
    )


def _stage_names(stages: list[Data]) -> list[str]:
    """A stage without a name is called by its type; the second of them `type-2`."""
    taken = {stage["name"] for stage in stages if "name" in stage}
    counts: Counter[str] = Counter()
    return [stage.get("name") or _free_name(stage["type"], taken, counts) for stage in stages]


def _free_name(stage_type: str, taken: set[str], counts: Counter[str]) -> str:
    while True:
        counts[stage_type] += 1
        count = counts[stage_type]
        name = stage_type if count == 1 else f"{stage_type}-{count}"
        if name not in taken:
            return name


def _stage(data: Data, name: str) -> StageSpec:
    retry = data.get("retry", {})
    condition = data.get("if")
    return StageSpec(
        name=name,
        type=data["type"],
        options=data["options"],
        condition=str(condition).lower() if isinstance(condition, bool) else condition,
        timeout=span(data, "timeout", _PLAIN_STAGE.timeout),
        attempts=retry.get("attempts", _PLAIN_STAGE.attempts),
        backoff=span(retry, "backoff", _PLAIN_STAGE.backoff),
        on_failure=OnFailure(data["on_failure"]),
    )


def _concurrency(data: Data | None) -> Concurrency:
    if data is None:
        return Concurrency()
    return Concurrency(max=data["max"], policy=ConcurrencyPolicy(data["policy"]))

"""The keys of a trigger, each declared once, and the Trigger that they make (SPEC 3.2)."""

from __future__ import annotations

from watcher.config.accounts import checked_names
from watcher.config.fields import (
    Anything,
    Boolean,
    Choice,
    Either,
    Field,
    ListOf,
    MapOf,
    Pattern,
    Section,
    Text,
)
from watcher.config.items import LOOSE_NAME, LOOSE_NAME_RULE, Data, Item
from watcher.core.account import Account
from watcher.core.change import ChangeKind
from watcher.core.patterns import VALUE_GROUP
from watcher.core.selector import Ordering, OrderKind, TagRule
from watcher.core.trigger import Backfill, Fire, Trigger

_LISTS = ("one_of", "not_one_of")

TAG = Section(
    {
        "matches": Field(Pattern(), doc="The whole tag matches.", example=r"v\d+\.\d+\.\d+"),
        "excludes": Field(Pattern(), doc="The whole tag does not match.", example=".*-rc.*"),
        "equals": Field(Text(), doc="The tag is exactly this.", example="stable"),
        "starts_with": Field(Text(), doc="The tag begins with this.", example="v"),
        "ends_with": Field(Text(), doc="The tag ends with this.", example="-alpine"),
        "contains": Field(Text(), doc="The tag has this in it.", example="release"),
        "one_of": Field(
            ListOf(Text(), minimum=1), doc="The tag is one of these.", example=["stable", "edge"]
        ),
        "not_one_of": Field(
            ListOf(Text(), minimum=1), doc="The tag is none of these.", example=["latest"]
        ),
        "semver": Field(
            Text(), doc="The tag is a version in this range (npm's syntax).", example=">=1.2 <2"
        ),
        "glob": Field(Text(), doc="The tag matches this shell pattern.", example="1.*-alpine"),
    }
)

TRIGGER = Section(
    {
        "name": Field(
            Text(matches=LOOSE_NAME, rule=LOOSE_NAME_RULE),
            required=True,
            doc="What activity and commands call it.",
            example="web-release",
        ),
        "enabled": Field(
            Boolean(),
            default=True,
            doc="Whether it fires. The switch at run time (`watcher enable`, `watcher disable`) "
            "outlives a restart.",
            example=True,
        ),
        "account": Field(
            Text(), required=True, doc="The account that polls the repository.", example="dockerhub"
        ),
        "repository": Field(
            Either(Text(), ListOf(Text(), minimum=1)),
            doc="Exact name, or a list of names. Either this or `repositories` is required.",
            example="acme/demoapp",
        ),
        "repositories": Field(
            Pattern(),
            doc="The account's repositories whose whole name matches.",
            example="acme/.*",
        ),
        "tag": Field(
            Either(Pattern(empty=True), TAG),
            doc="Regular expression that the whole tag matches, or a mapping of which all given "
            "keys must hold.",
            default_doc="every tag but exactly `latest`",
        ),
        "order": Field(
            Choice(*OrderKind),
            default=OrderKind.FIRST_SEEN.value,
            doc="How tags are compared.",
            example="semver",
        ),
        "extract": Field(
            Pattern(group=VALUE_GROUP),
            doc="Regular expression whose group `value` is compared instead of the whole tag.",
            example="master-(?P<value>[0-9]+)",
        ),
        "fire": Field(
            Choice(*Fire),
            default=Fire.EACH.value,
            doc="`each` matching tag in rising order, or only the `newest` of a poll; the others "
            "are recorded as superseded.",
            example="each",
        ),
        "allow_downgrade": Field(
            Boolean(),
            default=False,
            doc="Fire also for a tag that is not above the highest that fired before (with the "
            "orders semver, numeric and alphabetical).",
            example=True,
        ),
        "changes": Field(
            ListOf(Choice(*ChangeKind), minimum=1, unique=True),
            default=[ChangeKind.NEW.value],
            doc="What fires: a tag that is `new`, `moved` to another digest, or `deleted`. A "
            "deleted tag that comes back is new.",
            example=["new", "moved"],
        ),
        "backfill": Field(
            Choice(*Backfill),
            default=Backfill.NONE.value,
            doc="What fires at the first sight of a repository.",
            example="newest",
        ),
        "pipeline": Field(
            Text(), required=True, doc="The pipeline that runs.", example="deploy-web"
        ),
        "parameters": Field(
            MapOf(Anything()),
            doc="Values for the pipeline's parameters.",
            example={"replicas": 3},
        ),
    }
)


def build(item: Item, account: Account | None) -> Trigger | None:
    """The trigger of an item that was read; None after problems were reported. `account` is the
    one it names, None when that is unknown or broken."""
    data = item.data
    found = item.problem_count
    names = _repositories(item, data, account)
    rule = _tag_rule(item, data.get("tag", ""))
    if item.broken or item.problem_count > found:
        return None
    return Trigger(
        name=data["name"],
        account=data["account"],
        pipeline=data["pipeline"],
        repositories=names,
        repository_pattern=data.get("repositories"),
        enabled=data["enabled"],
        tag=rule,
        order=Ordering(kind=OrderKind(data["order"]), extract=data.get("extract")),
        fire=Fire(data["fire"]),
        allow_downgrade=data["allow_downgrade"],
        changes=frozenset(ChangeKind(change) for change in data["changes"]),
        backfill=Backfill(data["backfill"]),
        parameters=data.get("parameters", {}),
    )


def _repositories(item: Item, data: Data, account: Account | None) -> tuple[str, ...]:
    written = data.get("repository")
    if not item.given & {"repository", "repositories"}:
        item.refuse("repository", "the key 'repository' is missing", "or `repositories`, a pattern")
    if item.given >= {"repository", "repositories"}:
        item.refuse("repositories", "stands beside `repository`", "give one of the two")
    if account is None or written is None:
        return ()
    names = [written] if isinstance(written, str) else written
    return checked_names(item, "repository", names, account.registry)


def _tag_rule(item: Item, tag: str | Data) -> TagRule:
    if isinstance(tag, str):
        return TagRule(matches=tag or None)
    if "semver" in tag:
        _check_range(item, tag["semver"])
    values: Data = {key: tuple(tag[key]) if key in _LISTS else tag[key] for key in tag}
    return TagRule(**values)


def _check_range(item: Item, text: str) -> None:
    from watcher.core.version import check_range

    try:
        check_range(text)
    except ValueError as error:
        item.refuse("tag.semver", str(error))

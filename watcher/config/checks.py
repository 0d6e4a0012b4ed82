"""What only shows when all parts are known: names that nothing has, triggers that never fire,
parameters that are missing, pipelines that call themselves. Imported by `load`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from watcher.config.items import Item, Json
from watcher.config.reading import nearest
from watcher.core.account import Account, DigestTracking
from watcher.core.change import ChangeKind
from watcher.core.pipeline import Pipeline
from watcher.core.trigger import Trigger

PIPELINE_STAGE = "pipeline"

Names = Mapping[str, Item]


def unique_names(items: Iterable[Item]) -> dict[str, Item]:
    """The items by name; a name that is taken is reported."""
    named: dict[str, Item] = {}
    for item in items:
        if item.name is None:
            continue
        first = named.setdefault(item.name, item)
        if first is not item:
            place = f"{first.reading.file}:{first.line}"
            item.refuse("name", f"the name {item.name!r} is taken", f"by {first.path} at {place}")
    return named


def check_known(item: Item, key: str, name: str, names: Names, what: str) -> bool:
    """Report a name that nothing has; broken items count as known."""
    if name in names:
        return True
    there = f"there are: {', '.join(names)}" if names else f"there is no {what}"
    item.refuse(key, f"no {what} is named {name!r}", nearest(name, names) or there)
    return False


def check_trigger(item: Item, trigger: Trigger, account: Account, pipeline: Pipeline) -> None:
    """Whether it can ever fire, and with what the pipeline needs."""
    for index, name in enumerate(trigger.repositories):
        one = isinstance(item.data["repository"], str)
        key = "repository" if one else f"repository[{index}]"
        if not is_watched(account, name):
            message = f"the account {account.name!r} does not watch {name!r}"
            item.refuse(key, message, f"add it to `repositories` of the account ({_what(account)})")
    if trigger.repository_pattern is not None:
        _check_pattern(item, trigger.repository_pattern, account)
    if account.track_digests is DigestTracking.OFF and ChangeKind.MOVED in trigger.changes:
        message = f"`moved` is never seen: the account {account.name!r} has `track_digests: off`"
        item.refuse("changes", message)
    check_parameters(item, "parameters", trigger.parameters, pipeline)


def is_watched(account: Account, repository: str) -> bool:
    """Whether the account may ever poll it; what a catalog will list can't be known."""
    if not account.repositories and account.catalog is None:
        return True
    if repository in account.repositories:
        return True
    if account.catalog is None or repository in account.catalog.skip:
        return False
    return account.catalog.include is None or _matches(account.catalog.include, repository)


def _check_pattern(item: Item, pattern: str, account: Account) -> None:
    if account.catalog is not None:
        return
    if not account.repositories:
        message = f"the account {account.name!r} has neither `repositories` nor `catalog`"
        item.refuse("repositories", message, "a pattern needs names to match")
    elif not any(_matches(pattern, name) for name in account.repositories):
        message = f"{pattern!r} matches no repository of the account {account.name!r}"
        item.refuse("repositories", message, _what(account))


def _what(account: Account) -> str:
    shown = ", ".join(account.repositories[:5])
    more = len(account.repositories) - 5
    return f"it has {shown}{f' and {more} more' if more > 0 else ''}" if shown else "by its catalog"


def _matches(pattern: str, name: str) -> bool:
    from watcher.core.patterns import full_match

    return full_match(pattern, name)


def check_parameters(item: Item, key: str, given: Mapping[str, Json], pipeline: Pipeline) -> None:
    """Every given parameter is one of the pipeline's, and every required one is given."""
    for name in given:
        if name not in pipeline.parameters:
            message = f"the pipeline {pipeline.name!r} has no parameter {name!r}"
            item.refuse(f"{key}.{name}", message, nearest(name, pipeline.parameters))
    for name, parameter in pipeline.parameters.items():
        if parameter.required and parameter.default is None and name not in given:
            message = f"the pipeline {pipeline.name!r} requires the parameter {name!r}"
            item.refuse(key, message)


def check_calls(items: Names, pipelines: Mapping[str, Pipeline]) -> None:
    """`pipeline` stages: the pipeline they name is there, gets its parameters, and does not lead
    back to the one that calls. Names with expressions can only be known at run time."""
    for name, item in items.items():
        for path, called, given in _calls(item):
            key = f"{path.removeprefix(f'{item.path}.')}.{PIPELINE_STAGE}"
            if not check_known(item, f"{key}.name", called, items, "pipeline"):
                continue
            if called in pipelines:
                check_parameters(item, f"{key}.parameters", given, pipelines[called])
            if way := _way(called, name, items):
                circle = " -> ".join([name, *way])
                item.refuse(f"{key}.name", f"the pipeline calls itself: {circle}")


def _calls(item: Item) -> Iterator[tuple[str, str, Mapping[str, Json]]]:
    for stage in item.data.get("stages", ()):
        if stage["type"] != PIPELINE_STAGE or not isinstance(stage["options"], dict):
            continue
        called = stage["options"].get("name")
        if isinstance(called, str) and "${" not in called:
            yield stage["path"], called, stage["options"].get("parameters", {})


def _way(start: str, goal: str, items: Names) -> list[str] | None:
    """The names from start to goal along the calls, None when there is no way."""
    ways = {start: [start]}
    queue = [start]
    for name in queue:
        if name == goal:
            return ways[name]
        for _, called, _ in _calls(items[name]) if name in items else ():
            if called not in ways:
                ways[called] = [*ways[name], called]
                queue.append(called)
    return None

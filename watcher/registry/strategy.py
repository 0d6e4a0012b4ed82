"""Which way of looking at a repository costs least, in words and in requests.

Pure: looking.py goes the way that `choose` names, and `watcher plan` predicts what it costs. Field
facts: registries.md sections 3.1 to 3.3.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

from watcher.core.account import Strategy
from watcher.registry.native.harbor import tells_changes
from watcher.registry.quirks import Dialect, NativeApi

MANY_REPOSITORIES = 20
"""Above so many a list of what changed in the whole registry is less than asking each."""

LOOKS_PER_WALK = 24
SHORTEST_BETWEEN_WALKS = 6 * 3600.0
_TITLES = {
    NativeApi.DOCKER_HUB: "Docker Hub",
    NativeApi.QUAY: "Quay",
    NativeApi.GITLAB: "GitLab",
    NativeApi.ACR: "ACR",
    NativeApi.HARBOR: "Harbor",
}


class Way(StrEnum):
    """How a repository is looked at."""

    V2 = "v2"
    V2_WITH_DIGESTS = "v2 with digests"
    TAIL = "tail"
    NEWEST = "native"
    CHANGED = "native (Harbor's changed list)"


class Circumstances(NamedTuple):
    """What decides: the account's strategy, what is wanted, and how much there is.

    `tags` are those that are known, `page_size` how many fit on a page, `watched` how many
    repositories the account looks at, `version` what the registry says of itself.
    """

    strategy: Strategy = Strategy.AUTO
    wants_digests: bool = False
    wants_deletions: bool = False
    tags: int = 0
    page_size: int = 1000
    watched: int = 1
    version: str | None = None

    @property
    def pages(self) -> int:
        """How many pages a complete listing has; where there is no page size, one."""
        return max(1, math.ceil(self.tags / self.page_size)) if self.page_size else 1


class Forecast(NamedTuple):
    """What a look will cost: `words` as `strategy_of` says it, requests on average when nothing
    changes, and whether the digests of followed tags need no requests of their own."""

    words: str
    requests: float
    tells_digests: bool


def choose(dialect: Dialect, given: Circumstances) -> Way:
    """The way to look at a repository of such a registry under these circumstances."""
    if given.strategy is Strategy.V2:
        return Way.V2
    insists = given.strategy is Strategy.NATIVE
    if dialect.tells_manifests:
        return Way.V2_WITH_DIGESTS if insists or given.wants_digests else Way.V2
    if dialect.native is NativeApi.HARBOR:
        # What is deleted is in the list of changes as well.
        is_worth_it = insists or given.watched > MANY_REPOSITORIES or given.pages > 1
        return Way.CHANGED if is_worth_it and tells_changes(given.version) else Way.V2
    if given.wants_deletions:
        return Way.V2
    if dialect.native is not None:
        is_worth_it = insists or given.wants_digests or given.pages > 1
        return Way.NEWEST if is_worth_it else Way.V2
    return Way.TAIL if dialect.appends and given.pages > 1 else Way.V2


def words_for(way: Way, dialect: Dialect) -> str:
    """What a way is called, for people."""
    if way is Way.NEWEST and dialect.native is not None:
        return f"native ({_TITLES[dialect.native]})"
    return way.value


def forecast(dialect: Dialect, given: Circumstances, interval: float) -> Forecast:
    """What looking every `interval` seconds costs; tokens and digests come on top of it."""
    way = choose(dialect, given)
    walks = 1.0 / looks_between_walks(interval)
    if way in (Way.NEWEST, Way.TAIL):
        requests = 1.0 + given.pages * walks
    elif way is Way.CHANGED:
        requests = 1.0 / max(given.watched, 1) + given.pages * walks
    else:
        requests = float(given.pages)
    tells = way in (Way.V2_WITH_DIGESTS, Way.NEWEST, Way.CHANGED)
    return Forecast(words_for(way, dialect), requests, tells)


def looks_between_walks(interval: float) -> float:
    """How many looks by another way come before a complete walk."""
    return seconds_between_walks(interval) / interval


def seconds_between_walks(interval: float) -> float:
    return max(LOOKS_PER_WALK * interval, SHORTEST_BETWEEN_WALKS)

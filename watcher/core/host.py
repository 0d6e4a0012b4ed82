"""What is remembered of a registry's host between processes: what kind it is, what it allows.

Values only: found out by `registry`, kept by the store, shown by `status` and `plan`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from watcher.core.account import DialectName


class Recognition(NamedTuple):
    """What kind of registry a host was found to be, by asking it. `dialect` None: none known;
    `at`: epoch seconds."""

    dialect: DialectName | None
    version: str | None
    at: float


class Counts(StrEnum):
    """As what a request counts with its host: each kind has its own pace and quota. PULLS are
    GETs of manifests where those have a quota of their own, NATIVE an API beside v2."""

    REQUESTS = "requests"
    PULLS = "pulls"
    NATIVE = "native"


class Counted(NamedTuple):
    """Whose quota, and of what: `host` is `quay.io` or for one account `quay.io/NAME`; `what` is
    one of Counts, or a word of a later version of ours."""

    host: str
    what: str


class Quota(NamedTuple):
    """What a host said that it still allows, until `resets`; both times in epoch seconds."""

    allowed: float | None
    remaining: float
    resets: float
    seen: float


def place_of(host: str, account: str | None = None) -> str:
    """How a host, or an account's part in it, is called in what is remembered."""
    return host if account is None else f"{host}/{account}"


def parking_key(place: str, counts: Counts = Counts.REQUESTS) -> str:
    """Under which key a place is left alone: as a whole, or for one kind of requests."""
    return place if counts is Counts.REQUESTS else f"{place} ({counts})"

"""What is remembered of a registry's host between processes: what kind it is, what it allows.

Values only: found out by `registry`, kept by the store, shown by `status` and `plan`.
"""

from __future__ import annotations

from typing import NamedTuple

from watcher.core.account import DialectName


class Recognition(NamedTuple):
    """What kind of registry a host was found to be, by asking it. `dialect` None: none known;
    `at`: epoch seconds."""

    dialect: DialectName | None
    version: str | None
    at: float


class Counted(NamedTuple):
    """Whose quota, and of what: `host` is `quay.io` or for one account `quay.io/NAME`; `what` is
    `requests`, or `pulls` where only GETs of manifests count, or `native` for an API of its own."""

    host: str
    what: str


class Quota(NamedTuple):
    """What a host said that it still allows, until `resets`; both times in epoch seconds."""

    allowed: float | None
    remaining: float
    resets: float
    seen: float

"""What a trigger's `tag` and `order` say; each answer names why a tag is left out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OrderKind(StrEnum):
    """How tags are compared (SPEC 3.2 `order`)."""

    SEMVER = "semver"
    NUMERIC = "numeric"
    ALPHABETICAL = "alphabetical"
    FIRST_SEEN = "first_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """`extract` is an RE2 pattern with a named group `value`; the group is compared."""

    kind: OrderKind = OrderKind.FIRST_SEEN
    extract: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRule:
    """All given keys must hold. With none given: every tag but exactly `latest`."""

    matches: str | None = None
    excludes: str | None = None
    equals: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None
    contains: str | None = None
    one_of: tuple[str, ...] | None = None
    not_one_of: tuple[str, ...] | None = None
    semver: str | None = None
    glob: str | None = None

"""What a trigger's `tag` and `order` say; each answer names why a tag is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from watcher.core.patterns import (
    VALUE_GROUP,
    check_pattern,
    extracted_value,
    full_match,
    glob_match,
    glob_pattern,
)
from watcher.core.version import (
    SortKey,
    check_range,
    in_range,
    natural_key,
    parse_version,
)

_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_LATEST = "latest"


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

    @property
    def knows_downgrades(self) -> bool:
        """Whether a tag says by itself that it is older than another (SPEC 3.2)."""
        return self.kind is not OrderKind.FIRST_SEEN


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


@dataclass(frozen=True, slots=True)
class Match:
    """Whether a rule keeps a tag; `reason` continues the sentence "the tag ..."."""

    ok: bool
    reason: str


def matches(rule: TagRule, tag: str) -> Match:
    """What the rule says of the tag: every key that held, or the first that did not.

    Raises ValueError for a pattern or range that can't be read; `check_rule` finds them early.
    """
    held: list[str] = []
    for clause in _clauses(rule, tag):
        if not clause.ok:
            return clause
        held.append(clause.reason)
    if held:
        return _kept(" and ".join(held))
    if tag == _LATEST:
        return _left_out("is exactly 'latest', which an empty rule leaves out")
    return _kept("is not exactly 'latest', all that an empty rule asks for")


def check_rule(rule: TagRule, ordering: Ordering | None = None) -> None:
    """Compile everything that the rule and the order name. Raises ValueError with a sentence for
    the user, such as "RE2 can't take the pattern '(?=a)': invalid perl operator: (?="."""
    for pattern in (rule.matches, rule.excludes):
        if pattern is not None:
            check_pattern(pattern)
    if rule.glob is not None:
        check_pattern(glob_pattern(rule.glob))
    if rule.semver is not None:
        check_range(rule.semver)
    if ordering is not None and ordering.extract is not None:
        check_pattern(ordering.extract, group=VALUE_GROUP)


def sort_key(ordering: Ordering, tag: str, sequence: float) -> SortKey | None:
    """Comparable among the keys of one ordering; None when the tag has nothing to compare
    (`no_value` says why).

    `sequence` is any number that grows with the time of first sight and is equal within one
    listing; only `first_seen` looks at it. Equal keys are equal versions (`1.2` and `v1.2.0`).
    """
    value = _value(ordering, tag)
    if value is None:
        return None
    if ordering.kind is OrderKind.FIRST_SEEN:
        return (sequence, *natural_key(value))
    if ordering.kind is OrderKind.ALPHABETICAL:
        return (value,)
    if ordering.kind is OrderKind.NUMERIC:
        number = _NUMBER.fullmatch(value)
        return (int(number[1]), (number[2] or "").rstrip("0")) if number is not None else None
    version = parse_version(value)
    return version.key if version is not None else None


def no_value(ordering: Ordering, tag: str) -> str:
    """Why `sort_key` is None; continues the sentence "the tag ..."."""
    value = _value(ordering, tag)
    if value is None:
        return f"has nothing that `extract` '{ordering.extract}' finds, so it can't be ordered"
    kind = "a number" if ordering.kind is OrderKind.NUMERIC else "a version"
    shown = "is not" if value == tag else f"has {value!r} to compare, which is not"
    return f"{shown} {kind}, so it can't be ordered ({ordering.kind.value})"


def _value(ordering: Ordering, tag: str) -> str | None:
    return tag if ordering.extract is None else extracted_value(ordering.extract, tag)


def _clauses(rule: TagRule, tag: str) -> Iterator[Match]:
    """One answer per given key, cheap ones first; a blank pattern is one that is not given."""
    yield from _plain_clauses(rule, tag)
    if rule.matches is not None and rule.matches.strip():
        yield _verb(full_match(rule.matches, tag), "match", "matches", f"'{rule.matches.strip()}'")
    if rule.excludes is not None and rule.excludes.strip():
        excluded = full_match(rule.excludes, tag)
        said = "is excluded by" if excluded else "is not excluded by"
        yield Match(not excluded, f"{said} '{rule.excludes.strip()}'")
    if rule.glob is not None:
        ok = glob_match(rule.glob, tag)
        yield _verb(ok, "match", "matches", f"the glob '{rule.glob.strip()}'")
    if rule.semver is not None:
        yield _in_range(rule.semver, tag)


def _plain_clauses(rule: TagRule, tag: str) -> Iterator[Match]:
    if rule.equals is not None:
        yield _verb(tag == rule.equals, "equal", "equals", repr(rule.equals))
    if rule.starts_with is not None:
        ok = tag.startswith(rule.starts_with)
        yield _verb(ok, "start with", "starts with", repr(rule.starts_with))
    if rule.ends_with is not None:
        yield _verb(tag.endswith(rule.ends_with), "end with", "ends with", repr(rule.ends_with))
    if rule.contains is not None:
        yield _verb(rule.contains in tag, "contain", "contains", repr(rule.contains))
    if rule.one_of is not None:
        ok = tag in rule.one_of
        yield Match(ok, "is one of `one_of`" if ok else "is none of `one_of`")
    if rule.not_one_of is not None:
        ok = tag not in rule.not_one_of
        yield Match(ok, "is none of `not_one_of`" if ok else "is one of `not_one_of`")


def _kept(reason: str) -> Match:
    return Match(ok=True, reason=reason)


def _left_out(reason: str) -> Match:
    return Match(ok=False, reason=reason)


def _verb(ok: bool, stem: str, third_person: str, what: str) -> Match:
    return Match(ok, f"{third_person} {what}" if ok else f"does not {stem} {what}")


def _in_range(version_range: str, tag: str) -> Match:
    if in_range(tag, version_range):
        return _kept(f"is a version in {version_range!r}")
    if parse_version(tag) is None:
        return _left_out(f"is not a version, so not in {version_range!r}")
    return _left_out(f"is a version outside {version_range!r}")

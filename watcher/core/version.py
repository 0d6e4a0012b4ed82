"""Versions as people write them in tags, and the natural order of everything else.

Tags are rarely strict semantic versions: `v1.2`, `1.2.3.4`, `2024.01.05`, `1.2.3-alpine`,
`1.2.3_4`. What can be read as a version gets a key that agrees with semver 2.0.0 section 11
wherever both apply. Used by `selector`; pure, everyone may import it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

SortKey = tuple[Any, ...]

_NUMBERS = re.compile(r"[vV]?([0-9]+(?:\.[0-9]+)*)")
_DIGITS = re.compile(r"([0-9]+)")
_BUILD = re.compile(r"[_+]")
_BLANK_AFTER_OPERATOR = re.compile(r"([<>=~^])\s+")
_VERSION_PREFIX = re.compile(r"(?<![0-9A-Za-z.-])[vV](?=[0-9])")


@dataclass(frozen=True, slots=True)
class TagVersion:
    """A version read from a tag: `1.2.3-rc.1_5` has three numbers, a pre-release and a build.

    The build part stands behind `_` or `+` (tags can't hold `+`, so `_` is written instead).
    """

    numbers: tuple[int, ...]
    prerelease: tuple[str, ...] = ()
    build: str = ""

    @property
    def key(self) -> SortKey:
        """Orders versions: `1.2` equals `1.2.0`, a pre-release is below its release, and numbers
        inside an identifier count as numbers (`rc2` is below `rc10`)."""
        numbers = list(self.numbers)
        while len(numbers) > 1 and numbers[-1] == 0:
            numbers.pop()
        identifiers = tuple(_identifier_key(part) for part in self.prerelease)
        rank = (0, identifiers) if self.prerelease else (1,)
        return tuple(numbers), rank, natural_chunks(self.build)


def parse_version(tag: str) -> TagVersion | None:
    """The version that a tag says, or None when it says none (`latest`, `1e5f3ab`)."""
    match = _NUMBERS.match(tag)
    if match is None:
        return None
    numbers = tuple(int(part) for part in match[1].split("."))
    rest = tag[match.end() :]
    if not rest:
        return TagVersion(numbers)
    if rest[0] in "_+":
        return TagVersion(numbers, build=rest[1:]) if rest[1:] else None
    if rest[0] in "-.":
        rest = rest[1:]
    elif len(numbers) == 1:
        return None  # a commit's hash rather than `1rc1`
    prerelease, *build = _BUILD.split(rest, maxsplit=1)
    if not prerelease:
        return None
    return TagVersion(numbers, tuple(prerelease.split(".")), build[0] if build else "")


def in_range(tag: str, version_range: str) -> bool:
    """Whether the tag is a version inside an npm-style range (`^1.2`, `>=1.4 <2 || 3.x`).

    A fourth number and a build part don't count; a pre-release or variant (`1.2.3-alpine`) is in
    only when the range names one for the same version, as npm has it. Raises ValueError for a
    range that can't be read.
    """
    from semantic_version import Version

    version = parse_version(tag)
    spec = _parsed_range(version_range)
    if version is None:
        return False
    major, minor, patch = (*version.numbers, 0, 0)[:3]
    prerelease = tuple(_without_leading_zeros(part) for part in version.prerelease)
    candidate = Version(major=major, minor=minor, patch=patch, prerelease=prerelease, build=())
    return bool(spec.match(candidate))


def check_range(version_range: str) -> None:
    """Raises ValueError, with a sentence for the user, unless the range can be read."""
    _parsed_range(version_range)


def natural_chunks(text: str) -> SortKey:
    """Text and numbers in turn: `a10b` is ("a", 10, "b"); so numbers compare as numbers."""
    chunks: list[str | int] = list(_DIGITS.split(text))
    chunks[1::2] = [int(number) for number in chunks[1::2]]
    return tuple(chunks)


def natural_key(tag: str) -> SortKey:
    """A total order: numbers as numbers, and `01` beside `1` in the order of their characters."""
    return natural_chunks(tag), tag


def _identifier_key(identifier: str) -> SortKey:
    """semver 2.0.0 section 11.4: numeric identifiers are below the others."""
    if identifier.isdigit():
        return 0, int(identifier)
    return 1, natural_chunks(identifier)


def _without_leading_zeros(identifier: str) -> str:
    return str(int(identifier)) if identifier.isdigit() else identifier


@lru_cache(maxsize=256)
def _parsed_range(text: str) -> Any:
    from semantic_version import NpmSpec

    plain = _BLANK_AFTER_OPERATOR.sub(r"\1", text.strip().replace(",", " "))
    try:
        return NpmSpec(" ".join(_VERSION_PREFIX.sub("", plain).split()))
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not a range of versions such as '^1.2', '>=1.4 <2' or '1.x || 2.x'"
        ) from error

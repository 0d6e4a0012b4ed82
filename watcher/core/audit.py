"""How often a followed tag is looked at for a move: always, or rarely where it looks fixed.

A registry of a hundred thousand tags can't be asked for each at every poll, and most of them are
versions that never move. Those are looked at the more seldom the longer they stood still; one that
did move once is looked at every time. Pure, and without memory: a look is due when a moment of
the tag's own grid lies between the last good poll and this one, so a process that is started for
each poll keeps the same schedule. field facts: registries.md section 3.2.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta

from watcher.core.change import KnownTag
from watcher.core.schedule import phase

REST_SHARE = 50
"""A tag that stood still for so many times as long as the gap is looked at once in the gap."""

_VERSION = re.compile(r"[vV]?\d+\.\d+\.\d+(?:[._+-].*)?")
_DATE = re.compile(r".*(?<!\d)20\d\d-?[01]\d-?[0-3]\d(?:\d{4}|\d{6})?(?!\d).*")
_COMMIT = re.compile(r"(?:[a-z]+-)?(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class AuditClock:
    """The moment of a poll: `now` and the last good poll in epoch seconds, the poll interval, and
    the longest time until a fixed tag is looked at again."""

    now: float
    last_success: float | None
    interval: timedelta
    longest: timedelta


def looks_fixed(tag: str) -> bool:
    """Whether the name is one that people don't move: a full version, a date, a commit."""
    return any(pattern.fullmatch(tag) for pattern in (_VERSION, _DATE, _COMMIT))


def is_due(name: str, tag: KnownTag, clock: AuditClock) -> bool:
    """Whether this poll has to look whether the tag moved."""
    if clock.last_success is None or not tag.stands_still or not looks_fixed(name):
        return True
    gap = gap_of(clock.now - tag.first_seen.timestamp(), clock.interval, clock.longest)
    if gap <= clock.interval.total_seconds():
        return True
    offset = phase(name) * clock.longest.total_seconds()
    return _cell(clock.now - offset, gap) != _cell(clock.last_success - offset, gap)


def gap_of(age: float, interval: timedelta, longest: timedelta) -> float:
    """Seconds between two looks at a fixed tag that has been there for `age` seconds: the interval
    doubled so often that the moments of a longer gap are among those of a shorter one."""
    every, most = interval.total_seconds(), longest.total_seconds()
    wanted = min(age / REST_SHARE, most)
    if wanted < 2 * every:
        return every
    return every * 2.0 ** math.floor(math.log2(wanted / every))


def _cell(moment: float, gap: float) -> int:
    return math.floor(moment / gap)

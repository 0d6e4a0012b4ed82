"""`expect`: which statuses of an answer are good, as stages are told."""

from __future__ import annotations

from collections.abc import Sequence

from watcher.config.fields import Either, Field, Integer, Kind, ListOf, Text

EXPECT: Kind = ListOf(
    Either(
        Integer(100, 599),
        Text(matches="[1-5][0-9]{2}-[1-5][0-9]{2}", rule="a range of statuses such as 200-299"),
    ),
    minimum=1,
)
EXPECT_FIELD = Field(
    EXPECT,
    default=["200-299"],
    doc="The statuses that are good: numbers and ranges.",
    example=["200-299", 404],
)


def is_expected(status: int, expected: Sequence[int | str]) -> bool:
    for entry in expected:
        low, _, high = str(entry).partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False

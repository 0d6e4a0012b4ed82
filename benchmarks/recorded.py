"""What Diun cost when it was measured for the goals, for runs where no Diun is at hand.

Diun v4.33.0-14-g9050b6a (2026-06-27, built with Go 1.26), 10 workers, fakereg on loopback, two
cores of an AMD EPYC, 21 November 2026. Another machine has another second: ratios to these figures
are printed as recorded ones, and a ratio to a Diun in the same run is always better.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.measuring import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One check of so many images by explicit tags: the first, and one with nothing new.

    `quiet`: whether the machine did nothing else. Requests and connections are per image.
    """

    how: str
    first: Cost | None
    again: Cost
    quiet: bool = True
    requests: float = 3.0
    connections: float = 2.0


BY_SIZE_AND_LATENCY = {
    (1_000, 0.0): Recorded(
        how="TLS without login",
        first=Cost(wall=5.1, cpu=5.8, memory=55.0),
        again=Cost(wall=2.96, cpu=3.4, memory=55.0),
        requests=2.0,
    ),
    (1_000, 50.0): Recorded(
        how="TLS without login",
        first=Cost(wall=30.0, cpu=11.1, memory=55.0),
        again=Cost(wall=12.4, cpu=5.5, memory=56.0),
        quiet=False,
        requests=2.0,
    ),
    (10_000, 0.0): Recorded(
        how="TLS, Bearer",
        first=Cost(wall=60.5, cpu=64.7, memory=102.0),
        again=Cost(wall=27.5, cpu=32.2, memory=114.0),
    ),
    (10_000, 50.0): Recorded(
        how="TLS, Bearer",
        first=None,
        again=Cost(wall=162.0, cpu=47.0, memory=114.0),
    ),
}

WHOLE_REPOSITORY_REQUESTS = 202.0
"""Per repository of 100 tags and check with `watch_repo`, without login (measured)."""

"""What webhooks said of a repository since its last poll, and how often it is looked at for that.

A registry may call before its own listing shows what it tells of: then a few more looks follow,
each after a longer pause, and then the ordinary schedule. Pure but for what it holds; the watch of
an account keeps one for each repository that was named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from watcher.core.hint import Hint

PAUSES = (0.25, 2.0, 10.0, 30.0)
"""Seconds until the next look, where a poll did not show what a hint had told of."""
LEAST_GAP = 0.5
"""Seconds between two polls of one repository that hints ask for."""
MOST_TAGS = 100
"""Named at once; what more there are is found by the listing, or waits for its turn."""


@dataclass(slots=True)
class Hinted:
    """`pushed`: the tags that were named, with the digests that they should have (None: any).
    `is_wanted`: a poll is asked for that has not begun. `polled_at`: when a poll last began.
    `looks`: how many showed nothing of what was named."""

    pushed: dict[str, str | None] = field(default_factory=dict)
    is_wanted: bool = False
    polled_at: float | None = None
    looks: int = 0

    @property
    def is_open(self) -> bool:
        """Whether something is left to be looked at."""
        return self.is_wanted or bool(self.pushed)

    def take(self, hint: Hint) -> None:
        """One more; what it tells is looked for from the beginning."""
        self.is_wanted, self.looks = True, 0
        if hint.tag is None or hint.is_deletion:
            return
        if len(self.pushed) < MOST_TAGS or hint.tag in self.pushed:
            self.pushed[hint.tag] = hint.digest

    def earliest(self, now: float) -> float:
        """From when on a hint may lead to a poll."""
        if self.polled_at is None or self.polled_at > now:  # a clock was set back
            return now
        return max(now, self.polled_at + LEAST_GAP)

    def begin(self, now: float) -> frozenset[str]:
        """A poll begins; the tags that it is to look at."""
        self.is_wanted, self.polled_at = False, now
        return frozenset(self.pushed)

    def next_look(self, now: float) -> float | None:
        """When to look once more: for what was told meanwhile, or for what the poll did not show.
        None: no more."""
        if self.is_wanted:
            return self.earliest(now)
        if not self.pushed or self.looks >= len(PAUSES):
            self.pushed.clear()
            return None
        self.is_wanted = True
        self.looks += 1
        return now + PAUSES[self.looks - 1]

    def forget(self, seen: Mapping[str, str | None]) -> None:
        """Tags that are known now, with their digests as far as these are followed: a tag with
        another digest than it should have is still awaited. What was told meanwhile has to be
        looked at first."""
        if self.is_wanted:
            return
        for tag, digest in seen.items():
            wanted = self.pushed.get(tag)
            if wanted is None or digest is None or digest == wanted:
                self.pushed.pop(tag, None)

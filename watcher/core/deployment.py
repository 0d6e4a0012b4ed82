"""What a run deployed, and what a rollback rejected: values for the stages and the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Any

_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The objects that one stage of one run applied, ready to be applied again.

    `objects` hold no values of Secrets: these stay in the cluster. `event_time` is that of the
    event that the run came from: what an older event wants must not replace it.
    """

    objects: tuple[Mapping[str, Json], ...]
    cluster: str
    namespace: str
    execution: str
    event_time: datetime
    tag: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """An image that a rollback took out of a pipeline, until a person clears it (SPEC 6.4).

    It is known by its digest, whatever its tags; where no digest is known, by repository and tag.
    `number` is what a person names it by, 0 before it is stored.
    """

    pipeline: str
    account: str | None
    repository: str | None
    tag: str | None
    digest: str | None
    execution: str
    reason: str
    time: datetime
    number: int = 0

    @property
    def image(self) -> str:
        """What makes it one rejection, whoever rejects it again."""
        return self.digest or f"{self.account}/{self.repository}:{self.tag}"

    @property
    def why(self) -> str:
        """Why the image does not go, in words for a person, and what lets it go again."""
        first, *more = self.reason.strip().splitlines() or [""]
        cut = bool(more) or len(first) > _LONGEST_REASON
        reason = first[:_LONGEST_REASON].rstrip() + ("…" if cut else "")
        what = "it" if self.digest is None else "its digest"
        return (
            f"{what} was rejected by the rollback of execution {self.execution}: {reason}; "
            f"`watcher events clear {self.number}` lets it go again"
        )


def rejection_of(
    rejections: Iterable[Rejection],
    *,
    pipeline: str,
    account: str | None,
    repository: str | None,
    tag: str | None,
    digest: str | None,
) -> Rejection | None:
    """The rejection that keeps an image out of a pipeline, if there is one. By tag it counts only
    where one of the two has no digest: a tag that moved since is another image."""
    for rejection in rejections:
        if rejection.pipeline != pipeline:
            continue
        if rejection.digest is not None and digest is not None:
            if rejection.digest == digest:
                return rejection
        elif (rejection.account, rejection.repository, rejection.tag) == (account, repository, tag):
            return rejection
    return None

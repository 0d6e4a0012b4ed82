"""Refusals of many objects as one error: a line each with object, field, reason and hint.

Used by whatever asks a cluster about a whole bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from watcher.errors import ClusterError, ClusterFault, StageError, WatcherError
from watcher.kube.applying.plan import Newer

NOTHING_APPLIED = "nothing was applied"

WHOLE_CLUSTER = frozenset(
    {
        ClusterFault.UNAUTHORIZED,
        ClusterFault.ANONYMOUS,
        ClusterFault.THROTTLED,
        ClusterFault.UNAVAILABLE,
        ClusterFault.NOT_KUBERNETES,
        ClusterFault.CONFIGURATION,
    }
)
"""What is no fault of one object: asking about the others would say the same again."""

_MOST_LINES = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one object is refused; `about` says which, and where it stands."""

    about: str
    error: WatcherError

    @property
    def ends_all(self) -> bool:
        """Whether there is no point in asking about the other objects."""
        if isinstance(self.error, ClusterError):
            return self.error.fault in WHOLE_CLUSTER
        return isinstance(self.error, Newer)

    def __str__(self) -> str:
        hint = f" ({self.error.hint})" if self.error.hint else ""
        return f"{self.about}: {self.error.message}{hint}"


def raise_problems(problems: Sequence[Problem], *, count: int) -> None:
    """Raises what keeps a bundle of `count` objects from being applied, if anything does."""
    if not problems:
        return
    last = next((problem for problem in problems if problem.ends_all), None)
    if last is None:
        raise StageError(
            _listed(problems, count),
            hint=problems[0].error.hint if len(problems) == 1 else None,
            temporary=all(problem.error.temporary for problem in problems),
            retry_after=longest_wait(problems),
        )
    if isinstance(last.error, ClusterError):
        raise restated(last.error, message=f"{last.error.message}; {NOTHING_APPLIED}")
    raise last.error


def _listed(problems: Sequence[Problem], count: int) -> str:
    if len(problems) == 1:
        return f"{NOTHING_APPLIED}: {problems[0].about}: {problems[0].error.message}"
    shown = [str(problem) for problem in problems[:_MOST_LINES]]
    more = [f"and {len(problems) - _MOST_LINES} more"] if len(problems) > _MOST_LINES else []
    refused = f"{NOTHING_APPLIED}, {len(problems)} of {count} objects are refused:"
    return "\n".join([refused, *shown, *more])


def longest_wait(problems: Sequence[Problem]) -> timedelta | None:
    """How long the server asked to wait, at most."""
    waits = [wait for problem in problems if (wait := problem.error.retry_after) is not None]
    return max(waits, default=None)


def restated(
    error: ClusterError, *, message: str | None = None, hint: str | None = None
) -> ClusterError:
    """The same refusal in other words."""
    return ClusterError(
        message or error.message,
        fault=error.fault,
        about=error.about,
        status=error.status,
        conflicts=error.conflicts,
        hint=hint or error.hint,
        temporary=error.temporary,
        retry_after=error.retry_after,
    )

"""Which of a pipeline's queued runs may begin beside those under way: pure, for the store."""

from __future__ import annotations

from collections.abc import Sequence

from watcher.core.pipeline import Concurrency, ConcurrencyPolicy


def admit(
    waiting: Sequence[str], under_way: int, concurrency: Concurrency
) -> tuple[list[str], dict[str, str]]:
    """Which of a pipeline's waiting runs (ids, oldest first) may begin beside `under_way` others,
    and which never will, each with its reason (SPEC 3.3)."""
    free = max(0, concurrency.max - under_way)
    if concurrency.policy is ConcurrencyPolicy.QUEUE:
        return list(waiting[:free]), {}
    if concurrency.policy is ConcurrencyPolicy.SKIP:
        reason = f"{concurrency.max} of this pipeline were under way (concurrency: skip)"
        return list(waiting[:free]), dict.fromkeys(waiting[free:], reason)
    reason = "superseded by a newer run (concurrency: newest)"
    return list(waiting[-1:] if free else ()), dict.fromkeys(waiting[:-1], reason)

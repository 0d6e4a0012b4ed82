"""The JSON shapes of events and of images that rollbacks rejected, and which decisions are shown
as events. Pure; for the command line and the API.
"""

from __future__ import annotations

from typing import Any

from watcher.core.deployment import Rejection
from watcher.core.verdict import Verdict
from watcher.views.times import rfc3339

NOT_EVENTS = frozenset({Verdict.NO_MATCH, Verdict.UNWANTED_CHANGE})
"""Decisions about changes that are none of the trigger's business."""


def rejection_json(rejection: Rejection) -> dict[str, Any]:
    return {
        "number": rejection.number,
        "time": rfc3339(rejection.time),
        "pipeline": rejection.pipeline,
        "account": rejection.account,
        "repository": rejection.repository,
        "tag": rejection.tag,
        "digest": rejection.digest,
        "execution": rejection.execution,
        "reason": rejection.reason,
    }

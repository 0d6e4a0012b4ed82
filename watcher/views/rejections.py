"""The JSON shape of images that rollbacks rejected, for the command line and the API."""

from __future__ import annotations

from typing import Any

from watcher.core.deployment import Rejection
from watcher.core.times import rfc3339


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

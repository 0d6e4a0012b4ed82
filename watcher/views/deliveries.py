"""The JSON shape of deliveries of webhooks. Pure; for the command line and the API."""

from __future__ import annotations

from typing import Any

from watcher.core.delivery import Delivery
from watcher.core.times import rfc3339


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "time": rfc3339(delivery.time),
        "sender": delivery.sender,
        "account": delivery.account,
        "repository": delivery.repository,
        "tag": delivery.tag,
        "digest": delivery.digest,
        "outcome": delivery.outcome.value,
        "reason": delivery.reason,
    }

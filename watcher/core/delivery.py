"""A delivery of a webhook as activity shows it: who sent it, of what, and what became of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class DeliveryOutcome(StrEnum):
    """What became of a delivery, or of one repository that it names."""

    POLLED = "polled"
    PARKED = "parked"
    DISABLED = "disabled"
    UNKNOWN = "unknown"
    IGNORED = "ignored"
    REPEATED = "repeated"
    REFUSED = "refused"
    FORGED = "forged"


class Delivery(NamedTuple):
    """One row of what `watcher activity --deliveries` shows. `key` tells a repeated delivery from a
    new one, also after a restart; nothing of a secret is in it."""

    time: datetime
    sender: str
    outcome: DeliveryOutcome
    reason: str
    account: str | None = None
    repository: str | None = None
    tag: str | None = None
    digest: str | None = None
    key: str | None = None

"""The keys of what is kept, and for how long (SPEC 6.1), and the Retention that they make."""

from __future__ import annotations

from watcher.config import durations
from watcher.config.fields import Duration, Either, Field, Integer, Section, Text
from watcher.config.items import Data
from watcher.core.retention import Retention

_SHORTEST = "1h"

RETENTION = Section(
    {
        "activity": Field(
            Duration(minimum=_SHORTEST),
            default="90d",
            doc="How long activity, its events and deliveries of webhooks stay. Held events wait "
            "for their decision.",
            example="52w",
        ),
        "executions": Field(
            Either(
                Integer(minimum=1),
                Text(
                    matches="[1-9][0-9]{0,8}( per pipeline)?",
                    rule="a whole number of at least 1, as 500 or `500 per pipeline`",
                ),
            ),
            default="500 per pipeline",
            doc="How many ended runs of each pipeline stay.",
            example="2000 per pipeline",
        ),
        "logs": Field(
            Duration(minimum=_SHORTEST),
            default="30d",
            doc="How long after a run's end what its stages said stays: logs and outputs.",
            example="7d",
        ),
    }
)


def build(data: Data) -> Retention:
    """The retention of a section that was read."""
    return Retention(
        activity=durations.parse(data["activity"]),
        executions=int(str(data["executions"]).partition(" ")[0]),
        logs=durations.parse(data["logs"]),
    )

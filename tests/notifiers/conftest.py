"""Something to send, and where to."""

from __future__ import annotations

import pytest

from tests.receiving import receiver as receiver
from watcher.core.message import Message

TIME = 1_772_366_400.5


def a_message(*texts: str, count: int | None = None, kind: str = "FAILED") -> Message:
    items = tuple(
        {"subject": "0123", "account": "hub", "text": text, "detail": f"why {text}", "time": TIME}
        for text in texts or ("deploy FAILED",)
    )
    return Message(
        id=7,
        key="the-key",
        notifier="ops",
        event="execution",
        kind=kind,
        items=items,
        count=count or len(items),
        created=TIME,
    )


@pytest.fixture
def message() -> Message:
    return a_message()

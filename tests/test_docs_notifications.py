"""What docs/notifications.md says of events, headers and addresses is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watcher.core.notice import NoticeEvent, NoticeKind
from watcher.http_client.calls import KEY_HEADER, SIGNATURE_HEADER
from watcher.notifiers.by_apprise import is_understood

PAGE = (Path(__file__).parent.parent / "docs" / "notifications.md").read_text()
URLS = re.findall(r"^\| [^|]+ \| `([a-z]+://[^`]+)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("event", NoticeEvent)
def test_every_event_has_its_row(event: NoticeEvent) -> None:
    assert f"\n| `{event.value}` | " in PAGE


@pytest.mark.parametrize("word", [*NoticeKind, KEY_HEADER, SIGNATURE_HEADER])
def test_every_kind_and_header_is_named(word: str) -> None:
    assert f"`{word}`" in PAGE


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
@pytest.mark.parametrize("url", URLS)
def test_apprise_understands_each_example(url: str) -> None:
    assert is_understood(url)

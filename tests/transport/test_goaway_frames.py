"""The announcement of an orderly end is taken out of what a server sends, however it arrives."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, PingFrame

from watcher.http_client.goaway import Frames

BEFORE = DataFrame(1, b"first" * 4)
AFTER = PingFrame(0, b"12345678")
ORDERLY = GoAwayFrame(0, last_stream_id=13)
WITH_WORDS = GoAwayFrame(0, last_stream_id=2**31 - 1, additional_data=b"graceful")
IN_ANGER = GoAwayFrame(0, last_stream_id=13, error_code=11)
TALKATIVE = GoAwayFrame(0, last_stream_id=13, additional_data=b"x" * 5000)


def as_bytes(*frames: Frame) -> bytes:
    return b"".join(frame.serialize() for frame in frames)


@pytest.mark.parametrize("piece", [1, 2, 8, 9, 10, 17, 18, 10_000])
@pytest.mark.parametrize(
    ("frames", "passed", "ends"),
    [
        pytest.param([BEFORE, AFTER], [BEFORE, AFTER], 0, id="none"),
        pytest.param([BEFORE, ORDERLY, AFTER], [BEFORE, AFTER], 1, id="in the middle"),
        pytest.param([WITH_WORDS, ORDERLY], [], 2, id="twice, as Go does it"),
        pytest.param([BEFORE, IN_ANGER], [BEFORE, IN_ANGER], 0, id="with an error"),
        pytest.param([TALKATIVE, AFTER], [TALKATIVE, AFTER], 0, id="too large to be held"),
    ],
)
def test_only_orderly_ends_are_taken_out(
    frames: list[Frame], passed: list[Frame], ends: int, piece: int
) -> None:
    seen: list[None] = []
    filtered = Frames(lambda: seen.append(None))
    sent = as_bytes(*frames)
    got = [filtered.without_ends(sent[at : at + piece]) for at in range(0, len(sent), piece)]
    assert b"".join(got) == as_bytes(*passed)
    assert len(seen) == ends


def test_what_is_no_http2_at_all_is_passed_on_in_the_end() -> None:
    filtered = Frames(lambda: pytest.fail("there is no end"))
    noise = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    assert noise.startswith(filtered.without_ends(noise))

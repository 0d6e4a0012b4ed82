"""The beginning of an answer that can't be used: clean, short, and without secrets."""

from __future__ import annotations

import pytest

from watcher.registry.excerpts import SHOWN_BYTES, excerpt

SECRET = "tr0ub4dor-and-3"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param(b"", "it is empty", id="nothing"),
        pytest.param(b" \n", "it is empty", id="blanks"),
        pytest.param(
            b"<html>\x1b[31m\r\nhi", "it begins: <html> [31m  hi", id="control characters"
        ),
        pytest.param(b"\xff\xfehi", "it begins: \ufffd\ufffdhi", id="no UTF-8"),
        pytest.param(b"x" * 300, f"it begins: {'x' * SHOWN_BYTES}", id="long"),
        pytest.param(f"a {SECRET} b".encode(), "it begins: a *** b", id="a secret"),
    ],
)
def test_an_answer_is_shown_from_its_beginning(body: bytes, shown: str) -> None:
    assert excerpt(body, (SECRET,)) == shown


@pytest.mark.parametrize("place", [180, 190, 199, 205])
def test_no_part_of_a_secret_is_shown_that_comes_twice(place: int) -> None:
    """Its first place shrinks what stands before the second one."""
    body = SECRET + "x" * (place - len(SECRET)) + SECRET + "y" * 100
    shown = excerpt(body.encode(), (SECRET,))
    assert SECRET[:2] not in shown

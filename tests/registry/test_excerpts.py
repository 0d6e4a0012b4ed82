"""The beginning of an answer that can't be used: clean, short, and without secrets."""

from __future__ import annotations

import json
from html import escape
from urllib.parse import quote, quote_plus

import pytest

from watcher.registry.excerpts import SHOWN_BYTES, excerpt

SECRET = "tr0ub4dor-and-3"
QUOTED = 'Tr0üb"4d\\or & <3'


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


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(json.dumps({"you": QUOTED}).encode(), id="in JSON"),
        pytest.param(json.dumps({"you": QUOTED}, ensure_ascii=False).encode(), id="in UTF-8"),
        pytest.param(f"?password={quote(QUOTED, safe='')}".encode(), id="in a URL"),
        pytest.param(f"?password={quote_plus(QUOTED)}".encode(), id="in a form"),
        pytest.param(f"<p>{escape(QUOTED)}</p>".encode(), id="in a web page"),
    ],
)
def test_a_secret_is_found_in_the_way_that_it_was_written(body: bytes) -> None:
    shown = excerpt(body, (QUOTED,))
    assert "***" in shown
    assert "Tr0" not in shown


@pytest.mark.parametrize("place", [180, 190, 199, 205])
def test_no_part_of_a_secret_is_shown_that_comes_twice(place: int) -> None:
    """Its first place shrinks what stands before the second one."""
    body = SECRET + "x" * (place - len(SECRET)) + SECRET + "y" * 100
    shown = excerpt(body.encode(), (SECRET,))
    assert SECRET[:2] not in shown

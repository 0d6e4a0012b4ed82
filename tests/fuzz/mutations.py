"""Inputs that are almost right: real headers, bodies and files with a few things changed in them.

Random bytes rarely get past the first check; what breaks a parser is nearly always close to what
it expects. Each strategy takes seeds, and words of the grammar that it may put anywhere.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

ODD_CHARACTERS = ("\x00", "\x1b[31m", "\r\n", "\x85", "\u2028", "\u202e", "\ud800", "\ufeff", "µ")
LONG = 100_000
_PLACES = 1 << 16
_ODD_BYTES = (b"\xff", b"\x00", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3", b"\xff\xfe")
_ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    0.5,
    1e308,
    10**60,
    "",
    "x" * 300,
    "\x1b[2J\x00",
    "\ud800",
    "\u202e",
    [],
    {},
    [None],
    {"": None},
    [[[[]]]],
)


class Edit(NamedTuple):
    """Some characters at a place (in parts of 65536) are replaced by others; None: by a piece of
    the text itself, from another place."""

    place: int
    removed: int
    added: str | None
    source: int


def texts(seeds: Sequence[str], words: Sequence[str], most: int = 6) -> SearchStrategy[str]:
    """A seed after at most so many edits."""
    added = st.one_of(
        st.sampled_from([*words, *ODD_CHARACTERS]), st.text(max_size=4), st.just(""), st.none()
    )
    edit = st.builds(
        Edit, st.integers(0, _PLACES), st.integers(0, 12), added, st.integers(0, _PLACES)
    )
    return st.builds(_edited, st.sampled_from(list(seeds)), st.lists(edit, max_size=most))


def long_texts(words: Sequence[str]) -> SearchStrategy[str]:
    """A few words again and again, some 100 kB of them, after a beginning and before an end."""
    some = st.lists(st.sampled_from([*words, " ", '"', "\\", ","]), max_size=4).map("".join)
    return st.builds(_repeated, some, some.filter(bool), some)


def changed_documents(seeds: Sequence[Any], most: int = 4) -> SearchStrategy[Any]:
    """A document of lists and mappings in which some values are others."""
    simple = st.one_of(st.text(max_size=8), st.integers(), st.floats())
    values = st.one_of(st.sampled_from(_ODD_VALUES), simple)
    changes = st.lists(st.tuples(st.integers(0, _PLACES), values), max_size=most)
    return st.builds(_changed, st.sampled_from(list(seeds)), changes)


def json_bodies(seeds: Sequence[Any], most: int = 4) -> SearchStrategy[bytes]:
    """A document as JSON, with values in it replaced, then perhaps broken as text."""
    whole = changed_documents(seeds, most).map(json.dumps)
    broken = whole.flatmap(lambda text: texts([text], _JSON_WORDS, most=2))
    return st.one_of(whole.map(_encoded), broken.map(_encoded), broken.flatmap(_bytes_of))


def spoiled(body: bytes) -> SearchStrategy[bytes]:
    """The bytes with some put in that UTF-8 does not have there."""
    return st.builds(
        lambda place, odd: body[: place * len(body) >> 16] + odd + body[place * len(body) >> 16 :],
        st.integers(0, _PLACES),
        st.sampled_from(_ODD_BYTES),
    )


def _bytes_of(text: str) -> SearchStrategy[bytes]:
    return st.one_of(spoiled(_encoded(text)), st.just(text.encode("utf-16", "surrogatepass")))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


_JSON_WORDS = ("{", "}", "[", "]", ",", ":", '"', "\\", "null", "NaN", "1e999", "\\ud800", "-",
               "[" * 2000, '"tags":[],', '{"":1,"":2}', "9" * 5000)  # fmt: skip


def _edited(seed: str, edits: Sequence[Edit]) -> str:
    text = seed
    for edit in edits:
        start = edit.place * len(text) >> 16
        source = edit.source * len(text) >> 16
        piece = text[source : source + 16] if edit.added is None else edit.added
        text = text[:start] + piece + text[start + edit.removed :]
    return text


def _repeated(before: str, unit: str, after: str) -> str:
    return before + unit * (LONG // len(unit)) + after


def _changed(seed: Any, changes: Sequence[tuple[int, Any]]) -> Any:
    document = copy.deepcopy(seed)
    for place, value in changes:
        places = list(_places(document))
        if not places:
            return value
        holder, key = places[place * len(places) >> 16 if place < _PLACES else -1]
        holder[key] = copy.deepcopy(value)
    return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every value inside, as the container that holds it and its key."""
    keys: list[Any] = list(value) if isinstance(value, dict) else []
    if isinstance(value, list):
        keys = list(range(len(value)))
    for key in keys:
        yield value, key
        yield from _places(value[key])

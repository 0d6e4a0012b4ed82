"""The kinds: what each takes, what each says of the rest, and that its schema agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from watcher.config.fields import (
    Anything,
    Boolean,
    Choice,
    Duration,
    Either,
    Field,
    Integer,
    Kind,
    ListOf,
    MapOf,
    Number,
    PathValue,
    Pattern,
    Section,
    Text,
)
from watcher.config.nodes import Sequence
from watcher.config.reading import INVALID, Reading
from watcher.config.yaml_nodes import parse

SECTION = Section(
    {
        "colour": Field(Choice("red", "blue"), required=True),
        "count": Field(Integer(minimum=1), default=3),
        "note": Field(Text()),
    }
)


def read(kind: Kind, text: str, **environment: str) -> tuple[Any, list[str]]:
    reading = Reading(file="f", directory=Path("/base"), environment=environment)
    node = parse(f"- {text}")
    assert isinstance(node, Sequence)
    value = kind.read(node.items[0], "key", reading)
    return value, [str(problem).removeprefix("f:1: ") for problem in reading.problems]


GOOD = [
    (Text(), "hello", "hello"),
    (Text(), "'1.10'", "1.10"),
    (Text(), "on", "on"),
    (Text(empty=True), "''", ""),
    (Text(matches="[a-z]+"), "abc", "abc"),
    (Boolean(), "true", True),
    (Integer(minimum=0, maximum=9), "9", 9),
    (Number(minimum=0.5), "0.5", 0.5),
    (Number(), "2", 2),
    (Duration(), "1h30m", "1h30m"),
    (Duration(minimum="1s"), "1s", "1s"),
    (Choice("auto", "off"), "off", "off"),
    (ListOf(Text()), "[]", []),
    (ListOf(Integer()), "[1, 2]", [1, 2]),
    (MapOf(Integer()), "{on: 1, 1.10: 2}", {"on": 1, "1.10": 2}),
    (Pattern(), r"v\d+", r"v\d+"),
    (Pattern(), "' v.* '", "v.*"),
    (Pattern(group="value"), "a(?P<value>.)", "a(?P<value>.)"),
    (Either(Boolean(), Text()), "true", True),
    (Either(Boolean(), Text()), "'true'", "true"),
    (Either(Boolean(), Text()), "maybe", "maybe"),
    (Either(Duration(), Text()), "no duration", "no duration"),
    (Either(Duration(), SECTION), "{colour: red}", {"colour": "red", "count": 3}),
    (SECTION, "{colour: blue, count: 1, note: x}", {"colour": "blue", "count": 1, "note": "x"}),
    (Anything(), "{a: [1, 1.5, true, x, '1.10']}", {"a": [1, 1.5, True, "x", "1.10"]}),
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_what_a_kind_takes_is_plain_data_and_in_its_schema(
    kind: Kind, text: str, value: Any
) -> None:
    found, said = read(kind, text)
    assert said == []
    assert found == value
    jsonschema.Draft202012Validator(kind.schema()).validate(found)


BAD = [
    (Text(), "1.10", "must be text, is a number (quote it: '1.10')"),
    (Text(), "true", "must be text, is a boolean (quote it: 'true')"),
    (Text(secret=True), "12345", "must be text, is a number (put it in quotes)"),
    (Text(), "[a]", "must be text, is a list"),
    (Text(), "''", "is empty (give a value or leave the key out)"),
    (Text(), "~", "must be text, is empty"),
    (Text(matches="[a-z]+", rule="a word"), "A", "'A' is not a word"),
    (Text(matches="[a-z]+", rule="a word", secret=True), "A", "the value is not a word"),
    (Boolean(), "yes", "must be true or false, is text "
     "(only `true` and `false`, unquoted, are booleans)"),
    (Boolean(), "'true'", "must be true or false, is text "
     "(only `true` and `false`, unquoted, are booleans)"),
    (Integer(), "1.5", "must be a whole number, is a number"),
    (Integer(), "true", "must be a whole number, is a boolean"),
    (Integer(minimum=1), "0", "must be a whole number of at least 1, is 0"),
    (Integer(minimum=1, maximum=5), "6", "must be a whole number from 1 to 5, is 6"),
    (Number(maximum=5), "6.5", "must be a number up to 5, is 6.5"),
    (Number(), ".inf", "must be a number, is text"),
    (Duration(), "60", "a bare number is no duration, the unit is missing (write 60s, 60m or 60h)"),
    (Duration(), "1 hour", "'1 hour' is not a duration such as 30s, 5m, 6h, 1h30m, 2d or 1w"),
    (Duration(), "true", "must be a duration, is a boolean"),
    (Duration(minimum="1s"), "0s", "must be at least 1s"),
    (Choice("auto", "off"), "atuo", "'atuo' is not one of auto, off (did you mean 'auto'?)"),
    (Choice("auto", "off"), "true", "'true' is not one of auto, off"),
    (ListOf(Text()), "a", "must be a list, is text (put it in [brackets])"),
    (ListOf(Text(), minimum=1), "[]", "needs at least 1"),
    (ListOf(Text(), unique=True), "[a, a]", "[1]: 'a' is given twice"),
    (MapOf(Text()), "[a]", "must be a mapping, is a list"),
    (MapOf(Text(), keys="[A-Z]+"), "{a: b}", ".a: the key 'a' can't be used "
     "(keys look like [A-Z]+)"),
    (Pattern(), "'(?=a)'", "RE2 can't take the pattern '(?=a)': invalid perl operator: (?= "
     "(RE2 has no look-around, back-references or possessive quantifiers)"),
    (Pattern(), "'['", "RE2 can't take the pattern '[': missing ]: ["),
    (Pattern(group="value"), "a.*", "the pattern 'a.*' has no group (?P<value>...)"),
    (Either(Boolean(), PathValue()), "True", "must be true or false, is text "
     "(only `true` and `false`, unquoted, are booleans)"),
    (Either(Text(), SECTION), "1.10", "must be text or a mapping, is a number (quote it: '1.10')"),
    (Either(Boolean(), SECTION), "[a]", "must be true or false or a mapping, is a list"),
    (Either(Duration(), SECTION), "{colour: green}", ".colour: 'green' is not one of red, blue"),
    (SECTION, "{count: 1}", ".colour: the key 'colour' is missing"),
    (SECTION, "{colour: red, cuont: 1}", ".cuont: unknown key 'cuont' (did you mean 'count'?)"),
    (SECTION, "{colour: red, xyz: 1}", ".xyz: unknown key 'xyz'"),
    (SECTION, "{colour: red, 'note:secret': }", ".note: unknown key 'note' "
     "(a blank is missing after the colon)"),
    (SECTION, "red", "must be a mapping, is text"),
    (SECTION, "", "must be a mapping, is empty"),
    (Section({"count": Field(Integer())}), "", "must be a mapping, is empty "
     "(`{}` takes all defaults; without them leave the key out)"),
    (Anything(), "1.10", "1.10 is the number 1.1, not that text "
     "(write '1.10' for the text, 1.1 for the number)"),
    (Anything(), "{a: 0123}", ".a: 0123 is the number 123, not that text "
     "(write '0123' for the text, 123 for the number)"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "message"), BAD)
def test_what_a_kind_does_not_take_is_said_with_the_way_out(
    kind: Kind, text: str, message: str
) -> None:
    value, said = read(kind, text)
    separator = "" if message[0] in ".[" else ": "
    assert said == [f"key{separator}{message}"]
    assert value is INVALID or isinstance(value, list | dict)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("deploy/web.yaml", "/base/deploy/web.yaml"),
        ("../web.yaml", "/web.yaml"),
        ("/etc/web.yaml", "/etc/web.yaml"),
        ("'~'", "/home/me"),
        ("~/web.yaml", "/home/me/web.yaml"),
        ("$DIR/web.yaml", "/srv/web.yaml"),
        ("a$DIR", "/base/a/srv"),
        ("~other/x", "/base/~other/x"),
        ("a$", "/base/a$"),
        ("'$1'", "/base/$1"),
    ],
)
def test_a_path_is_absolute_with_home_and_variables_expanded(text: str, path: str) -> None:
    assert read(PathValue(), text, HOME="/home/me", DIR="/srv") == (path, [])


def test_expressions_in_a_path_are_left_for_the_run() -> None:
    text = "$DIR/${trigger.tag}/web.yaml"
    assert read(PathValue(template=True), text, DIR="/srv") == ("/srv/${trigger.tag}/web.yaml", [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${DIR}/x", "`${` is not expanded in paths; write $NAME"),
        ("$NOTHING/x", "the environment variable NOTHING is not set"),
        ('"a\\0b"', "a path can't hold a NUL character"),
        ("5", "must be text, is a number (quote it: '5')"),
    ],
)
def test_a_path_that_can_not_be_expanded_is_refused(text: str, message: str) -> None:
    assert read(PathValue(), text) == (INVALID, [f"key: {message}"])


def test_all_problems_of_a_mapping_are_reported() -> None:
    _, said = read(ListOf(SECTION), "[{count: 0, nte: x}, {colour: red, note: [a]}, 5]")
    assert said == [
        "key[0].count: must be a whole number of at least 1, is 0",
        "key[0].nte: unknown key 'nte' (did you mean 'note'?)",
        "key[0].colour: the key 'colour' is missing",
        "key[1].note: must be text, is a list",
        "key[2]: must be a mapping, is a number",
    ]

"""YAML as SPEC 3 takes it: 1.2's scalars, no key twice, nothing that explodes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.config.loading import ACCOUNT, STAGES, load_text, problems
from watcher.config.load import load
from watcher.config.nodes import Mapping, Scalar, Sequence
from watcher.config.yaml_nodes import MAXIMUM_ALIASED, YamlError, parse
from watcher.errors import ConfigError


def value_of(text: str) -> object:
    node = parse(f"key: {text}")
    assert isinstance(node, Mapping)
    value = node.entries[0].value
    assert isinstance(value, Scalar)
    return value.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        *[(word, word) for word in ("yes", "no", "on", "off", "True", "FALSE", "y", "n")],
        ("", None),
        ("~", None),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("0o17", 15),
        ("0x1F", 31),
        ("0123", 123),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        (".5", 0.5),
        *[
            (word, word)
            for word in ("1_000", "22:30", "0b11", ".inf", ".nan", "1e999", "2024-01-01")
        ],
        *[(word, word) for word in ("1.2.3", "v1", "=", "\u0663")],
        ("'true'", "true"),
        ('"1.10"', "1.10"),
        ("!!str 1.10", "1.10"),
        ("|\n  12\n", "12\n"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = value_of(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n"])
def test_an_empty_document_is_nothing(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        pytest.param("a: [1, 2\nb: 3", 2, "not valid YAML", id="open bracket"),
        pytest.param("a: 'x\n\n", 3, "not valid YAML: found unexpected end", id="open quote"),
        pytest.param("a: 1\n\tb: 2", 2, "not valid YAML", id="tab"),
        pytest.param("a: 1\n b: 2", 2, "mapping values are not allowed", id="indentation"),
        pytest.param("a: \x01", 1, "a control character", id="control character"),
        pytest.param("a: 1\nb: \x01", 2, "a control character", id="control character later"),
        pytest.param("a: 1\n---\nb: 2", 2, "a second document", id="two documents"),
        pytest.param("a: !env X", 1, "tags (!) are not used here", id="tag"),
        pytest.param("a: !!binary aGk=", 1, "tags (!) are not used here", id="binary"),
        pytest.param("a: !!python/object:os.system x", 1, "tags (!)", id="python object"),
        pytest.param("a: !x {b: 1}", 1, "tags (!) are not used here", id="tag on a mapping"),
        pytest.param("a: *b", 1, "an alias (*) without its anchor", id="unknown alias"),
        pytest.param("a: &a [1, *a]", 1, "an alias (*) inside its own anchor", id="cycle"),
        pytest.param("a: &a {b: {c: *a}}", 1, "inside its own anchor", id="deep cycle"),
        pytest.param("x: &x {a: 1}\ny: {<<: *x}", 2, "the merge key `<<`", id="merge key"),
        pytest.param("[a]: 1", 1, "a key must be text", id="list as key"),
        pytest.param("[" * 3000, 1, "nested deeper than 100 levels", id="deep"),
        pytest.param(f"a: {'9' * 5000}", 1, "so many digits", id="long number"),
    ],
)
def test_what_is_not_taken_is_said_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(YamlError) as caught:
        parse(text)
    assert caught.value.line == line
    assert message in caught.value.message


def test_aliases_share_values() -> None:
    node = parse("a: &list [1, 2]\nb: *list\n")
    assert isinstance(node, Mapping)
    assert isinstance(node.entries[0].value, Sequence)
    assert node.entries[1].value is node.entries[0].value


def bomb(levels: int) -> str:
    lines = ["l0: &l0 [" + ", ".join("x" * 10) + "]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_few_lines_of_aliases_that_grow_to_billions_are_refused_at_once() -> None:
    started = time.process_time()
    with pytest.raises(YamlError, match=f"more than {MAXIMUM_ALIASED} values"):
        parse(bomb(12))
    assert time.process_time() - started < 1


def test_every_repeated_key_is_reported_with_the_first_one(tmp_path: Path) -> None:
    text = f"""{ACCOUNT}    username: a
    username: b
    tls: {{ca_file: x, ca_file: y}}
state: a
state: b
"""
    assert problems(tmp_path, text) == [
        "6: accounts[0].username: the key 'username' is given twice (first in line 5)",
        "7: accounts[0].tls.ca_file: the key 'ca_file' is given twice (first in line 7)",
        "9: state: the key 'state' is given twice (first in line 8)",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"a: \xff", ":1: is not UTF-8 text", id="not UTF-8"),
        pytest.param(b"a: 1\nb: \xff", ":2: is not UTF-8 text", id="not UTF-8 later"),
        pytest.param(b"# " + b"x" * 4 * 1024 * 1024, ": is larger than 4 MiB", id="too large"),
        pytest.param(b"- a", ":1: must be a mapping, is a list", id="a list"),
        pytest.param(b"hello", ":1: must be a mapping, is text", id="a text"),
    ],
)
def test_a_file_that_is_no_config_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path, stages=STAGES, environment={})
    assert f"{path}{message}" in str(caught.value)


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    assert load_text(tmp_path, "\ufeff" + ACCOUNT.lstrip()).accounts[0].name == "hub"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            '"a\\u001b[31mcounts": []\n',
            "1: a\\x1b[31mcounts: unknown key 'a\\x1b[31mcounts' (did you mean 'accounts'?)",
            id="in a key",
        ),
        pytest.param(
            f'{ACCOUNT}  - {{name: "\\u001b", address: a.example}}\n'
            "triggers: [{name: t, account: gcr, repository: a/b, pipeline: p}]\n"
            "pipelines: [{name: p, stages: [{command: echo}]}]\n",
            "6: triggers[0].account: no account is named 'gcr' (there are: hub, \\x1b)",
            id="in a name that others are compared with",
        ),
    ],
)
def test_no_control_character_of_a_file_gets_into_a_problem(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert problem in problems(tmp_path, text)

"""Texts to data as kubectl reads them, held against kubectl itself where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kube.texts import CONFIG_MAP, CUSTOM, objects_of, refusal_of
from tests.stages.conftest import SOURCE, make_execution
from watcher.kube.manifests.bundle import read_documents
from watcher.render.manifests import Manifest
from watcher.render.scope import build_scope

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which is the oracle here, is not installed"
)


PROBE = {"apiVersion": "acme.example/v1", "kind": "Probe", "metadata": {"name": "web"}}


def value_of(scalar: str) -> Any:
    return objects_of(f"{CUSTOM}spec: {{a: {scalar}}}")[0]["spec"]["a"]


SCALARS: list[tuple[str, Any]] = [
    *((word, True) for word in ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "TRUE")),
    *((word, False) for word in ("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false")),
    *((word, word) for word in ("yEs", "tRue", "nULL", "inf", "nan", "=", "1d", "_1")),
    *((word, None) for word in ("null", "Null", "NULL", "~")),
    ("1e3", 1000),
    ("1.5e3", 1500),
    ("1.0", 1),
    ("1.10", 1.1),
    (".5", 0.5),
    (".5_1", 0.51),
    (".5__1", ".5__1"),
    ("1_000", 1000),
    ("0o644", 420),
    ("0644", 420),
    ("-0o7", -7),
    ("0x1F", 31),
    ("-0x1f", -31),
    ("0b101", 5),
    ("0o8", "0o8"),
    ("08", 8),
    ("-0.0", 0),
    ("1e400", "1e400"),
    ("4e99_999", "4e99_999"),
    ("12:30:45", "12:30:45"),
    ("1:30", "1:30"),
    ("2024-01-01", "2024-01-01"),
    ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
    ("9007199254740993", 9007199254740993),
    ("9223372036854775807", 9223372036854775807),
    ("9223372036854775808", 9223372036854775808.0),
    ("1234567890123456.8e3", 1234567890123456800),
    ("0xFFFFFFFFFFFFFFFF", 18446744073709551615.0),
    ("-0xffffffffffffffff", "-0xffffffffffffffff"),
    ("123456789012345678901234567890", 1.2345678901234568e29),
    ("'y'", "y"),
    ('"1e3"', "1e3"),
    ("!!str 5", "5"),
    ("! 5", "5"),
    ("!!int '5'", 5),
    ("!!float 5", 5),
    ("!!bool 'yes'", True),
    ("!!null ''", None),
    ("!!binary aGk=", "hi"),
    ("!!timestamp 2024-01-01", "2024-01-01"),
]


@pytest.mark.parametrize(("scalar", "value"), SCALARS, ids=[scalar for scalar, _ in SCALARS])
def test_a_scalar_means_what_kubectl_takes_it_for(scalar: str, value: Any) -> None:
    found = value_of(scalar)
    assert (type(found), found) == (type(value), value)


def kubectl_reads(text: str) -> Any:
    done = subprocess.run(
        ["kubectl", "annotate", "--local", "-f", "-", "-o", "json", "read=true"],
        input=text.encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout, parse_int=_number)["spec"]


def _number(digits: str) -> int | float:
    """Go's JSON writes large whole floats without a point."""
    return int(digits) if abs(int(digits)) < 2**63 else float(digits)


@needs_kubectl
@pytest.mark.parametrize(
    "spec",
    [
        pytest.param("\n".join(f"- {scalar}" for scalar, _ in SCALARS), id="scalars"),
        pytest.param("{1: a, 0x11: b, y: c, Off: d, 2024-01-01: e, 12:30: f, '0x1': g}", id="keys"),
        pytest.param("{base: &a {x: 1, y1: 2}, made: {<<: *a, x: 3}}", id="merged first"),
        pytest.param("{base: &a {x: 1, y1: 2}, made: {x: 3, <<: *a}}", id="merged last"),
        pytest.param("{made: {<<: [{x: 1}, {x: 2, z: 3}]}}", id="merged from two"),
        pytest.param("{'<<': {x: 1}}", id="a quoted merge key"),
        pytest.param("{a: &a [1, y], b: *a, &k c: 1, d: *k}", id="aliases"),
        pytest.param("\n  a: |\n    1\n  b: >-\n    no\n\n    yes\n", id="blocks"),
    ],
)
def test_kubectl_reads_the_same(spec: str) -> None:
    text = f"{CUSTOM}spec: {spec if spec[0] != '-' else chr(10) + spec}"
    assert objects_of(text)[0]["spec"] == kubectl_reads(text)


@needs_kubectl
@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.text("0123456789_.+-eExXoObBnNyYaAfFsStTrRuUlL~", min_size=1, max_size=8).filter(
            lambda text: text != "-" and not text.lower().lstrip("+-").startswith((".inf", ".nan"))
        ),
        min_size=50,
        max_size=200,
    )
)
def test_kubectl_reads_any_plain_scalar_the_same(scalars: list[str]) -> None:
    text = f"{CUSTOM}spec:\n" + "\n".join(f"- {scalar}" for scalar in scalars)
    found, expected = objects_of(text)[0]["spec"], kubectl_reads(text)
    assert list(zip(scalars, map(type, found), found, strict=True)) == list(
        zip(scalars, map(type, expected), expected, strict=True)
    )


@pytest.mark.parametrize(
    "tag", ["1.10", "1e3", "0x10", "no", "y", "null", "12:30:45", "2024-01-01"]
)
def test_a_rendered_tag_stays_the_string_it_is(tag: str) -> None:
    scope = build_scope(make_execution(tag=tag, source={**SOURCE, "tag": tag}), {})
    text = Manifest(
        "web.yaml",
        CONFIG_MAP.replace("{name: web}", "{name: web, labels: {version: '${trigger.tag}'}}")
        + "data:\n  plain: ${trigger.tag}\n  block: |-\n    ${trigger.tag}\n",
    ).render(scope)
    (item,) = objects_of(text)
    assert item["metadata"]["labels"] == {"version": tag}
    assert item["data"] == {"plain": tag, "block": tag}


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_strings_that_expressions_gave_come_back(data: dict[str, str]) -> None:
    for name, text in (
        ("a.yaml", f"{CUSTOM}spec: ${{parameters.data}}"),
        ("a.json", json.dumps({**PROBE, "spec": "${parameters.data}"})),
    ):
        scope = build_scope(make_execution(parameters={"data": data}), {})
        rendered = Manifest(name, text).render(scope)
        assert read_documents([(name, rendered)]).objects == ({**PROBE, "spec": data},)


def test_aliases_and_merges_share_nothing() -> None:
    text = f"{CUSTOM}spec:\n  a: &a {{x: {{}}}}\n  b: *a\n  c: {{<<: *a}}\n"
    spec = objects_of(text)[0]["spec"]
    spec["a"]["x"]["changed"] = True
    assert (spec["b"], spec["c"]) == ({"x": {}}, {"x": {}})


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            f"{CONFIG_MAP}data:\n  a: b\n  a: c\n",
            'line 6: the key "a" stands twice',
            id="key twice",
        ),
        pytest.param(
            f"{CONFIG_MAP}data: {{1: a, '1': b}}",
            'line 4: the key "1" stands twice',
            id="key alike",
        ),
        pytest.param(f"{CONFIG_MAP}data: [1", "line 5: not valid YAML", id="no YAML"),
        pytest.param(
            f"{CONFIG_MAP}data: *nope", "line 4: an alias (*) without its anchor", id="no anchor"
        ),
        pytest.param(
            f"---\nx: &x 1\n---\n{CONFIG_MAP}data: *x",
            "document 2: line 7: an alias",
            id="anchor of another document",
        ),
        pytest.param(
            f"{CONFIG_MAP}data: &a {{b: *a}}", "line 4: an alias (*) inside its own", id="in itself"
        ),
        pytest.param(f"{CONFIG_MAP}data: !vault x", "line 4: this tag (!)", id="a tag"),
        pytest.param(
            f"{CONFIG_MAP}data: !vault {{}}", "line 4: this tag (!)", id="a tag on a mapping"
        ),
        pytest.param(
            f"{CONFIG_MAP}data: {{a: !!int x}}", "does not fit its tag !!int", id="no integer"
        ),
        pytest.param(
            f"{CONFIG_MAP}data: {{a: !!int yes}}",
            "does not fit its tag !!int",
            id="a boolean is none",
        ),
        pytest.param(
            f"{CONFIG_MAP}data: {{a: !!binary '%'}}", "!!binary must be base64", id="no binary"
        ),
        pytest.param(f"{CONFIG_MAP}data: {{a: .inf}}", "line 4: infinity", id="infinity"),
        pytest.param(f"{CONFIG_MAP}data: {{null: a}}", "a key must be text", id="null as a key"),
        pytest.param(
            f"{CONFIG_MAP}data: {{1.5: a}}", "a key must be text", id="a fraction as a key"
        ),
        pytest.param(
            f"{CONFIG_MAP}data: {{? [a] : b}}", "a key must be text", id="a list as a key"
        ),
        pytest.param(
            f"{CONFIG_MAP}data: {{<<: 5}}", "line 4: the merge key", id="merging a number"
        ),
        pytest.param(f"{CONFIG_MAP}a: \x01", "control character", id="control character"),
        pytest.param(f"{CONFIG_MAP}data: {'[' * 120}{']' * 120}", "deeper than 100", id="too deep"),
        pytest.param("[" * 50_000, "deeper than 100", id="far too deep"),
        pytest.param(
            f"a: &a {'[' * 60}{']' * 60}\nb: {'[' * 60}*a{']' * 60}",
            "deeper than 100",
            id="too deep by an alias",
        ),
        pytest.param(BOMB, "aliases stand for more than 100000 values", id="a bomb"),
        pytest.param(
            f"a: &a 1\nb: [{'*a,' * 1001}]", "more than 1000 aliases", id="too many aliases"
        ),
    ],
)
def test_what_is_no_sound_yaml_is_refused_with_its_line(text: str, complaint: str) -> None:
    assert complaint in refusal_of(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param('{"a": 1, "a": 2}', 'the key "a" stands twice', id="key twice"),
        pytest.param('{"a": NaN}', "a number that JSON does not know", id="NaN"),
        pytest.param('{"a": 1e999}', "a number that JSON does not know, or that is too", id="huge"),
        pytest.param('{"a": "\\ud83d"}', "half of a surrogate pair", id="half a character"),
        pytest.param("[" * 5000 + "]" * 5000, "nested deeper than 100", id="far too deep"),
        pytest.param("[" * 101 + "]" * 101, "nested deeper than 100", id="too deep"),
        pytest.param("{'a': 1}", "line 1: not valid JSON", id="no JSON"),
        pytest.param("[]", "this is no object", id="a list"),
    ],
)
@pytest.mark.parametrize("name", ["web.json", "deploy/web.json.j2"])
def test_json_is_read_by_its_own_rules(name: str, text: str, complaint: str) -> None:
    assert complaint in refusal_of(text, name=name)


def test_json_numbers_are_those_of_kubectl() -> None:
    text = '{"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "a"}, "spec": [1.0, 1e3, 0.5]}'
    assert read_documents([("a.json", f"\ufeff{text}")]).objects[0]["spec"] == [1, 1000, 0.5]

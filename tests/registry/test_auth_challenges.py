"""WWW-Authenticate as RFC 9110 allows it and as it is met; among it what Spinnaker stumbled over
(field/spinnaker.md section 3.2)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.registry.login.challenges import MAXIMUM_LENGTH, MAXIMUM_LINES, parse_challenges

URL = "https://auth.example/token"


def parse(*lines: str) -> list[tuple[str, dict[str, str]]]:
    return [(found.scheme, dict(found.parameters)) for found in parse_challenges(lines)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            f'Bearer realm="{URL}", service="registry"',
            [("bearer", {"realm": URL, "service": "registry"})],
            id="a blank after the comma",
        ),
        pytest.param(
            f'Bearer realm="{URL}?a=b&c=d",service="x"',
            [("bearer", {"realm": f"{URL}?a=b&c=d", "service": "x"})],
            id="a realm with a query",
        ),
        pytest.param("Basic", [("basic", {})], id="shorter than a prefix of Bearer"),
        pytest.param(
            f'Bearer realm="{URL}",service="r",scope="a:b:pull,push",Basic realm="x, y"',
            [
                ("bearer", {"realm": URL, "service": "r", "scope": "a:b:pull,push"}),
                ("basic", {"realm": "x, y"}),
            ],
            id="two challenges in one line, commas inside quotes",
        ),
        pytest.param(
            'Basic realm="My \\"q\\" Realm"',
            [("basic", {"realm": 'My "q" Realm'})],
            id="quoted pairs",
        ),
        pytest.param(
            'BEARER Realm = "r" ,\tSERVICE= s',
            [("bearer", {"realm": "r", "service": "s"})],
            id="odd case, blanks and tabs",
        ),
        pytest.param(
            "Bearer realm=https://a.example/t,service=s",
            [("bearer", {"realm": "https://a.example/t", "service": "s"})],
            id="unquoted",
        ),
        pytest.param(
            'Bearer realm="a",realm="b"', [("bearer", {"realm": "a"})], id="the first of equal keys"
        ),
        pytest.param('Bearer realm="a",', [("bearer", {"realm": "a"})], id="a trailing comma"),
        pytest.param('Bearer realm="",x=', [("bearer", {"realm": "", "x": ""})], id="empty values"),
        pytest.param('Bearer realm="a', [("bearer", {"realm": "a"})], id="a quote never closed"),
        pytest.param(
            "Negotiate YII=, Basic realm=x",
            [("negotiate", {"yii": ""}), ("basic", {"realm": "x"})],
            id="a token68 before Basic",
        ),
        pytest.param(
            ', ,Basic realm="x"', [("basic", {"realm": "x"})], id="empty elements of the list"
        ),
        pytest.param("", [], id="nothing"),
        pytest.param('"quoted" = "only"', [("quoted", {}), ("only", {})], id="nonsense"),
    ],
)
def test_a_line_is_read(line: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert parse(line) == expected


def test_several_lines_are_read_in_order() -> None:
    assert [scheme for scheme, _ in parse("Negotiate", 'Basic realm="x"')] == ["negotiate", "basic"]


def test_scopes_are_split_at_blanks() -> None:
    (challenge,) = parse_challenges(['Bearer realm="r",scope="repository:a:pull  registry:x:*"'])
    assert challenge.scopes == ("repository:a:pull", "registry:x:*")


@given(st.lists(st.text(alphabet=st.characters(max_codepoint=0x17F)), max_size=4))
def test_no_header_makes_it_fail(lines: list[str]) -> None:
    parse_challenges(lines)


@pytest.mark.parametrize("line", ['Basic x="' + "\\" * 99_999, 'a="' * 30_000, "a " * 60_000])
def test_a_hostile_header_costs_no_time(line: str) -> None:
    started = time.process_time()
    parse_challenges([line])
    assert time.process_time() - started < 1


def test_a_hundred_lines_of_challenges_do_not_hold_up_everybody() -> None:
    """As many headers as an answer may have took more than a second to read."""
    lines = ["a " * (MAXIMUM_LENGTH // 2)] * 100
    assert len(parse_challenges(lines)) <= MAXIMUM_LINES * MAXIMUM_LENGTH // 2

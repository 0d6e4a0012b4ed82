"""What people and scripts are shown, apart from any command."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta

import pytest

from watcher.cli import output
from watcher.core.times import rfc3339


class Terminal(io.StringIO):
    """A stream that says that a person looks."""

    def isatty(self) -> bool:
        return True


NOW = datetime(2025, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("1.2.3-alpine", "1.2.3-alpine", id="a tag"),
        pytest.param("a\x1b[31mb", "a [31mb", id="escape sequence"),
        pytest.param("a\nerror: b", "a error: b", id="forged line"),
        pytest.param("a\u202eb", "a b", id="right to left override"),
        pytest.param("a\x9bb", "a b", id="C1 control"),
        pytest.param("grün", "grün", id="letters of people"),
    ],
)
def test_what_strangers_wrote_is_cleaned(text: str, shown: str) -> None:
    assert output.clean(text) == shown


def test_a_table_in_a_pipe_is_plain_and_never_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    output.table(("name", "value"), [("a", long), ("[red]b", None)], empty="none")
    assert capsys.readouterr().out.splitlines() == [
        "NAME    VALUE",
        f"a       {long}",
        "[red]b  -",
    ]


def test_a_table_on_a_terminal_takes_markup_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    with redirect_stdout(terminal):
        output.table(("name",), [("[red]b",), ("\x1b[2Jc",)], empty="none")
    shown = terminal.getvalue()
    assert "[red]b" in shown
    assert "\x1b[2J" not in shown


def test_a_table_on_a_terminal_breaks_up_no_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    with redirect_stdout(terminal):
        output.table(("id", "error"), [("14884d088c3726c1", "no " * 100)], empty="none")
    assert "14884d088c3726c1" in terminal.getvalue()


def test_an_error_of_several_lines_keeps_them_and_can_t_forge_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "2 of 3 are refused:\na: \x1b[2Jno\nerror: b"
    output.complain(text, "look at them")
    output.say_lines(text, indent="    ")
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "2 of 3 are refused:",
        "  a:  [2Jno",
        "  error: b",
        "hint: look at them",
    ]
    assert said.out.splitlines()[1:] == ["    a:  [2Jno", "    error: b"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("one", "one", id="one line"),
        pytest.param("one\ntwo", "one … and 1 line more", id="two"),
        pytest.param("one\ntwo\nthree\n", "one … and 2 lines more", id="three"),
    ],
)
def test_where_there_is_room_for_one_line_the_others_are_counted(text: str, shown: str) -> None:
    assert output.first_line(text) == shown


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("name",), [], empty="nothing here")
    assert capsys.readouterr().out == "nothing here\n"


def test_json_is_ascii_so_that_no_byte_drives_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_json({"tag": "\x9b\u202e\x1b", "time": NOW})
    said = capsys.readouterr().out
    assert said.isascii()
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("away", "shown"),
    [
        pytest.param(timedelta(0), "now", id="now"),
        pytest.param(timedelta(seconds=-95), "1m35s ago", id="a moment ago"),
        pytest.param(timedelta(hours=-30), "1d6h ago", id="yesterday"),
        pytest.param(timedelta(hours=-24), "1d ago", id="a whole day"),
        pytest.param(timedelta(seconds=45), "in 45s", id="soon"),
    ],
)
def test_people_see_how_far_away_a_time_is(away: timedelta, shown: str) -> None:
    assert output.moment(NOW + away, NOW).endswith(f"({shown})")


def test_a_time_of_another_day_has_its_date() -> None:
    assert output.moment(NOW - timedelta(days=3), NOW).startswith("2025-04-28")


@pytest.mark.parametrize(
    "when",
    [
        pytest.param(NOW, id="datetime"),
        pytest.param(NOW.timestamp(), id="epoch"),
        pytest.param(NOW.astimezone(), id="local"),
    ],
)
def test_scripts_see_rfc3339_in_utc(when: datetime | float) -> None:
    assert rfc3339(when) == "2025-05-01T12:00:00.000Z"


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [(1, "tag", "1 tag"), (2, "tag", "2 tags"), (0, "repository", "0 repositories")],
    ids=["one", "two", "none"],
)
def test_counts_read_well(number: int, noun: str, said: str) -> None:
    assert output.count(number, noun) == said

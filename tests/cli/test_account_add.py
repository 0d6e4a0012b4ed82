"""account add: the account is in the file, everything else stays, and no secret is shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Bench
from watcher.cli.account import replace_file
from watcher.errors import UsageError

BEFORE = """\
# our registries
accounts:
  - name: first   # the first one
    address: ghcr.io
    repositories: [a/b]   # keep

# what happens
triggers: []
"""


@pytest.fixture
def config(bench: Bench) -> Path:
    return bench.write("config.yaml", BEFORE)


def added(path: Path) -> list[dict[str, object]]:
    accounts: list[dict[str, object]] = yaml.safe_load(path.read_text())["accounts"]
    return accounts[1:]


def test_every_other_line_stays_as_it_was(bench: Bench, config: Path) -> None:
    bench.run("account", "add", "quay", "--address", "quay.io", "--repository", "c/d")
    lines = config.read_text().splitlines()
    new = [line for line in lines if line not in BEFORE.splitlines()]
    assert [line for line in lines if line not in new or line == ""] == BEFORE.splitlines()
    assert lines.index("  - name: quay") < lines.index("# what happens")


@pytest.mark.parametrize(
    ("options", "account"),
    [
        pytest.param(("--repository", "c/d"), {"repositories": ["c/d"]}, id="anonymous"),
        pytest.param(("--catalog",), {"catalog": True}, id="catalog"),
        pytest.param(
            ("--include", "acme/.*", "--skip", "acme/x"),
            {"catalog": {"include": "acme/.*", "skip": ["acme/x"]}},
            id="part of the catalog",
        ),
        pytest.param(
            ("--username", "u", "--password-env", "TOKEN"),
            {"username": "u", "password_env": "TOKEN"},
            id="variable",
        ),
        pytest.param(
            ("--username", "AWS", "--password-command", "aws ecr x", "--password-ttl", "6h"),
            {"username": "AWS", "password_command": "aws ecr x", "password_ttl": "6h"},
            id="command",
        ),
        pytest.param(("--docker-config", "true"), {"docker_config": True}, id="docker login"),
        pytest.param(
            ("--plain-http", "--poll", "5m"), {"plain_http": True, "poll": "5m"}, id="http"
        ),
    ],
)
def test_options_become_keys(
    bench: Bench, config: Path, options: tuple[str, ...], account: dict[str, object]
) -> None:
    bench.run("account", "add", "new", "--address", "quay.io", *options)
    assert added(config) == [{"name": "new", "address": "quay.io", **account}]


@pytest.mark.parametrize(
    ("typed", "password"),
    [
        pytest.param("hunter2\n", "hunter2", id="a line"),
        pytest.param('{\n  "key": "a: #b"\n}\n', '{\n  "key": "a: #b"\n}', id="several lines"),
        pytest.param("1e3", "1e3", id="what looks like a number"),
    ],
)
def test_the_password_is_read_and_never_shown(
    bench: Bench, config: Path, typed: str, password: str
) -> None:
    result = bench.run(
        "account", "add", "q", "--address", "quay.io", "--username", "u", typed=typed
    )
    assert added(config)[0]["password"] == password
    assert password not in result.output


def test_a_file_with_a_password_is_closed_to_others(bench: Bench, config: Path) -> None:
    config.chmod(0o644)
    bench.run("account", "add", "q", "--address", "quay.io", "--username", "u", typed="x\n")
    assert stat.S_IMODE(config.stat().st_mode) == 0o640


def test_a_file_that_can_not_be_replaced_leaves_no_password_behind(tmp_path: Path) -> None:
    (tmp_path / "config.yaml" / "in the way").mkdir(parents=True)
    with pytest.raises(UsageError, match="can't be written"):
        replace_file(tmp_path / "config.yaml", "password: hunter2", secret=True)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_a_file_without_a_new_password_keeps_its_mode(bench: Bench, config: Path) -> None:
    config.chmod(0o664)
    bench.run("account", "add", "q", "--address", "quay.io", "--repository", "a/b")
    assert stat.S_IMODE(config.stat().st_mode) == 0o664


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("first", "--address", "quay.io"), "already", id="name taken"),
        pytest.param(("Bad_Name", "--address", "quay.io"), "name", id="bad name"),
        pytest.param(("x", "--address", "http://quay.io"), "plain_http", id="bad address"),
        pytest.param(("x", "--address", "quay.io", "--poll", "5"), "poll", id="bad duration"),
        pytest.param(
            ("x", "--address", "q.io", "--include", "("), "RE2 can't take", id="bad pattern"
        ),
        pytest.param(
            ("x", "--address", "quay.io", "--username", "u"), "no password", id="nothing typed"
        ),
    ],
)
def test_what_is_wrong_changes_nothing(
    bench: Bench, config: Path, words: tuple[str, ...], said: str
) -> None:
    assert said in bench.run("account", "add", *words, code=2).stderr
    assert config.read_text() == BEFORE
    assert [path.name for path in bench.directory.iterdir()] == ["config.yaml"]


def test_there_is_no_flag_for_a_password(bench: Bench, config: Path) -> None:
    bench.run("account", "add", "q", "--address", "quay.io", "--password", "x", code=2)


def test_a_config_directory_gets_a_file_of_accounts(bench: Bench) -> None:
    directory = bench.directory / "conf"
    directory.mkdir()
    (directory / "a.yaml").write_text(BEFORE)
    words = ("account", "add", "q", "--address", "quay.io", "--repository", "x/y", "-c", "conf")
    assert bench.json(*words)["account"] == "q"
    assert yaml.safe_load((directory / "accounts.yaml").read_text())["accounts"][0]["name"] == "q"


def test_without_a_config_init_is_named(bench: Bench) -> None:
    assert "watcher init" in bench.run("account", "add", "q", "--address", "q.io", code=2).stderr

"""ECR with its real command line: `password_command` runs `aws`, which asks a server that plays
AWS; the registry takes the password of the moment, as ECR does for twelve hours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.logins.aws import Aws, aws_on_loopback
from tests.system.watching import Watcher, account, trigger, wait_until
from watcher.testing.access import BasicAuth
from watcher.testing.faults import Exchange, Fault, Match
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

NAME = "acme/web"


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Aws]:
    with aws_on_loopback(tmp_path / "aws") as running:
        yield running


@pytest.fixture
def ecr(aws: Aws) -> Iterator[FakeRegistry]:
    """A registry that takes the password that AWS gives."""
    users = {"AWS": aws.password()}
    with FakeRegistry.in_thread(profile=PROFILES["ecr"], users=users) as running:
        running.push(NAME, "1.0")
        yield running


def config(ecr: FakeRegistry, command: str | list[str], **settings: Any) -> dict[str, Any]:
    login = {"username": "AWS", "password_command": command, "dialect": "ecr"}
    return {
        "accounts": [account(ecr.address, NAME, **login, **settings)],
        "triggers": [trigger("all", "deploy", NAME)],
        "pipelines": [{"name": "deploy", "stages": [{"command": ["true"], "name": "go"}]}],
    }


def fired(watcher: Watcher) -> list[tuple[str, str]]:
    return [(run["tag"], run["status"]) for run in watcher.json("executions")]


def expire(aws: Aws, ecr: FakeRegistry) -> str:
    """AWS gives another password, and the registry takes no other; gives it."""
    aws.rotate()
    password = aws.password()
    ecr.rotate_password("AWS", password)
    return password


def test_the_whole_line_from_the_config_to_a_run(
    tmp_path: Path, aws: Aws, ecr: FakeRegistry
) -> None:
    watcher = Watcher(tmp_path, config(ecr, aws.counted_command))
    checked = watcher.run("validate", "--online", env=aws.environment)
    assert checked.returncode == 0, checked
    assert watcher.run("run", "--once", env=aws.environment).returncode == 0
    assert fired(watcher) == []
    ecr.push(NAME, "1.1")
    done = watcher.run("run", "--once", env=aws.environment)
    assert done.returncode == 0, done
    assert fired(watcher) == [("1.1", "SUCCEEDED")]
    assert aws.runs == 3, "once for each of the commands"
    assert ecr.counters.statuses.keys() == {200}, "the password went with each first request"
    assert aws.password() not in f"{checked} {done}"


def test_the_command_may_be_a_list(tmp_path: Path, aws: Aws, ecr: FakeRegistry) -> None:
    watcher = Watcher(tmp_path, config(ecr, aws.command.split()))
    done = watcher.run("validate", "--online", env=aws.environment)
    assert done.returncode == 0, done


@pytest.mark.parametrize("status", [400, 403])
def test_an_expired_password_is_asked_for_once_and_nothing_fires_twice(
    tmp_path: Path, aws: Aws, ecr: FakeRegistry, status: int
) -> None:
    first = aws.password()
    ecr.auth = BasicAuth(users={"AWS": first}, expired_status=status)
    watcher = Watcher(tmp_path, config(ecr, aws.counted_command))
    with watcher.running(env=aws.environment) as daemon:
        daemon.wait_for("baseline_recorded")
        ecr.push(NAME, "1.1")
        daemon.wait_for("execution_finished")
        assert aws.runs == 1
        second = expire(aws, ecr)
        ecr.push(NAME, "1.2")
        daemon.wait_for("execution_finished", times=2)
        asked = ecr.count(Kind.TAGS)
        wait_until(lambda: ecr.count(Kind.TAGS) > asked + 1, "two polls more")
    assert sorted(fired(watcher)) == [("1.1", "SUCCEEDED"), ("1.2", "SUCCEEDED")]
    assert aws.runs == 2
    assert ecr.counters.statuses[status] == 1
    assert daemon.events("poll_failed") == []
    log = daemon.log.read_text()
    assert first not in log
    assert second not in log


def test_a_password_that_expires_between_two_pages_costs_no_page(
    tmp_path: Path, aws: Aws, ecr: FakeRegistry
) -> None:
    class Expire:
        async def play(self, exchange: Exchange) -> None:
            expire(aws, ecr)
            exchange.respond(exchange.answer())

    for number in range(1, 6):
        ecr.push(NAME, f"1.{number}")
    second_page = Match(kind=Kind.TAGS, query="last=")
    ecr.fault(Fault(action=Expire(), match=second_page, times=1))
    watcher = Watcher(tmp_path, config(ecr, aws.counted_command, limits={"page_size": 2}))
    done = watcher.run("run", "--once", env=aws.environment)
    assert done.returncode == 0, done
    (row,) = watcher.json("status")
    assert row["tags"] == 6
    assert aws.runs == 2


def no_keys(aws: Aws) -> None:
    (aws.directory / "credentials").unlink()


def no_server(aws: Aws) -> None:
    aws.stop()


def no_region(aws: Aws) -> None:
    (aws.directory / "config").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(no_keys, "Unable to locate credentials", id="no credentials"),
        pytest.param(no_server, "Could not connect to the endpoint URL", id="no server"),
        pytest.param(no_region, "You must specify a region", id="no region"),
    ],
)
def test_aws_that_fails_is_shown_with_its_exit_code_and_its_words(
    tmp_path: Path, aws: Aws, ecr: FakeRegistry, spoil: Any, said: str
) -> None:
    spoil(aws)
    watcher = Watcher(tmp_path, config(ecr, f"echo on-stdout; {aws.command}"))
    for words in (("validate", "--online"), ("run", "--once")):
        done = watcher.run(*words, env=aws.environment)
        shown = " ".join(f"{done.stdout} {done.stderr}".split())
        assert done.returncode != 0
        assert f"exit code 255: {said}" in shown
        assert "on-stdout" not in shown.replace("echo on-stdout", "")
    assert ecr.requests == [], "without a password nothing is asked"


def test_a_password_that_came_before_the_failure_is_not_shown(
    tmp_path: Path, aws: Aws, ecr: FakeRegistry
) -> None:
    watcher = Watcher(tmp_path, config(ecr, f"{aws.command}; exit 255"))
    done = watcher.run("validate", "--online", env=aws.environment)
    assert "exit code 255" in f"{done.stdout} {done.stderr}"
    assert aws.password() not in f"{done}"

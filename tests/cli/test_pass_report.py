"""What a pass says of what it could not poll: each repository once, each hint once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing

import pytest

from tests.cli.conftest import REPOSITORY, Bench
from watcher.core.account import DialectName
from watcher.store.sqlite import Store
from watcher.testing.access import BasicAuth, BearerAuth
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

PATIENCE = Fault(match=Match(kind=Kind.TAGS), action=Respond(429, (("Retry-After", "600"),)))
PIPELINE = "pipelines: [{name: tell, stages: [{command: echo}]}]\n"


def names(count: int) -> list[str]:
    return [f"acme/r{number:02}" for number in range(count)]


def watch(bench: Bench, repositories: Iterable[str], *addresses: str, keys: str = "") -> None:
    """Accounts `a0`, `a1` ... with the same repositories."""
    watched = ", ".join(repositories)
    accounts = "\n".join(
        f"  - {{name: a{number}, address: '{address}', plain_http: true, "
        f"repositories: [{watched}]{keys}}}"
        for number, address in enumerate(addresses)
    )
    bench.write("config.yaml", f"accounts:\n{accounts}\n{PIPELINE}")


def told(text: str, word: str) -> int:
    """How many lines have this word."""
    return sum(word in line for line in text.splitlines())


# What is parked


def test_a_repository_that_is_refused_for_now_is_told_once_with_the_answer(
    polled: Bench, registry: FakeRegistry
) -> None:
    registry.fault(PATIENCE)
    result = polled.run("run", "--once", code=1)
    assert told(result.stdout + result.stderr, REPOSITORY) == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"skipped fake/{REPOSITORY}: parked until ")
    assert line.endswith(f": {registry.address} asks for patience (429) for 600 s")
    assert result.stdout == "0 repositories checked, nothing new, 1 parked\n"


def test_a_pass_that_finds_it_parked_tells_it_once_without_an_answer(
    polled: Bench, registry: FakeRegistry
) -> None:
    registry.fault(PATIENCE)
    polled.run("run", "--once", code=1)
    result = polled.run("run", "--once")
    assert told(result.stdout + result.stderr, REPOSITORY) == 1
    assert result.stderr.startswith(f"skipped fake/{REPOSITORY}: parked until ")
    assert "patience" not in result.stderr


@pytest.mark.parametrize(
    ("count", "named", "more"),
    [
        pytest.param(2, 2, None, id="two"),
        pytest.param(10, 10, None, id="ten"),
        pytest.param(13, 10, "and 3 more", id="thirteen"),
    ],
)
def test_what_is_parked_is_named_host_by_host(
    bench: Bench, registry: FakeRegistry, count: int, named: int, more: str | None
) -> None:
    registry.seed(names(count), ["1.0"])
    watch(bench, names(count), registry.address)
    registry.fault(PATIENCE)
    bench.run("run", "--once", code=1)
    result = bench.run("run", "--once")
    title, *lines = (line.strip() for line in result.stderr.splitlines())
    assert title.startswith(f"skipped {count} repositories of {registry.address}: parked until ")
    assert lines[:named] == [f"a0/{name}" for name in names(count)[:named]]
    assert lines[named:] == ([more] if more else [])
    assert result.stdout == f"0 repositories checked, nothing new, {count} parked\n"


def test_accounts_and_hosts_that_are_parked_apart_are_told_apart(
    bench: Bench, registry: FakeRegistry
) -> None:
    host, other = registry.address, "b.example:5000"
    watch(bench, names(2), host, host, other)
    now = time.time()
    with closing(Store.open(bench.directory / "watcher.db")) as store:
        store.flush([], {f"{host}/a0": now + 7230, host: now + 630, other: now + 7230})
    stderr = bench.run("run", "--once").stderr
    titles = [line for line in stderr.splitlines() if line.startswith("skipped ")]
    assert [(title.split(": ")[0], title.rpartition("(in ")[2][:2]) for title in titles] == [
        (f"skipped 2 repositories of {host}", "10"),
        (f"skipped 2 repositories of {host}", "2h"),
        (f"skipped 2 repositories of {other}", "2h"),
    ]
    assert registry.requests == []


def test_the_log_as_json_has_an_event_for_each_that_is_parked(
    polled: Bench, registry: FakeRegistry
) -> None:
    registry.fault(PATIENCE)
    stderr = polled.run("run", "--once", "--log-format", "json", code=1).stderr
    assert told(stderr, '"event": "poll_parked"') == 1


def test_poll_lists_what_is_parked_in_its_table_alone(
    polled: Bench, registry: FakeRegistry
) -> None:
    registry.fault(PATIENCE)
    result = polled.run("poll", code=1)
    assert told(result.stdout, "parked") == 1
    assert result.stderr == ""


# What failed


def test_a_refusal_gets_the_same_hint_as_from_validate(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    registry.auth = BearerAuth(users={"u": "p"}, denied=frozenset({REPOSITORY}))
    bench.configure(registry.address, account="username: u\npassword: p\ndialect: quay")
    (finding,) = bench.json("validate", "--online", code=1)["findings"]
    assert "needs the permission read" in finding["hint"]
    for option in ("--once", "--dry-run"):
        assert f"\n  hint: {finding['hint']}\n" in bench.run("run", option, code=1).stdout
    (poll,) = bench.json("run", "--once", code=1)["polls"]
    assert poll["hint"] == finding["hint"]


def test_the_hint_of_a_pass_fits_what_was_recognised(bench: Bench) -> None:
    from watcher.testing.profiles import PROFILES

    harbor = PROFILES["harbor"]
    with FakeRegistry.in_thread(profile=harbor, users={"u": "p"}, public=[REPOSITORY]) as registry:
        registry.push(REPOSITORY, "1.0")
        registry.fault(Fault(action=Respond(403), match=Match(kind=Kind.TAGS)))
        bench.configure(registry.address, account="username: u\npassword: p")
        stdout = bench.run("run", "--once", code=1).stdout
        assert bench.json("status", "--hosts")[0]["dialect"] == DialectName.HARBOR
    assert "the `$` of a robot's name" in stdout


def test_the_same_hint_is_given_once(bench: Bench, registry: FakeRegistry) -> None:
    registry.seed(names(3), ["1.0"])
    registry.auth = BasicAuth(users={"u": "p"})
    watch(bench, names(3), registry.address)
    stdout = bench.run("run", "--once", code=1).stdout
    assert told(stdout, ": failed: ") == 3
    assert told(stdout, "  hint: ") == 1
    assert "  hint: " in stdout.splitlines()[1]


def test_different_errors_get_their_own_hints(bench: Bench, registry: FakeRegistry) -> None:
    registry.seed(names(1), ["1.0"])
    watch(bench, [*names(1), "acme/none"], registry.address, "127.0.0.1:1")
    document = bench.directory / "config.yaml"
    text = document.read_text().replace("127.0.0.1:1', plain_http: true", f"{registry.address}'")
    document.write_text(text)
    stdout = bench.run("run", "--once", code=1).stdout
    assert told(stdout, ": failed: ") == 3
    assert told(stdout, "Is its name complete (library/nginx)?") == 1
    assert told(stdout, "is it a plain http registry?") == 1
    assert told(stdout, "  hint: ") == 2


def test_a_catalog_that_fails_is_told_with_what_to_do(bench: Bench, registry: FakeRegistry) -> None:
    registry.fault(Fault(match=Match(kind=Kind.CATALOG), action=Respond(404)))
    path = bench.configure(registry.address)
    path.write_text(path.read_text().replace("repositories: [acme/web]", "catalog: true"))
    lines = bench.run("run", "--once", code=1).stdout.splitlines()
    assert lines[0].startswith("fake: ")
    assert "  hint: does this registry have a catalog? if not, list `repositories`" in lines
    (account,) = bench.json("run", "--once", code=1)["accounts"]
    assert "list `repositories`" in account["hint"]


def test_a_catalog_in_doubt_names_its_account_once(bench: Bench, registry: FakeRegistry) -> None:
    registry.seed(names(2), ["1.0"])
    path = bench.configure(registry.address)
    path.write_text(path.read_text().replace("repositories: [acme/web]", "catalog: true"))
    bench.run("run", "--once")
    bench.run("run", "--once")
    registry.fault(
        Fault(
            match=Match(kind=Kind.CATALOG),
            action=Respond(200, (("Content-Type", "application/json"),), b'{"repositories":[]}'),
        )
    )
    stdout = bench.run("run", "--once", code=1).stdout
    assert "fake: the catalog lists 0 of 2 known repositories; " in stdout
    assert "fake: fake: " not in stdout

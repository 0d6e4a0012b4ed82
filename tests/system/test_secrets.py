"""No secret leaves the process but to the registry: not into logs at DEBUG, not into the state
file and what lies beside it, not into any command's output (SPEC 3.1).

Every byte that a daemon and the commands write is searched for each secret, also in base64.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.watching import Watcher, account, trigger, wait_until
from watcher.testing.access import BasicAuth, BearerAuth
from watcher.testing.faults import Cut, Fault, Match, Transform
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry
from watcher.testing.wire import Request, Response

WEB = "acme/web"
USER = "acme-bot"
PASSWORD = "pa55-Wort_des-Hauses"
SAY = "env | grep -E '^(WATCHER|DOCKER)_'; cat"  # all that a command is told
WRONG = "al7es-Wort_von-gestern"


def from_command(directory: Path) -> dict[str, Any]:
    return {"password_command": ["cat", str(kept(directory))], "password_ttl": "1s"}


def from_file(directory: Path) -> dict[str, Any]:
    return {"password_file": str(kept(directory))}


def from_environment(directory: Path) -> dict[str, Any]:
    kept(directory)
    return {"password_env": "REGISTRY_PASSWORD"}


def kept(directory: Path) -> Path:
    """The one file that holds the password, outside of what is searched."""
    vault = directory / "vault"
    vault.mkdir(exist_ok=True)
    path = vault / "password"
    path.write_text(PASSWORD)
    return path


def forms(secret: str) -> Iterator[bytes]:
    """The secret as it is, and as Basic credentials carry it."""
    yield secret.encode()
    yield base64.b64encode(f"{USER}:{secret}".encode()).rstrip(b"=")


def written(directory: Path) -> Iterator[tuple[str, bytes]]:
    for path in directory.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


@pytest.mark.parametrize("bearer", [True, False], ids=["bearer", "basic"])
@pytest.mark.parametrize("source", [from_command, from_file, from_environment])
def test_no_secret_is_written_anywhere(
    source: Callable[[Path], dict[str, Any]], bearer: bool, tmp_path: Path, registry: FakeRegistry
) -> None:
    good = {USER: PASSWORD}
    registry.auth = BearerAuth(users=good, jwt=True) if bearer else BasicAuth(users=good)
    registry.push(WEB, "1.0")
    work = tmp_path / "work"
    work.mkdir()
    watcher = Watcher(work, config(registry, source(tmp_path)))
    environment = {"REGISTRY_PASSWORD": PASSWORD} if source is from_environment else {}
    said: list[tuple[str, bytes]] = []

    def run(*words: str) -> None:
        done = watcher.run(*words, env=environment)
        said.append((" ".join(words), (done.stdout + done.stderr).encode()))

    run("run", "--once", "--log-level", "debug")
    with watcher.running("--log-level", "debug", env=environment) as daemon:
        registry.push(WEB, "2.0")
        daemon.wait_for("execution_finished", status="SUCCEEDED")
        registry.fault(Fault(action=Cut(reset=True), match=Match(kind=Kind.TAGS), times=2))
        daemon.wait_for("poll_failed")
        daemon.wait_for("poll_recovered")
        registry.auth = BasicAuth(users={USER: WRONG})
        daemon.wait_for("poll_failed", times=2)
        wait_until(lambda: len(daemon.lines()) > 10, "a log worth searching")
        run("status", "--json")
        run("executions", "--json")
        run("activity", "--json")
        run("validate", "--online", "--json")
        run("poll", "--json")
    run("run", "--once", "--log-level", "debug", "--log-format", "json")
    run("run", "--once", "--json")
    run("state", "export")
    for name, content in [*said, *written(work)]:
        for secret in (PASSWORD, WRONG):
            for form in forms(secret):
                assert form not in content, f"{secret} in {name}"
        assert b"eyJ" not in content, f"a token in {name}"
    assert any(b"2.0" in content for _, content in said), "nothing was searched"


@pytest.mark.parametrize("kind", ["docker-hub", "quay", "gitlab", "acr", "harbor"])
def test_no_secret_is_written_where_a_registry_repeats_all_that_it_is_sent(
    kind: str, tmp_path: Path
) -> None:
    """By its own API, in listings and by its token server; and with tokens for groups."""
    user = "$oauthtoken" if kind == "quay" else USER
    names = [WEB, "acme/api"]
    sent: set[bytes] = set()

    def echo(request: Request, response: Response) -> Response:
        secret = request.headers.get("authorization", "").partition(" ")[2]
        if not secret:
            return response
        sent.add(secret.encode())
        return Response(200, (), f"you are {secret}, {PASSWORD}".encode())

    with FakeRegistry.in_thread(profile=PROFILES[kind], users={user: PASSWORD}) as registry:
        for name in names:
            registry.push(name, "1.0")
        document = config(registry, {"password": PASSWORD, "dialect": kind, "strategy": "native"})
        document["accounts"][0] |= {"username": user, "repositories": names}
        document["accounts"][0]["limits"] = {"scopes_per_token": 2}
        watcher = Watcher(tmp_path, document)
        said: list[tuple[str, bytes]] = []

        def run(*words: str) -> None:
            done = watcher.run(*words)
            said.append((" ".join(words), (done.stdout + done.stderr).encode()))

        for place in (None, Kind.NATIVE, Kind.TAGS, Kind.TOKEN):
            if place is not None:
                registry.clear_faults()
                registry.fault(Fault(action=Transform(function=echo), match=Match(kind=place)))
            run("run", "--once", "--log-level", "debug")
        run("validate", "--online")
        registry.clear_faults()
        registry.fault(Fault(action=Transform(function=echo), match=Match(kind=Kind.NATIVE)))
        registry.reset_log()
        with watcher.running("--log-level", "debug"):
            wait_until(lambda: registry.count(Kind.TAGS) > 0, "a look")
            run("status", "--json")
            run("plan")
    assert sent
    written_by_us = (each for each in written(tmp_path) if each[0] != str(watcher.config))
    for name, content in [*said, *written_by_us]:
        for secret in (*forms(PASSWORD), *sent):
            assert secret not in content, f"{secret!r} in {name}"


def config(registry: FakeRegistry, credential: dict[str, Any]) -> dict[str, Any]:
    return {
        "accounts": [account(registry.address, WEB, username=USER, **credential)],
        "triggers": [trigger("web", "deploy", WEB)],
        "pipelines": [{"name": "deploy", "stages": [{"command": SAY, "name": "say"}]}],
    }


def test_the_state_file_is_not_for_everybody(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.push(WEB, "1.0")
    document = config(registry, {"password": PASSWORD})
    watcher = Watcher(tmp_path, document)
    umask = os.umask(0)
    try:
        watcher.run("run", "--once")
    finally:
        os.umask(umask)
    for path in tmp_path.glob("watcher.db*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, path


SLIPS = {
    "a key misspelt": {"passwort": WRONG},
    "a list for a text": {"password": [WRONG]},
    "a map for a text": {"password": {"value": WRONG}},
    "two sources": {"password": WRONG, "password_env": "REGISTRY_PASSWORD"},
    "a password in the address": {"address": f"https://{USER}:{WRONG}@registry.example"},
    "a password in the proxy": {"proxy": f"ftp://{USER}:{WRONG}@proxy.example:3128"},
}


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS.keys())
def test_a_bad_config_is_refused_without_its_passwords(
    slip: dict[str, Any], tmp_path: Path, registry: FakeRegistry
) -> None:
    document = config(registry, {})
    document["accounts"][0] |= slip
    watcher = Watcher(tmp_path, document)
    for words in (["validate"], ["validate", "--json"], ["run", "--once"]):
        done = watcher.run(*words)
        assert done.returncode == 2, done
        assert WRONG not in done.stdout + done.stderr

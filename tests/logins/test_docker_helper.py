"""`docker_config` with a real credential helper, and a real docker-registry that asks for a
password."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.logins.pass_store import PassStore, pass_store
from tests.servers import RealRegistry, StartRegistry, need
from tests.system.watching import Watcher, account, trigger

NAME = "acme/web"
FIRST, SECOND = "s3cr$et-of-acme", "an0ther-$ecret"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PassStore]:
    with pass_store(tmp_path / "pass") as made:
        yield made


@pytest.fixture
def registry(start_registry: StartRegistry) -> RealRegistry:
    """One that wants a password."""
    running = start_registry(users={"acme": FIRST})
    running.push(NAME, "1.0")
    return running


def change_password(registry: RealRegistry, password: str) -> None:
    """It reads its file again when that is newer; there has to be a whole one at any time."""
    need("htpasswd")
    done = subprocess.run(
        ["htpasswd", "-Bbn", "acme", password], capture_output=True, text=True, check=True
    )
    draft = registry.directory / "htpasswd.new"
    draft.write_text(done.stdout)
    draft.replace(registry.directory / "htpasswd")


def watched(
    directory: Path, registry: RealRegistry, docker_config: Path, **settings: Any
) -> Watcher:
    login = {"docker_config": str(docker_config), **settings}
    return Watcher(
        directory,
        {
            "accounts": [account(registry.address, NAME, **login)],
            "triggers": [trigger("all", "deploy", NAME)],
            "pipelines": [{"name": "deploy", "stages": [{"command": ["true"], "name": "go"}]}],
        },
    )


def test_the_password_of_the_helper_lets_in(
    tmp_path: Path, store: PassStore, registry: RealRegistry
) -> None:
    store.store(registry.address, "acme", FIRST)
    config = store.docker_config({registry.address: "pass"})
    watcher = watched(tmp_path, registry, config)
    done = watcher.run("validate", "--online", env=store.environment)
    assert done.returncode == 0, done
    assert FIRST not in f"{done}"


def test_a_password_that_was_changed_is_asked_for_once(
    tmp_path: Path, store: PassStore, registry: RealRegistry
) -> None:
    store.store(registry.address, "acme", FIRST)
    config = store.docker_config({registry.address: "counted"})
    watcher = watched(tmp_path, registry, config)
    with watcher.running(env=store.environment) as daemon:
        daemon.wait_for("baseline_recorded")
        assert store.runs == 1
        store.store(registry.address, "acme", SECOND)
        change_password(registry, SECOND)
        registry_now = RealRegistry(
            address=registry.address,
            directory=registry.directory,
            process=registry.process,
            users={"acme": SECOND},
        )
        registry_now.push(NAME, "1.1")
        daemon.wait_for("execution_finished")
        assert store.runs == 2
    assert daemon.events("poll_failed") == []
    log = daemon.log.read_text()
    assert FIRST not in log
    assert SECOND not in log


def test_a_server_that_the_helper_does_not_know_is_asked_without_a_password(
    tmp_path: Path, store: PassStore, start_registry: StartRegistry
) -> None:
    public = start_registry()
    public.push(NAME, "1.0")
    config = store.docker_config({public.address: "pass"})
    watcher = watched(tmp_path, public, config)
    done = watcher.run("validate", "--online", env=store.environment)
    assert done.returncode == 0, done


@pytest.mark.parametrize(
    ("helper", "said"),
    [
        pytest.param("pass", "wants a user name and a password", id="it knows nothing"),
        pytest.param("nowhere", "docker-credential-nowhere can't be started", id="missing"),
        pytest.param("stuck", "docker-credential-stuck took longer than 1 s", id="hanging"),
    ],
)
def test_a_helper_that_does_not_help_is_named(
    tmp_path: Path, store: PassStore, registry: RealRegistry, helper: str, said: str
) -> None:
    config = store.docker_config({registry.address: helper})
    watcher = watched(tmp_path, registry, config, password_timeout="1s")
    done = watcher.run("validate", "--online", env=store.environment)
    assert done.returncode == 1, done
    assert said in " ".join(done.stdout.split())


def test_a_store_that_can_not_be_read_is_an_error_and_no_anonymous_poll(
    tmp_path: Path, store: PassStore, registry: RealRegistry
) -> None:
    store.store(registry.address, "acme", FIRST)
    store.lose_keys()
    config = store.docker_config({registry.address: "pass"})
    watcher = watched(tmp_path, registry, config)
    done = watcher.run("validate", "--online", env=store.environment)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert f"docker-credential-pass failed for {registry.address}, exit code 1" in said
    assert f"echo {registry.address} | docker-credential-pass get" in said

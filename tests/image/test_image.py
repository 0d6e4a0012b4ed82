"""The image as an operator meets it: built from the Dockerfile, run with a read-only root file
system, a mounted config, no shell, and a user that has no name.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image.building import Container, Image
from tests.image.building import image as image
from tests.servers import free_port
from watcher import __version__
from watcher.testing.registry import FakeRegistry

pytestmark = pytest.mark.timeout(300)  # the first test builds the image, or waits for it

REPOSITORY = "acme/web"
STATE = "/var/lib/registry-watcher"
PYTHON = "/opt/registry-watcher/bin/python3"
PATIENCE = 30.0

WRITABLE = """
import os
for place, directories, files in os.walk("/"):
    directories[:] = [d for d in directories if os.path.join(place, d) not in ("/proc", "/dev")]
    for name in (".", *files):
        path = os.path.normpath(os.path.join(place, name))
        if os.access(path, os.W_OK, follow_symlinks=False) and not os.path.islink(path):
            print(path)
"""


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry.in_thread() as running:
        yield running


@pytest.fixture
def container(image: Image, tmp_path: Path, registry: FakeRegistry) -> Container:
    """A container with a config of one repository that is polled once a second."""
    made = image.container(tmp_path)
    registry.push(REPOSITORY, "1.0")
    write = [PYTHON, "-c", "import sys; open('deployed', 'a').write(sys.argv[1])"]
    config: dict[str, Any] = {
        "accounts": [
            {
                "name": "fake",
                "address": registry.address,
                "plain_http": True,
                "repositories": [REPOSITORY],
                "poll": "1s",
            }
        ],
        "triggers": [
            {"name": "web", "account": "fake", "repository": REPOSITORY, "pipeline": "deploy"}
        ],
        "pipelines": [
            {
                "name": "deploy",
                "stages": [
                    {"command": {"run": [*write, "${trigger.tag}"], "directory": STATE}},
                ],
            }
        ],
    }
    made.configure(**config)
    (made.config / "token").write_text("nobodys-token")
    return made


def wait_until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("User", "65532:65532"),
        ("Entrypoint", ["watcher"]),
        ("Cmd", ["run"]),
        ("StopSignal", "SIGTERM"),
        ("WorkingDir", STATE),
        ("Volumes", {STATE: {}}),
        ("ExposedPorts", {"8484/tcp": {}}),
    ],
)
def test_the_image_says_how_it_is_run(image: Image, key: str, value: Any) -> None:
    assert image.config[key] == value


def test_the_image_says_what_it_is(image: Image) -> None:
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in image.config["Labels"].items()
    }
    assert labels["title"] == "registry-watcher"
    assert labels["version"] == __version__
    assert len(labels["revision"]) == 40
    assert labels["base.name"].startswith("localhost/")


def test_nothing_of_what_built_it_is_left_in_it(image: Image) -> None:
    packages = next((image.root / "opt/registry-watcher/lib").glob("python*/site-packages"))
    there = {path.name.partition("-")[0] for path in packages.iterdir()}
    assert "watcher" in there
    assert not there & {"pip", "setuptools", "wheel", "pytest", "tests", "benchmarks"}
    assert not (image.root / "build").exists()
    assert not (image.root / "etc" / "pip.conf").exists()


@pytest.mark.parametrize("read_only", [True, False], ids=["read-only root", "writable root"])
def test_the_user_can_write_to_the_state_directory_and_nowhere_else(
    container: Container, *, read_only: bool
) -> None:
    found = container.exec(PYTHON, "-c", WRITABLE, read_only=read_only).split()
    assert [path for path in found if path != "/tmp"] == [STATE]


def test_there_is_no_bytecode_to_be_made_at_the_start(container: Container) -> None:
    """Not of the base's own library either: a read-only root could not keep it."""
    probe = "import json, sys; from watcher.cli import run; from watcher.daemon import service; "
    told = "print(json.dumps([m.__cached__ for m in list(sys.modules.values()) if m.__cached__]))"
    told = told.replace("m.__cached__", "getattr(m, '__cached__', None)")
    cached = json.loads(container.exec(PYTHON, "-c", probe + told))
    lacking = [path for path in cached if not (container.image.root / path.lstrip("/")).exists()]
    assert len(cached) > 100
    assert lacking == []


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("validate",), ("plan",)])
def test_commands_need_no_shell_and_no_writable_root(
    container: Container, words: tuple[str, ...]
) -> None:
    assert container.run(*words)


def test_passes_record_a_baseline_and_run_what_a_new_tag_fires(
    container: Container, registry: FakeRegistry
) -> None:
    container.run("run", "--once")
    registry.push(REPOSITORY, "2.0")
    container.run("run", "--once")
    (run,) = json.loads(container.run("executions", "--json"))
    assert (run["tag"], run["status"]) == ("2.0", "SUCCEEDED")
    assert (container.state / "deployed").read_text() == "2.0"


@pytest.mark.parametrize("listens", [False, True], ids=["without http", "with http"])
def test_the_daemon_as_first_process_is_well_deploys_and_stops_when_it_is_told_to(
    container: Container, registry: FakeRegistry, *, listens: bool
) -> None:
    check = container.image.config["Healthcheck"]["Test"]
    assert check[0] == "CMD"  # no shell
    container.exec(*check[1:], code=1)
    if listens:
        container.configure(http={"listen": f"0.0.0.0:{free_port()}", "token_file": "token"})
    with container.running() as daemon:
        daemon.wait_for("baseline_recorded")
        registry.push(REPOSITORY, "2.0")
        wait_until((container.state / "deployed").exists, "the new tag is deployed")
        assert container.exec(*check[1:]) == "well\n"
        assert container.run("health") == "well\n"
        assert daemon.stop(signal.Signals[container.image.config["StopSignal"]]) == 0
    container.exec(*check[1:], code=1)

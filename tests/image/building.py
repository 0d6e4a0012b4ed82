"""The image, built by buildah from the Dockerfile and a base of this machine's Python, and run with
what the kernel gives every container engine. Nothing is fetched but the locked wheels.

Where buildah, root or a package index is missing the tests are skipped, with the reason; where
TESTS_REQUIRE_IMAGE is set, as .ci/run does, that is a failure. Where the kernel lets nobody make
namespaces they are skipped all the same: no package helps there.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.image.base import make_root

ROOT = Path(__file__).parents[2]
BASE = "localhost/local-python:1"
NAME = "localhost/registry-watcher:test"
BUILDS_WITHIN = 300.0
RUNS_WITHIN = 60.0


def missing(reason: str) -> None:
    """Skip the test, or fail it where TESTS_REQUIRE_IMAGE is set."""
    if os.environ.get("TESTS_REQUIRE_IMAGE"):
        pytest.fail(reason)
    pytest.skip(reason)


def need_builder() -> None:
    if shutil.which("buildah") is None:
        missing("buildah is not installed (apt-get install buildah)")
    if os.geteuid() != 0:
        missing("an image can be built and run here by root only")
    if not may_unshare():
        pytest.skip("no namespaces may be made here")


def may_unshare() -> bool:
    """Whether processes may have mounts and process numbers of their own."""
    words = ["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True, kw_only=True)
class Builder:
    """A buildah with a store of its own in `directory`."""

    directory: Path

    @property
    def words(self) -> tuple[str, ...]:
        store, run = self.directory / "store", self.directory / "run"
        return ("buildah", "--storage-driver=vfs", f"--root={store}", f"--runroot={run}")

    def said(self, *words: str | Path) -> str:
        return run_through(*self.words, *words)

    def build_base(self) -> None:
        root = self.directory / "base"
        root.mkdir()
        make_root(root)
        recipe = self.directory / "Base"
        recipe.write_text("FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin:/bin\n")
        self.said("build", "--isolation=chroot", "--tag", BASE, "--file", recipe, root)
        shutil.rmtree(root)

    def build(self) -> None:
        """As an operator does, by `make image`, with the wheels at hand."""
        wheels = download_wheels(self.directory / "wheels")
        settings = self.directory / "pip.conf"
        settings.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        arguments = (
            f"--isolation=chroot --pull-never --build-arg BASE={BASE} "
            f"--secret id=pip,src={settings} --volume {wheels}:/wheels:ro"
        )
        run_through(
            "make",
            "-C",
            ROOT,
            "image",
            f"BUILDER={' '.join(self.words)}",
            f"IMAGE={NAME}",
            f"BUILD_ARGS={arguments}",
        )


def download_wheels(directory: Path) -> Path:
    """All that the Dockerfile installs, from wherever pip gets its packages on this machine."""
    for lock in ("requirements.lock", "requirements-build.lock"):
        fetch = ("download", "--quiet", "--require-hashes", "--only-binary", ":all:")
        words = (sys.executable, "-m", "pip", *fetch, "--dest", directory, "--requirement", lock)
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            missing(f"pip can't fetch what {lock} names: {done.stderr.strip()[-500:]}")
    return directory


def run_through(*words: str | Path) -> str:
    """What a program prints; AssertionError with its words where it fails."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=BUILDS_WITHIN, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class Image:
    """The image as it was built: its file system, and its config in docker's words."""

    root: Path
    config: Mapping[str, Any]

    def container(self, directory: Path) -> Container:
        """A container of it, with a state and a config directory within `directory`."""
        user = int(self.config["User"].partition(":")[0])
        state, config = directory / "state", directory / "config"
        config.mkdir()
        state.mkdir()
        os.chown(state, user, user)
        return Container(image=self, state=state, config=config, user=user)


@dataclass(frozen=True, kw_only=True)
class Container:
    """Runs the image's programs, each as the first process of its own, in one root file system."""

    image: Image
    state: Path
    config: Path
    user: int

    def configure(self, **sections: Any) -> None:
        """Write these sections of the config; others stay as they are."""
        path = self.config / "config.yaml"
        there = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(there | sections))

    def run(self, *words: str, code: int = 0) -> str:
        """What `watcher WORDS` prints."""
        return self.exec(*self.image.config["Entrypoint"], *words, code=code)

    def exec(self, *words: str, code: int = 0, read_only: bool = True) -> str:
        done = subprocess.run(
            self._entering(words, read_only=read_only),
            capture_output=True,
            text=True,
            timeout=RUNS_WITHIN,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self) -> Iterator[Daemon]:
        """The image's own command, until the block ends."""
        words = (*self.image.config["Entrypoint"], *self.image.config["Cmd"])
        with subprocess.Popen(
            self._entering(words), stderr=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            try:
                yield Daemon(process=process)
            finally:
                process.kill()

    def _entering(self, words: tuple[str, ...], *, read_only: bool = True) -> list[str]:
        spec = {
            "root": str(self.image.root),
            "mounts": [
                {
                    "directory": str(self.state),
                    "at": next(iter(self.image.config["Volumes"])),
                    "writable": True,
                },
                {"directory": str(self.config), "at": "/etc/registry-watcher", "writable": False},
            ],
            "read_only": read_only,
            "user": self.user,
            "directory": self.image.config["WorkingDir"],
            "environment": dict(line.split("=", 1) for line in self.image.config["Env"]),
            "words": words,
        }
        apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL")
        return [*apart, sys.executable, "-m", "tests.image.entering", json.dumps(spec)]


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """The first process of a container; `process` is what waits for it outside."""

    process: subprocess.Popen[str]

    def wait_for(self, word: str) -> None:
        """Until its log has a line with this word."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if word in line:
                return
        raise AssertionError(f"it ended before it said {word}")

    def stop(self, number: signal.Signals) -> int:
        """Send a signal as a container engine does; the exit code."""
        outside = self.process.pid
        inside = Path(f"/proc/{outside}/task/{outside}/children").read_text()
        os.kill(int(inside), number)
        return self.process.wait(RUNS_WITHIN)


def build(directory: Path) -> Image:
    """Build base and image within the directory."""
    builder = Builder(directory=directory)
    builder.build_base()
    builder.build()
    config = json.loads(builder.said("inspect", "--type", "image", NAME))["Docker"]["config"]
    working = builder.said("from", "--pull-never", NAME).strip()
    root = Path(builder.said("mount", working).strip())
    for place in ("bin", "proc", "dev", "etc/registry-watcher"):
        (root / place).mkdir(parents=True, exist_ok=True)  # as an engine does for its mounts
    return Image(root=root, config=config)


@contextmanager
def shared(directory: Path) -> Iterator[Image]:
    """The image that the first process builds for all that work at the same time; the last one
    gives back what it takes on disk."""
    place, users = directory / "image", directory / "image.users"
    built = directory / "image.json"
    with alone(directory) as number:
        if number == 0:
            shutil.rmtree(place, ignore_errors=True)  # of one that failed
            place.mkdir()
            image = build(place)
            built.write_text(json.dumps({"root": str(image.root), "config": image.config}))
        told = json.loads(built.read_text())
        users.write_text(str(number + 1))
    try:
        yield Image(root=Path(told["root"]), config=told["config"])
    finally:
        with alone(directory) as number:
            users.write_text(str(number - 1))
            if number == 1:
                shutil.rmtree(place)


@contextmanager
def alone(directory: Path) -> Iterator[int]:
    """One process at a time; gives how many use the image."""
    users = directory / "image.users"
    with (directory / "image.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield int(users.read_text()) if users.exists() else 0


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The one image of this test session, whatever its number of processes."""
    need_builder()
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent
    with shared(directory) as found:
        yield found

"""A system of its own, with systemd as its first process, to run the units in as they are shipped.

It has namespaces of its own for everything but the network, and sees this machine's files through
an overlay: nothing that it does is left here. That takes root's rights; without them the tests are
skipped, with the reason. Used by the tests of this directory only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.watching import wait_until

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
BOOT = Path(__file__).with_name("boot.sh")
BOOTS_WITHIN = 20.0

# The interpreter may lie in somebody's home, and the tests below /tmp: the units see neither.
_PYTHON = """#!/bin/sh
export PYTHONHOME=/opt/python PYTHONPATH=/opt/source:/opt/packages LD_LIBRARY_PATH=/opt/python/lib
exec /opt/python/bin/{python} -m watcher "$@"
"""
_TARGET = "[Unit]\nDescription=The box has started\nDefaultDependencies=no\n"
# What a machine does first (devices, modules, kernel settings) is none of the box's business.
_ALONE = "[Unit]\nDefaultDependencies=no\n"
_OUTPUT = "[Service]\nStandardOutput=append:/run/box.log\nStandardError=inherit\n"


class Box:
    """A running one. Paths are those that its programs see."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program in there to its end, as root."""
        return subprocess.run(
            ["nsenter", "-t", str(self._pid), "-m", "-p", "-i", "-u", "-C", "-r", "-w", *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def systemctl(self, *words: str) -> str:
        """What systemctl prints; it must succeed."""
        done = self.run("systemctl", "--no-pager", *words)
        assert done.returncode == 0, (done, self.log())
        return done.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        return self.systemctl("show", "--value", "--property", name, unit)

    def write(self, path: str, text: str) -> None:
        """Write one file."""
        words = ["nsenter", "-t", str(self._pid), "-m", "-r", "-w", "tee", path]
        subprocess.run(words, input=text, text=True, capture_output=True, timeout=10, check=True)

    def log(self) -> str:
        return self.run("cat", "/run/box.log").stdout


def _files(place: Path, files: Mapping[str, str]) -> None:
    """What that system has of its own: our units, their program, and these files."""
    units = place / "etc/systemd/system"
    units.mkdir(parents=True)
    for unit in UNITS.iterdir():
        shutil.copy(unit, units)
        more = _ALONE + _OUTPUT if unit.suffix == ".service" else _ALONE
        (units / f"{unit.name}.d").mkdir()
        (units / f"{unit.name}.d" / "box.conf").write_text(more)
    (units / "box.target").write_text(_TARGET)
    program = place / "opt/registry-watcher/bin/watcher"
    program.parent.mkdir(parents=True)
    program.write_text(_PYTHON.format(python=f"python3.{sys.version_info.minor}"))
    program.chmod(0o755)
    for path, text in files.items():
        file = place / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o600 if "secrets" in path else 0o644)


def _control_group() -> Path:
    """A new one in the unified hierarchy, so that systemd owns what is below it."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            group = Path(place) / f"watcher-box-{os.getpid()}"
            group.mkdir()
            return group
    raise OSError("there is no unified hierarchy of control groups")


@contextmanager
def running_box(directory: Path, files: Mapping[str, str]) -> Iterator[Box]:
    """Start one with these files in it; the test is skipped where that is not possible."""
    for program in ("unshare", "nsenter"):
        if shutil.which(program) is None or os.geteuid() != 0:
            pytest.skip("only root can start a systemd of its own, with unshare and nsenter")
    place, own, shown = directory / "box", directory / "files", directory / "shown"
    place.mkdir()
    _files(own, files)
    packages = sysconfig.get_path("purelib")
    views = {sys.base_prefix: "/opt/python", str(ROOT): "/opt/source", packages: "/opt/packages"}
    shown.write_text("".join(f"{source} {target}\n" for source, target in views.items()))
    try:
        group = _control_group()
    except OSError as error:
        pytest.skip(f"a systemd of its own can't be started here: {error}")
    log = directory / "box.log"
    enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    apart = "unshare --fork --pid --mount --ipc --uts --cgroup --kill-child --propagation private"
    command = ["sh", "-c", enter, "sh", *apart.split(), "sh", str(BOOT)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, str(place), str(own), str(shown)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield _booted(process, log)
    finally:
        process.kill()
        process.wait()
        wait_until(lambda: _is_removed(group), f"{group} is empty")


def _booted(process: subprocess.Popen[bytes], log: Path) -> Box:
    def first_process() -> int:
        if process.poll() is not None:
            pytest.skip(f"a systemd of its own can't be started here: {log.read_text()[-500:]}")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    box = Box(wait_until(first_process, "the first process"))

    def is_over() -> bool:
        started = box.run("systemctl", "is-active", "box.target").stdout.strip()
        return process.poll() is not None or started == "active"

    try:
        wait_until(is_over, "the box has started", within=BOOTS_WITHIN)
    except AssertionError as error:
        if os.environ.get("TESTS_REQUIRE_SYSTEMD"):
            raise
        pytest.skip(f"a systemd of its own does not start here: {error}")
    first_process()
    return box


def _is_removed(group: Path) -> bool:
    """A control group goes when all below it has gone, the innermost first."""
    for path, _, _ in os.walk(group, topdown=False):
        try:
            Path(path).rmdir()
        except OSError:
            return False
    return True

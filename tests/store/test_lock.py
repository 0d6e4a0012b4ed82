"""One process works on a state file; whoever comes second hears who was first."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from watcher.errors import StateLocked, StateUnwritable
from watcher.store.lock import StateLock, holder

HOLDING = """
import subprocess, sys
from pathlib import Path
from watcher.store.lock import StateLock
with StateLock(Path(sys.argv[1]), command="watcher run -c there.yaml"):
    child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    sys.stdin.read()
"""

MAKING = """
import sys
from pathlib import Path
from watcher.store.lock import StateLock
from watcher.store.sqlite import Store
path = Path(sys.argv[1])
with StateLock(path, command="watcher run"), Store.open(path):
    pass
"""


def lock(path: Path) -> StateLock:
    return StateLock(path, command="watcher run", sleep=lambda _: None)


@contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds it, and has started a child of its own."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    child = int(other.stdout.readline())
    try:
        yield other
    finally:
        other.stdin.close()
        other.wait()
        os.kill(child, signal.SIGKILL)
        other.stdout.close()


def test_the_second_hears_pid_and_command_of_the_first(path: Path) -> None:
    with held_elsewhere(path) as other:
        with pytest.raises(StateLocked) as raised, lock(path):
            pass
        assert f"process {other.pid} (watcher run -c there.yaml)" in str(raised.value)
        assert raised.value.hint
        named = holder(path)
        assert named is not None
        assert (named.pid, named.command) == (other.pid, "watcher run -c there.yaml")


def test_kill_9_lets_go_even_while_a_child_of_the_process_lives_on(path: Path) -> None:
    with held_elsewhere(path) as other:
        other.kill()
        other.wait()
        assert holder(path) is None
        with lock(path):
            pass


def test_after_release_it_can_be_taken_again(path: Path) -> None:
    first = lock(path)
    first.acquire()
    with pytest.raises(StateLocked):
        lock(path).acquire()
    first.release()
    first.release()
    with lock(path):
        named = holder(path)
        assert named is not None
        assert named.pid == os.getpid()


def test_nobody_holds_what_was_never_locked(path: Path) -> None:
    assert holder(path) is None


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"config.yaml", id="usual"),
        pytest.param(b"two\nlines", id="two lines"),
        pytest.param(b"caf\xe9.yaml", id="no UTF-8"),
        pytest.param(b"/".join([b"x" * 250] * 16), id="long"),
    ],
)
def test_the_holder_names_the_config_that_it_has_read(path: Path, name: bytes) -> None:
    config = path.parent / os.fsdecode(name)
    with StateLock(path, command="watcher run", config=config):
        named = holder(path)
    assert named is not None
    assert (named.pid, named.command, named.config) == (os.getpid(), "watcher run", config)


def test_a_lock_in_a_missing_directory_is_unwritable(path: Path) -> None:
    with pytest.raises(StateUnwritable), lock(path.parent / "nowhere" / "watcher.db"):
        pass


def test_a_link_in_the_place_of_the_lock_is_not_followed(path: Path, tmp_path: Path) -> None:
    """Whoever may write to the directory must not have root empty another file."""
    other = tmp_path / "other"
    other.write_text("precious")
    path.with_name("watcher.db.lock").symlink_to(other)
    with pytest.raises(StateUnwritable), lock(path):
        pass
    assert other.read_text() == "precious"


def test_a_pipe_in_the_place_of_the_lock_keeps_nobody_waiting(path: Path) -> None:
    os.mkfifo(path.with_name("watcher.db.lock"))
    assert holder(path) is None
    with pytest.raises(StateUnwritable), lock(path):
        pass


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\n\x00", id="no text"),
        pytest.param(b"9" * 5000, id="no number of a process"),
    ],
)
def test_who_holds_it_is_unknown_where_the_lock_says_nothing_sensible(
    path: Path, content: bytes
) -> None:
    place = path.with_name("watcher.db.lock")
    place.write_bytes(content)
    with place.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        named = holder(path)
        with pytest.raises(StateLocked, match="is held by another process"), lock(path):
            pass
    assert named is not None
    assert named.command == "unknown"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be without a right of root")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is missing")
def test_a_root_that_may_give_nothing_away_works_in_the_directory_of_another(path: Path) -> None:
    """As in a container without capabilities, or on a share where root is nobody."""
    os.chown(path.parent, 54321, 54321)
    path.parent.chmod(0o777)
    without = ["setpriv", "--inh-caps", "-chown", "--bounding-set", "-chown"]
    subprocess.run([*without, sys.executable, "-c", MAKING, str(path)], check=True)
    assert path.exists()

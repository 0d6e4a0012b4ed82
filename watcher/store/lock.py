"""One process per state file: an flock on `<state>.lock`, which names whoever holds it, and the
config that this process has read.

The kernel lets go of it when the process ends, however it ends; the file itself stays. Commands
that only write a row beside a daemon do not take it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watcher.errors import StateLocked, StateUnwritable

_HINT = (
    "one process at a time works on a state file; stop that one, or name another file by `state:` "
    "in the config"
)
_TRIES = 5
_PAUSE_SECONDS = 0.05
_LONGEST = 8192
_MOST_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a state file, as it named itself. `seen` is when it last said that
    its bookkeeping is done, in seconds since the epoch; `config` the file or directory that it
    reads its config from."""

    pid: int
    command: str
    seen: float = 0.0
    config: Path | None = None

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


class StateLock:
    """Held between `acquire` and `release`, or in a `with` block. `command` is what the process
    was started as, without secrets; `config` where its config is; `hint` is for whom another
    process keeps from it."""

    def __init__(
        self,
        state: Path,
        *,
        command: str,
        config: Path | None = None,
        hint: str = _HINT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._state = state
        self._hint = hint
        self._command = command
        self._config = config
        self._sleep = sleep
        self._file: int | None = None

    def acquire(self) -> None:
        """Raises StateLocked, naming the holder, and StateUnwritable."""
        file = _open_or_make(self._state)
        try:
            self._take(file)
            os.ftruncate(file, 0)
            os.pwrite(file, self._words(), 0)
        except OSError as error:
            os.close(file)
            raise _unwritable(self._state, error) from error
        except BaseException:
            os.close(file)
            raise
        self._file = file

    def beat(self) -> None:
        """Say that the holder still gets on, by the time of the file: it costs no transaction.
        Raises StateUnwritable."""
        if self._file is None:
            return
        try:
            os.utime(self._file)
        except OSError as error:  # such as a file system that became read-only
            raise _unwritable(self._state, error) from error

    def release(self) -> None:
        """May be called twice."""
        if self._file is None:
            return
        file, self._file = self._file, None
        os.close(file)

    def __enter__(self) -> StateLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _words(self) -> bytes:
        """A line each; the place of the config, in which anything may stand, is the last."""
        config = b"" if self._config is None else os.fsencode(self._config)
        return f"{os.getpid()}\n{self._command}\n".encode(errors="replace") + config

    def _take(self, file: int) -> None:
        """A few tries, because `holder` of another process takes it for a moment."""
        for remaining in reversed(range(_TRIES)):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if remaining == 0:
                    raise self._locked(file) from None
                self._sleep(_PAUSE_SECONDS)
            else:
                return

    def _locked(self, file: int) -> StateLocked:
        named = _read(file)
        return StateLocked(
            f"{self._state} is held by {named if named else 'another process'}",
            hint=self._hint,
        )


def holder(state: Path) -> Holder | None:
    """Who holds the state file now; None when nobody does. Raises StateUnwritable."""
    if not _lock_path(state).exists():
        return None
    file = _open(state, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(file) or Holder(0, "unknown", os.fstat(file).st_mtime)
    else:
        return None
    finally:
        os.close(file)


def give_to_owner(file: int, directory: Path) -> None:
    """What root makes in the directory of somebody else is theirs, as SQLite has it with its logs:
    after a command of root's the service could not use it otherwise. `file` is an open one. A root
    without that right, as in a container, and a file system without owners keep what they made."""
    if os.geteuid() == 0:
        with suppress(OSError):
            owner = directory.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)


def _lock_path(state: Path) -> Path:
    return state.with_name(f"{state.name}.lock")


def _open_or_make(state: Path) -> int:
    """Only what is made here is given away: what another made meanwhile may be any file."""
    try:
        file = os.open(_lock_path(state), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
    except FileExistsError:
        return _open(state, os.O_RDWR)
    except OSError as error:
        raise _unwritable(state, error) from error
    give_to_owner(file, state.parent)
    return file


def _open(state: Path, flags: int) -> int:
    """Not inherited by the commands that stages run (PEP 446). A link is not followed, for what it
    leads to would be emptied, and of a pipe no writer is waited for."""
    try:
        return os.open(_lock_path(state), flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _unwritable(state, error) from error


def _unwritable(state: Path, error: OSError) -> StateUnwritable:
    return StateUnwritable(
        f"{_lock_path(state)}: {error.strerror or error}",
        hint="the directory of the state file must exist and, with all in it, belong to this user",
    )


def _read(file: int) -> Holder | None:
    pid, _, rest = os.pread(file, _LONGEST, 0).partition(b"\n")
    command, _, config = rest.partition(b"\n")
    if not pid.isdigit() or len(pid) > _MOST_DIGITS:
        return None
    return Holder(
        int(pid),
        command.decode(errors="replace").strip(),
        os.fstat(file).st_mtime,
        Path(os.fsdecode(config)) if config else None,
    )

"""Where log lines go: stderr, a stream, or a file that may be moved away. A line that can't be
written is counted and never raised: a full disk or a closed pipe stops no poll and no stage, nor,
in the daemon, one that is open and takes nothing. Used by `log` only.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TextIO

FILE_MODE = 0o640
ROOM = 1_000_000
"""Characters of lines that may wait for their turn: some thousands."""

HANGS = "lines were taken too slowly, or not at all"

Resumed = Callable[[int, str], str]
"""Makes the line about so many lost ones, and why."""


class Target(Protocol):
    """Takes whole lines; raises OSError or ValueError for one that it can't take."""

    def put(self, text: str) -> None: ...

    def isatty(self) -> bool: ...


class Sink:
    """Puts lines where they go. What can't be written is counted, and said by a line of `resumed`,
    given the number and the reason, as soon as something can be. `lost` is the number so far."""

    def __init__(self, target: Target, resumed: Resumed) -> None:
        self._target = target
        self._resumed = resumed
        self._unsaid = 0
        self._reason = ""
        self.lost = 0

    def put(self, text: str) -> None:
        if self._takes(text):
            self.say_lost()
        else:
            self.lost += 1
            self._unsaid += 1

    def leave_out(self, number: int, reason: str) -> None:
        """Say of so many lines, which were never put here, that they are lost."""
        self._unsaid, self._reason = self._unsaid + number, reason
        self.say_lost()

    def say_lost(self) -> None:
        if self._unsaid and self._takes(self._resumed(self._unsaid, self._reason)):
            self._unsaid = 0

    def _takes(self, text: str) -> bool:
        try:
            self._target.put(text)
        except OSError as error:
            self._reason = error.strerror or str(error)
            return False
        except ValueError as error:
            self._reason = str(error)
            return False
        return True


class BackgroundSink:
    """Puts lines into a sink by a thread of its own, in their order, so that whoever logs waits
    neither for a reader that hangs nor for a disk. What is more than `room` characters ahead of
    the thread is lost, and said where it is missing. For all threads.

    Its lock can be taken again by who holds it: a collected object may log in any line of it.
    """

    def __init__(self, sink: Sink, room: int = ROOM) -> None:
        self._sink = sink
        self._room = room
        self._lock = threading.RLock()
        self._lines: list[str] = []
        self._size = 0
        self._left_out = 0
        self._lost = 0
        self._ends = False
        self._turns: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        return self._lost + self._sink.lost

    def put(self, text: str) -> None:
        with self._lock:
            is_full = self._lines and self._size + len(text) > self._room
            if is_full or self._ends:
                self._left_out += 1
                self._lost += 1
                return
            self._lines.append(text)
            self._size += len(text)
        self._turns.put(None)

    def end(self, seconds: float) -> bool:
        """Take nothing more, and wait so long at most until all that was taken is written;
        whether it is."""
        with self._lock:
            self._ends = True
        self._turns.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        ends = False
        while not ends:
            self._turns.get()
            with self._lock:
                lines, left_out, ends = self._lines, self._left_out, self._ends
                self._lines, self._size, self._left_out = [], 0, 0
            for line in lines:
                self._sink.put(line)
            if left_out:
                self._sink.leave_out(left_out, HANGS)


class StreamTarget:
    """A stream of Python's, as a test or an embedding program gives it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


class DescriptorTarget:
    """A descriptor, without Python's buffer: that would try again, and for ever, to write what
    failed once."""

    def __init__(self, descriptor: int, encoding: str = "utf-8") -> None:
        self.descriptor = descriptor
        self._encoding = encoding
        self._torn = False

    def put(self, text: str) -> None:
        data = text.encode(self._encoding, errors="backslashreplace")
        if self._torn:  # a disk was full in the middle of a line; the next begins a new one
            data = b"\n" + data
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self.descriptor, left) :]
        finally:
            begun = len(left) < len(data)
            self._torn = bool(left) and (begun or self._torn)

    def isatty(self) -> bool:
        return os.isatty(self.descriptor)


class FileTarget:
    """A file that logrotate may move away, or copy and truncate: each line goes to the file which
    has the name now. Raises OSError when it can't be opened at first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._out = DescriptorTarget(_opened(path))

    def put(self, text: str) -> None:
        if not self._has_its_name():
            descriptor = _opened(self._path)
            os.close(self._out.descriptor)
            self._out = DescriptorTarget(descriptor)
        self._out.put(text)

    def isatty(self) -> bool:
        return False

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            os.close(self._out.descriptor)

    def _has_its_name(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._out.descriptor))
        except FileNotFoundError:
            return False


class _Nowhere:
    """A process that was started without stderr: its descriptor may be any file by now."""

    def put(self, text: str) -> None:
        raise OSError("there is no stderr")

    def isatty(self) -> bool:
        return False


def target_of(stream: TextIO | None) -> Target:
    """The stream, else stderr."""
    if stream is not None:
        return StreamTarget(stream)
    stderr, is_replaced = sys.stderr, sys.stderr is not sys.__stderr__
    if stderr is None:
        return _Nowhere()
    if is_replaced:
        return StreamTarget(stderr)
    return DescriptorTarget(stderr.fileno(), stderr.encoding)


def _opened(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    return os.open(path, flags, FILE_MODE)

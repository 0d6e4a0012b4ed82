"""Where log lines go: stderr, a stream, or a file that may be moved away. A line that can't be
written is counted and never raised: a full disk or a closed pipe stops no poll and no stage.
Used by `log` only.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TextIO

FILE_MODE = 0o640


class Target(Protocol):
    """Takes whole lines; raises OSError or ValueError for one that it can't take."""

    def put(self, text: str) -> None: ...

    def isatty(self) -> bool: ...


class Sink:
    """What structlog prints to. `lost` lines could not be written since the last that could;
    `reason` says why."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._text = ""
        self.lost = 0
        self.reason = ""

    def write(self, text: str) -> None:
        self._text += text

    def flush(self) -> None:
        """The line is whole."""
        text, self._text = self._text, ""
        if not text:
            return
        try:
            self._target.put(text)
        except OSError as error:
            self._lose(error.strerror or str(error))
        except ValueError as error:
            self._lose(str(error))

    def isatty(self) -> bool:
        return self._target.isatty()

    def _lose(self, reason: str) -> None:
        self.lost, self.reason = self.lost + 1, reason


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

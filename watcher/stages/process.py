"""One child process with all its children: started, listened to, and gone at the end.

Used by `command`. The pipes are our own, since asyncio's would make a grandchild that keeps
one open hold up the end of its parent.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any

from watcher.stages.base import StageLog

_PIECE = 64 * 1024
_LAST_WORDS = 1.0
"""Seconds in which what the command wrote before its end is read."""


@dataclass(frozen=True, slots=True)
class Ended:
    """`code` is negative for a signal, as in `subprocess`; `stdout` is the end of its output."""

    code: int
    stdout: str

    @property
    def how(self) -> str:
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        name = signal.Signals(-self.code).name if -self.code in set(signal.Signals) else self.code
        return f"was killed by {name}"


async def run_process(
    arguments: Sequence[str],
    *,
    directory: str | None,
    environment: Mapping[str, str],
    stdin: IO[bytes],
    log: StageLog,
    keep: int,
    grace: timedelta,
) -> Ended:
    """Run it to its end, both its outputs going to `log` as they come.

    `keep` is how many characters of its stdout come back. When cancelled, nothing of it runs any
    more. Raises OSError and ValueError when it can't be started.
    """
    output, errors = _Pipe(), _Pipe()
    try:
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *arguments,
                cwd=directory,
                env=environment,
                stdin=stdin,
                stdout=output.writing,
                stderr=errors.writing,
                start_new_session=True,
            )
        )
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            with suppress(OSError, ValueError):
                _signal(await starting, signal.SIGKILL)  # it may have children already
            raise
        output.writing.close()
        errors.writing.close()
        kept = _Tail(keep)
        listening = asyncio.gather(output.listen(log.write, kept.write), errors.listen(log.write))
        try:
            await process.wait()
        finally:
            await _end(process, listening, grace)
    finally:
        output.close()
        errors.close()
    return Ended(process.returncode or 0, kept.text)


async def _end(
    process: asyncio.subprocess.Process, listening: asyncio.Future[Any], grace: timedelta
) -> None:
    """Leave no process of the group behind, even when cancelled once more meanwhile."""
    try:
        if process.returncode is None:
            _signal(process, signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), grace.total_seconds())
        elif not listening.done():
            await asyncio.wait([listening], timeout=_LAST_WORDS)
    finally:
        _signal(process, signal.SIGKILL)
        listening.cancel()
        await asyncio.shield(_gone(process, listening))


async def _gone(process: asyncio.subprocess.Process, listening: asyncio.Future[Any]) -> None:
    with suppress(asyncio.CancelledError):
        await listening
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the whole group: it has the child's id, since that leads a session of its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class _Tail:
    """The last characters of a stream."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.text = ""

    def write(self, text: str) -> None:
        self.text = (self.text + text)[-self._size :]


class _Pipe:
    """A pipe whose writing end is for the child; our copy of it is closed once that has it."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        self._reading = os.fdopen(reading, "rb", buffering=0)
        self.writing = os.fdopen(writing, "wb", buffering=0)

    def close(self) -> None:
        self._reading.close()
        self.writing.close()

    async def listen(self, *write: Callable[[str], None]) -> None:
        """Pass on what comes, until every writer is gone."""
        reader = asyncio.StreamReader()
        decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._reading
        )
        try:
            while piece := await reader.read(_PIECE):
                text = decode(piece)
                for listener in write:
                    listener(text)
        finally:
            transport.close()

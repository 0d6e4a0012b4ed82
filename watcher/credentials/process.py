"""Runs one program that gives a secret: in a process group of its own, bounded in time and output.

Whatever way it ends early (time-out, too much output, cancellation), the whole group is killed.
Nothing here shows what came on stdout.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from watcher.errors import CredentialError
from watcher.telemetry import systemd

MAXIMUM_OUTPUT = 64 * 1024
MAXIMUM_STDERR = 1000
_KEPT_STDERR = 4 * MAXIMUM_STDERR
_LAST_WAIT = 2.0
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended; `stderr` is one line for people, without what also came on stdout."""

    code: int
    stdout: str = field(repr=False)
    stderr: str

    @property
    def how(self) -> str:
        """`exit code 3: what it said on stderr`, or the signal that killed it."""
        ended = f"exit code {self.code}" if self.code >= 0 else f"killed by {_name(-self.code)}"
        return f"{ended}: {self.stderr}" if self.stderr else ended


async def run(
    arguments: Sequence[str],
    *,
    what: str,
    environment: Mapping[str, str],
    timeout: timedelta,
    stdin: bytes | None = None,
) -> Ended:
    """Run to the end and to the end of its output. `what` names it in errors.

    Raises CredentialError when it can't be started, takes too long, says too much, or what it
    says is not text.
    """
    starting = asyncio.ensure_future(_start(arguments, what, environment, stdin))
    try:
        transport, collector = await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(CredentialError):
            await _kill(*await starting)  # it may run already, with children of its own
        raise
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            await asyncio.shield(collector.done)
    except TimeoutError:
        said = _one_line(collector.stderr, collector.stdout)
        raise CredentialError(
            f"{what} took longer than {timeout.total_seconds():g} s and was killed"
            + (f": {said}" if said else ""),
            hint="`password_timeout` of the account says how long it may take",
        ) from None
    finally:
        if not collector.is_closed:
            await _kill(transport, collector)
        transport.close()
    if collector.is_too_much:
        raise CredentialError(f"{what} printed more than {MAXIMUM_OUTPUT // 1024} KiB")
    return _ended(transport.get_returncode(), collector, what)


class _Collector(asyncio.SubprocessProtocol):
    """Collects both outputs; `done` when the program ended and closed them, or said too much."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.done = done
        self.closed = done.get_loop().create_future()
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.is_too_much = False

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1 and len(self.stdout) + len(data) > MAXIMUM_OUTPUT:
            self.is_too_much = True
            self._finish()
        elif fd == 1:
            self.stdout += data
        else:
            self.stderr = (self.stderr + data)[-_KEPT_STDERR:]

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)
        self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    @property
    def is_closed(self) -> bool:
        return self.closed.done()


async def _start(
    arguments: Sequence[str], what: str, environment: Mapping[str, str], stdin: bytes | None
) -> tuple[asyncio.SubprocessTransport, _Collector]:
    loop = asyncio.get_running_loop()
    try:
        transport, collector = await loop.subprocess_exec(
            lambda: _Collector(loop.create_future()),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={key: value for key, value in environment.items() if key not in systemd.OURS},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds a NUL character"
        raise CredentialError(f"{what} can't be started: {reason}") from None
    if stdin is not None:
        _write(transport, stdin)
    return transport, collector


def _write(transport: asyncio.SubprocessTransport, stdin: bytes) -> None:
    pipe = transport.get_pipe_transport(0)
    assert isinstance(pipe, asyncio.WriteTransport)  # for stdin is a pipe
    pipe.write(stdin)
    pipe.close()


async def _kill(transport: asyncio.SubprocessTransport, collector: _Collector) -> None:
    """The group is the program's own, so its number is that of the program. One that left the
    group may hold the pipes open; they are closed without waiting for it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), signal.SIGKILL)
    transport.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WAIT):
            await asyncio.shield(collector.closed)


def _ended(code: int | None, collector: _Collector, what: str) -> Ended:
    stderr = _one_line(collector.stderr, collector.stdout)
    try:
        stdout = collector.stdout.decode()
    except UnicodeDecodeError:
        raise CredentialError(f"{what} printed what is not UTF-8 text") from None
    return Ended(code if code is not None else -signal.SIGKILL, stdout, stderr)


def _one_line(stderr: bytes | bytearray, stdout: bytes | bytearray) -> str:
    """Control characters (colours, newlines) become blanks; a secret said twice is cut out."""
    text = stderr.decode(errors="replace")
    for secret in stdout.decode(errors="replace").split():
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[removed]")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAXIMUM_STDERR else f"... {line[-MAXIMUM_STDERR:]}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

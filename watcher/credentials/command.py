"""`password_command`: its stdout is the password (SPEC 3.1)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping

from watcher.core.account import Credential, CredentialSource
from watcher.credentials.plain import without_newline
from watcher.credentials.process import run
from watcher.credentials.renewed import Renewed
from watcher.errors import CredentialError

_PROGRAM = re.compile(r"[-\w./+@]+")


def from_command(
    source: CredentialSource, *, clock: Callable[[], float], environment: Mapping[str, str]
) -> Renewed:
    """A provider that runs the command of `source`, at most once per `password_ttl` while the
    registry takes what it gave."""
    command = source.password_command
    assert command is not None  # or another provider would do
    arguments = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    what = f"password_command ({_program(command)})"

    async def fetch() -> Credential:
        ended = await run(
            arguments, what=what, environment=environment, timeout=source.password_timeout
        )
        if ended.code != 0:
            raise CredentialError(f"{what} failed, {ended.how}")
        password = without_newline(ended.stdout)
        if not password.strip():
            said = f": {ended.stderr}" if ended.stderr else ""
            raise CredentialError(f"{what} printed nothing{said}")
        return Credential(source.username, password)

    return Renewed(fetch, ttl=source.password_ttl, clock=clock)


def _program(command: str | tuple[str, ...]) -> str:
    """The program alone: assignments before it and arguments after it may be secrets."""
    try:
        words = shlex.split(command) if isinstance(command, str) else command[:1]
    except ValueError:
        return "..."
    first = next((word for word in words if "=" not in word), "").rstrip(";")
    return first if _PROGRAM.fullmatch(first) else "..."

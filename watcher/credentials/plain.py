"""Passwords that are simply there: written in the config, in the environment, or in a file.

A file is read again when it changed, since secrets in files are rotated (SPEC 3.1).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from watcher.core.account import Credential
from watcher.errors import CredentialError

MAXIMUM_FILE_SIZE = 1024 * 1024

Stamp = tuple[int, int, int]


class Fixed:
    """The password of the config, or none at all."""

    def __init__(self, username: str | None, password: str | None) -> None:
        self._credential = Credential(username, password)

    async def get(self) -> Credential:
        return self._credential

    async def renew(self, refused: Credential) -> Credential:
        return self._credential


class FromEnvironment:
    """The password in an environment variable, as it is."""

    def __init__(self, username: str | None, variable: str, environment: Mapping[str, str]) -> None:
        self._username = username
        self._variable = variable
        self._environment = environment

    async def get(self) -> Credential:
        password = self._environment.get(self._variable)
        if not password:
            state = "is not set" if password is None else "is empty"
            raise CredentialError(
                f"the environment variable {self._variable} {state}",
                hint="`password_env` of the account names it",
            )
        return Credential(self._username, password)

    async def renew(self, refused: Credential) -> Credential:
        return await self.get()


class FromFile:
    """The password in a file; a refused one is read again at once."""

    def __init__(self, username: str | None, path: Path) -> None:
        self._username = username
        self._file = WatchedFile(path, "password_file")
        self._credential: Credential | None = None

    async def get(self) -> Credential:
        if self._credential is None or self._file.is_changed():
            return await self.renew(Credential())
        return self._credential

    async def renew(self, refused: Credential) -> Credential:
        password = without_newline(self._file.read())
        if not password:
            raise CredentialError(f"password_file {self._file.path} is empty")
        self._credential = Credential(self._username, password)
        return self._credential


class WatchedFile:
    """A small text file that others may replace at any time. `key` is the config key that names
    it, for messages."""

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self._key = key
        self._stamp: Stamp | None = None

    def is_changed(self) -> bool:
        """Whether its time, inode or size is another than when it was read; also when it is gone,
        so that reading it again says so."""
        try:
            return _stamp(os.stat(self.path)) != self._stamp
        except OSError:
            return True

    def read(self) -> str:
        """All of it; raises CredentialError."""
        try:
            with self.path.open("rb") as stream:
                stamp = _stamp(os.fstat(stream.fileno()))
                content = stream.read(MAXIMUM_FILE_SIZE + 1)
        except OSError as error:
            raise self._error(f"can't be read: {error.strerror}") from error
        if len(content) > MAXIMUM_FILE_SIZE:
            raise self._error("is larger than 1 MiB")
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise self._error("is not UTF-8 text") from None  # the cause holds the content
        self._stamp = stamp
        return text

    def _error(self, what: str) -> CredentialError:
        return CredentialError(f"{self._key} {self.path} {what}")


def without_newline(text: str) -> str:
    """One newline at the end is cut, nothing else: a password may end in blanks."""
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_mtime_ns, status.st_ino, status.st_size)

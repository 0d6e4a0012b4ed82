"""Which files make up the config, what is in them, and whether they changed (SPEC 3, 8).

Imported by `load`, and by the command line for the place of a config that is refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from watcher.config.reading import Reading
from watcher.errors import ConfigError, Problem

MAXIMUM_SIZE = 4 * 1024 * 1024
ENVIRONMENT_VARIABLE = "WATCHER_CONFIG"
LOCAL_FILE = Path("config.yaml")
SYSTEM_FILE = Path("/etc/registry-watcher/config.yaml")

Signature = tuple[tuple[str, int, int, int], ...]


def find(path: Path | None, environment: Mapping[str, str], system_file: Path) -> Path:
    """The config file or directory: `path`, else $WATCHER_CONFIG, else ./config.yaml, else the
    system's. Raises ConfigError when there is none."""
    named = path or (Path(value) if (value := environment.get(ENVIRONMENT_VARIABLE)) else None)
    if named is not None:
        if not named.exists():
            source = "" if path is not None else f"${ENVIRONMENT_VARIABLE} names it"
            raise _unusable(named, "there is no such file or directory", source or None)
        return named
    for candidate in (LOCAL_FILE, system_file):
        if candidate.exists():
            return candidate
    raise _unusable(
        LOCAL_FILE,
        f"there is no config file: neither ./{LOCAL_FILE} nor {system_file}",
        f"name one with -c or ${ENVIRONMENT_VARIABLE}; `watcher init` writes one",
    )


def directory_of(path: Path) -> Path:
    """What relative paths in the file are relative to; a pipe lies nowhere, so that is here."""
    if path.is_dir():
        return path.absolute()
    return path.absolute().parent if path.is_file() else Path.cwd()


def files_of(path: Path) -> tuple[Path, ...]:
    """The file itself, or every *.yaml in the directory by name. Raises ConfigError."""
    if not path.is_dir():
        return (path,)
    try:
        files = tuple(sorted(_yaml_files(path)))
    except OSError as error:
        raise _unusable(path, f"can't be read: {error.strerror}") from error
    if not files:
        raise _unusable(path, "there is no *.yaml in this directory")
    return files


def read(file: Path, reading: Reading) -> str | None:
    """The text of one file, None after its problem was reported."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAXIMUM_SIZE + 1)
    except OSError as error:
        reading.refuse_at(0, "", f"can't be read: {error.strerror}")
        return None
    if len(content) > MAXIMUM_SIZE:
        reading.refuse_at(0, "", f"is larger than {MAXIMUM_SIZE // 1024**2} MiB")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reading.refuse_at(line, "", "is not UTF-8 text")
        return None


def signature(path: Path) -> Signature:
    """Changes when a file of the config is written, replaced, added or removed."""
    try:
        files = sorted(_yaml_files(path)) if path.is_dir() else [path]
    except OSError:
        return ()
    return tuple(_stamp(file) for file in files)


def _yaml_files(directory: Path) -> list[Path]:
    """Hidden files are left out, as the shell's * does; editors keep their own there."""
    return [
        file
        for file in directory.iterdir()
        if file.suffix == ".yaml" and not file.name.startswith(".") and file.is_file()
    ]


def _stamp(file: Path) -> tuple[str, int, int, int]:
    try:
        status = os.stat(file)
    except OSError:
        return (str(file), 0, 0, 0)
    return (str(file), status.st_mtime_ns, status.st_ino, status.st_size)


def _unusable(path: Path, message: str, hint: str | None = None) -> ConfigError:
    return ConfigError((Problem(str(path), 0, "", message, hint),))

"""`watcher import spinnaker FILE`: reads Spinnaker's files, prints or writes a config file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli import output
from watcher.cli.base import Invocation, group, pass_invocation
from watcher.cli.failure import warn
from watcher.cli.yaml_text import dump
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.cli.spinnaker import Imported

MAXIMUM_BYTES = 16 * 1024 * 1024


@group("import", short_help="Turn another tool's config into ours.")
def import_() -> None:
    """Turn another tool's config into a config file of this one."""


@import_.command("spinnaker", short_help="Accounts and Docker triggers of Spinnaker.")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE…")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="Write here.")
@pass_invocation
def spinnaker(invocation: Invocation, files: tuple[Path, ...], target: Path | None) -> None:
    """Read Halyard's or clouddriver's account YAML and pipeline or trigger JSON; give several
    files to get one config with all of them.

    The result goes to stdout, or to --output (which must not exist). A password that stands in the
    file is copied to --output only, which is then readable by its owner alone; elsewhere
    `password_env` stands in its place.
    """
    from watcher.cli.spinnaker import convert

    try:
        result = convert(document for file in files for document in _documents(file))
    except ValueError as error:
        raise UsageError(str(error)) from error
    _place_secrets(result, visible=target is not None)
    if not invocation.json:
        for note in result.notes:
            warn(note)
    if target is not None:
        _write(target, _yaml(result))
    if invocation.json:
        config = None if target is not None else result.config()
        output.print_json(
            {"file": target, "config": config, "notes": [output.clean(n) for n in result.notes]}
        )
    elif target is None:
        output.write(_yaml(result))
    else:
        output.say(f"wrote {target}; next: watcher validate -c {target}")


def _documents(file: Path) -> list[object]:
    """Every document of a YAML or JSON file (JSON is YAML)."""
    import yaml

    try:
        with file.open("rb") as stream:
            text = stream.read(MAXIMUM_BYTES + 1)
        if len(text) > MAXIMUM_BYTES:
            raise UsageError(f"{file} is larger than 16 MiB")
        return list(yaml.safe_load_all(text))
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise UsageError(f"{file} is neither YAML nor JSON: {line}") from error


def _place_secrets(result: Imported, *, visible: bool) -> None:
    for account in result.accounts:
        name = account["name"]
        if name not in result.secrets:
            continue
        if visible:
            account["password"] = result.secrets[name]
        else:
            variable = name.upper().replace("-", "_") + "_PASSWORD"
            account["password_env"] = variable
            result.notes.append(
                f"account {name}: the password is not shown; set ${variable}, or use --output"
            )


def _yaml(result: Imported) -> str:
    lines = ["# Imported from Spinnaker by `watcher import spinnaker`."]
    lines += [f"# note: {output.clean(note)}" for note in result.notes]
    for key, value in result.config().items():
        lines += ["", dump({key: value}).rstrip()]
    return "\n".join(lines) + "\n"


def _write(target: Path, text: str) -> None:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UsageError(f"{target} is there already", hint="name another file") from error
    except OSError as error:
        raise UsageError(f"{target} can't be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)

"""`watcher account add`: writes an account into the config file and leaves the rest as it is.

The password is asked for, or read from stdin where no person sits; it is never an argument, for
arguments are seen by every user of the machine (SPEC 8).
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from watcher.cli import output
from watcher.cli.base import Invocation, group, pass_invocation
from watcher.cli.session import load_config
from watcher.cli.setup import DEFAULT_CONFIG
from watcher.errors import ConfigError, UsageError

SECRET_MODE = 0o640  # what a file with a password in it keeps of its mode
DIRECTORY_FILE = "accounts.yaml"


@group("account", short_help="Accounts in the config file.")
def account() -> None:
    """Accounts in the config file."""


@account.command("add", short_help="Write an account into the config file.")
@click.argument("name")
@click.option("--address", required=True, help="Host, host:port or URL of the registry.")
@click.option("--username", help="Without one the account is anonymous.")
@click.option("--password-file", metavar="PATH", help="Read the password from this file.")
@click.option("--password-env", metavar="NAME", help="Read the password from this variable.")
@click.option("--password-command", metavar="COMMAND", help="A shell command that prints it.")
@click.option("--password-ttl", metavar="DURATION", help="How long the command's answer holds.")
@click.option("--docker-config", metavar="PATH", help="A docker config.json; `true`: the usual.")
@click.option("--repository", "repositories", multiple=True, help="To watch; may be repeated.")
@click.option("--catalog", is_flag=True, help="Watch everything in the registry's catalog.")
@click.option("--include", metavar="REGEX", help="Of the catalog only these (full match).")
@click.option("--skip", multiple=True, metavar="NAME", help="Of the catalog not this one.")
@click.option("--poll", metavar="DURATION", help="How often, such as 60s or 5m.")
@click.option("--plain-http", is_flag=True, help="http:// instead of https://.")
@click.option("--ca-file", metavar="PATH", help="Certificate authority of the registry.")
@pass_invocation
def add(invocation: Invocation, /, name: str, **options: Any) -> None:
    """Write account NAME into the config file; comments and the rest of the file stay.

    With --username and no other source, the password is asked for (or read from stdin when that is
    no terminal) and written into the file, which then loses its access for others.
    """
    path = _target(invocation)
    item = account_item(name, options)
    if item.get("username") and not _has_source(options):
        item["password"] = _ask_password(name)
    _check_is_new(path, name)
    _add(path, item, invocation)
    if invocation.json:
        output.print_json({"file": str(path), "account": name})
    else:
        output.say(f"account {name} is in {path}; next: watcher validate --online")


def account_item(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options as the config has them (SPEC 3.1)."""
    item: dict[str, Any] = {"name": name, "address": options["address"]}
    texts = ("username", "password_file", "password_env", "password_command", "password_ttl")
    item |= {key: options[key] for key in texts if options[key] is not None}
    if options["docker_config"] is not None:
        given = options["docker_config"]
        item["docker_config"] = True if given == "true" else given
    if options["repositories"]:
        item["repositories"] = list(options["repositories"])
    item |= _catalog(options)
    if options["poll"] is not None:
        item["poll"] = options["poll"]
    if options["plain_http"]:
        item["plain_http"] = True
    if options["ca_file"] is not None:
        item["tls"] = {"ca_file": options["ca_file"]}
    return item


def _catalog(options: dict[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if options["include"] is not None:
        details["include"] = options["include"]
    if options["skip"]:
        details["skip"] = list(options["skip"])
    return {"catalog": details or True} if details or options["catalog"] else {}


def _has_source(options: dict[str, Any]) -> bool:
    sources = ("password_file", "password_env", "password_command", "docker_config")
    return any(options[key] is not None for key in sources)


def _target(invocation: Invocation) -> Path:
    path = invocation.config or Path(os.environ.get("WATCHER_CONFIG") or DEFAULT_CONFIG)
    if path.is_dir():
        return path / DIRECTORY_FILE
    if not path.exists():
        raise UsageError(f"there is no config file {path}", hint="`watcher init` writes one")
    return path.resolve()


def _ask_password(name: str) -> str:
    """Typed unseen, or all of stdin (a key may have several lines) less one trailing newline."""
    if sys.stdin.isatty():
        typed: str = click.prompt(f"Password of {name}", hide_input=True, err=True)
        return typed
    text = sys.stdin.read().removesuffix("\n")
    if not text:
        raise UsageError(
            "no password: stdin is empty and no terminal",
            hint="pipe it in, or use --password-file, --password-env or --password-command",
        )
    return text


def _check_is_new(path: Path, name: str) -> None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe", pure=True).load(path) if path.exists() else None
    except YAMLError as error:
        raise UsageError(f"{path}: {' '.join(str(error).split())}") from error
    accounts = document.get("accounts") if isinstance(document, dict) else None
    for existing in accounts if isinstance(accounts, list) else []:
        if isinstance(existing, dict) and existing.get("name") == name:
            raise UsageError(f"{path} has an account {name!r} already", hint="choose another name")


def _add(path: Path, item: dict[str, Any], invocation: Invocation) -> None:
    """Write, and take it back when the config no longer loads with it."""
    from watcher.cli.yaml_text import append

    before = path.read_text(encoding="utf-8") if path.exists() else None
    try:
        after = append(before or "", "accounts", item)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    replace_file(path, after, secret="password" in item)
    try:
        load_config(invocation)
    except ConfigError:
        if before is None:
            path.unlink()
        else:
            replace_file(path, before, secret=False)
        raise


def replace_file(path: Path, text: str, *, secret: bool) -> None:
    """Put a whole new file in the old one's place, with its owner and mode."""
    file = None
    try:
        old = path.stat() if path.exists() else None
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            file.write(text)
            file.flush()
            mode = stat.S_IMODE(old.st_mode) if old else 0o644
            os.fchmod(file.fileno(), mode & SECRET_MODE if secret else mode)
            if old and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fsync(file.fileno())
        os.replace(file.name, path)
    except OSError as error:
        if file is not None:
            Path(file.name).unlink(missing_ok=True)  # it may hold the password
        raise UsageError(f"{path} can't be written: {error.strerror}") from error

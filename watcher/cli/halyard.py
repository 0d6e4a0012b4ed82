"""What Halyard warned of, and more: what is legal in a config and yet most likely a mistake.

Offline checks look at the config and at the files and variables it names; online ones log in and
list. A finding never holds a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watcher.cli.notifier_checks import notifier_faults
from watcher.cli.unheeded import Unheeded, unheeded

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.account import Account
    from watcher.core.cluster import Cluster
    from watcher.core.serving import HttpSettings
    from watcher.core.trigger import Trigger

PLACEHOLDER = re.compile(r"<[^<>]+>|\$\{[^}]*\}|\{\{.*\}\}|(?i:change[-_]?me|xxx+|todo)")
LARGEST_PASSWORD_FILE = 1024 * 1024


class Severity(StrEnum):
    """An error makes `validate` exit with 1, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a person should look at."""

    severity: Severity
    message: str
    hint: str | None = None
    account: str | None = None
    repository: str | None = None
    trigger: str | None = None
    cluster: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"severity": self.severity.value}


def offline(config: Config, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Everything that shows without a registry."""
    for account in config.accounts:
        yield from _credential(account, environment)
        yield from _tls_files(account)
        yield from _stale_in_between(account)
        yield from _watches_nothing(account, config)
    yield from map(finding_of, unheeded(config.accounts))
    for cluster in config.clusters:
        yield from _kubeconfig(cluster)
    if config.http is not None:
        yield from _tokens(config.http)
    for message, hint in notifier_faults(config, environment):
        yield _warn(message, hint=hint)
    for trigger in config.triggers:
        yield from _pattern(trigger)
    used = {trigger.pipeline for trigger in config.triggers} | _called(config)
    for pipeline in config.pipelines:
        if pipeline.name not in used:
            yield _warn(f"pipeline {pipeline.name}: no trigger names it")


def _called(config: Config) -> set[str]:
    """Pipelines that a stage of another one starts."""
    stages = (stage for pipeline in config.pipelines for stage in pipeline.stages)
    return {
        str(stage.options.get("name"))
        for stage in stages
        if stage.type == "pipeline" and isinstance(stage.options, dict)
    }


def _credential(account: Account, environment: Mapping[str, str]) -> Iterator[Finding]:
    source = account.credential
    sources = (
        source.password,
        source.password_file,
        source.password_env,
        source.password_command,
    )
    given = any(each is not None for each in sources)
    if source.username and not given and source.docker_config is None:
        yield _warn("a username without a password", account, "the password sent is empty")
    if given and not source.username:
        yield _warn("a password without a username", account, "it is sent with an empty name")
    if source.password is not None:
        yield from _blanks("the password", source.password, account)
    if source.password_file is not None:
        yield from _password_file(source.password_file, account)
    if source.password_env is not None:
        yield from _password_variable(source.password_env, account, environment)
    if account.tls.insecure_skip_verify:
        yield _warn(
            "certificates are not verified", account, "name the registry's CA in `tls.ca_file`"
        )


def _tls_files(account: Account) -> Iterator[Finding]:
    """What a connection would stumble over first: the files that `tls` names."""
    from watcher.errors import TlsError
    from watcher.http_client import context_of

    try:
        context_of(account.tls)
    except TlsError as error:
        yield _error(str(error), account, error.hint)


def _stale_in_between(account: Account) -> Iterator[Finding]:
    """Whether health would be red before each poll, and told so."""
    interval, limit = account.poll.every, account.stale_after
    if interval is not None and limit is not None and limit <= interval:
        yield _warn(
            "stale_after is no longer than the interval: it is stale before each poll",
            account,
            "three intervals are the default, so that one failed poll is no alarm",
        )


def _tokens(http: HttpSettings) -> Iterator[Finding]:
    from watcher.core.serving import LONGEST_TOKEN

    named = {"token_file": http.token_file, "hook_token_file": http.hook_token_file}
    for key, path in named.items():
        if path is None:
            continue
        try:
            with path.open("rb") as file:
                fault = _fault_of_token(file.read(LONGEST_TOKEN + 1).strip())
        except OSError as error:
            fault = f"can't be read: {error.strerror}"
        if fault is not None:
            yield _warn(f"http: {key} {path} {fault}", hint="while it is so, nobody is let in")


def _fault_of_token(token: bytes) -> str | None:
    from watcher.core.serving import is_token

    if is_token(token):
        return None
    return "is too large, or not of one line" if token else "is empty"


def _password_file(path: Path, account: Account) -> Iterator[Finding]:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_PASSWORD_FILE).decode(errors="replace")
        is_open = path.stat().st_mode & 0o004
    except OSError as error:
        yield _error(f"password_file {path} can't be read: {error.strerror}", account)
        return
    if not text.strip():
        yield _warn(f"password_file {path} is empty", account)
    elif '"auths"' in text:
        yield _warn(
            f"password_file {path} looks like a docker config.json",
            account,
            "name it under `docker_config` instead",
        )
    else:
        yield from _blanks(f"the password in {path}", text.removesuffix("\n"), account)
    if is_open:
        yield _warn(f"password_file {path} can be read by every user", account, "chmod o-r")


def _password_variable(
    name: str, account: Account, environment: Mapping[str, str]
) -> Iterator[Finding]:
    value = environment.get(name)
    if value is None:
        yield _warn(f"${name} is not set here", account, "it has to be set where the watcher runs")
    elif not value:
        yield _warn(f"${name} is empty", account)
    else:
        yield from _blanks(f"the password in ${name}", value, account)


def _blanks(what: str, password: str, account: Account) -> Iterator[Finding]:
    """Halyard's hint for the most common reason of a 401. Keys in JSON may have blanks around."""
    if not password:
        yield _warn(f"{what} is empty", account)
    elif password != password.strip() and not password.lstrip().startswith("{"):
        where = "newline at its end" if password.rstrip("\r\n") == password.strip() else "blanks"
        yield _warn(
            f"{what} has {'a ' if where.startswith('newline') else ''}{where}"
            f"{'' if where.startswith('newline') else ' around it'}",
            account,
            "they are sent as they are; take them out if logging in fails",
        )
    if PLACEHOLDER.fullmatch(password):
        yield _warn(f"{what} looks like a placeholder", account)


def has_placeholder(account: Account) -> bool:
    """Whether the account was not filled in yet: there is no use in asking a registry then."""
    password = account.credential.password
    return password is not None and PLACEHOLDER.fullmatch(password) is not None


def _kubeconfig(cluster: Cluster) -> Iterator[Finding]:
    path = cluster.kubeconfig
    if path is None:
        return
    try:
        with path.open("rb"):
            is_open = path.stat().st_mode & 0o004
    except OSError as error:
        message = f"kubeconfig {path} can't be read: {error.strerror}"
        yield Finding(severity=Severity.ERROR, message=message, cluster=cluster.name)
        return
    if is_open:
        yield Finding(
            severity=Severity.WARNING,
            message=f"kubeconfig {path} can be read by every user",
            hint="chmod o-r",
            cluster=cluster.name,
        )


def _watches_nothing(account: Account, config: Config) -> Iterator[Finding]:
    if account.repositories or account.catalog is not None:
        return
    triggers = [trigger for trigger in config.triggers if trigger.account == account.name]
    if not any(trigger.repositories for trigger in triggers):
        yield _warn(
            "it watches no repository", account, "list `repositories`, or set `catalog: true`"
        )


def finding_of(key: Unheeded) -> Finding:
    """A key that does nothing, as a warning."""
    return _warn(key.message, key.account, key.hint)


def _pattern(trigger: Trigger) -> Iterator[Finding]:
    if not trigger.enabled:
        yield _warn("it is switched off in the config", trigger=trigger.name)
    pattern = trigger.tag.matches
    if pattern is not None and re.fullmatch(r"[A-Za-z0-9_-]+", pattern.strip()):
        yield _warn(
            f"its pattern {pattern.strip()!r} matches that one tag only",
            trigger=trigger.name,
            hint=f"a pattern matches the whole tag; for more write {pattern.strip() + '.*'!r}, "
            "for exactly this tag `tag: {equals: ...}`",
        )


def _warn(
    message: str,
    account: Account | None = None,
    hint: str | None = None,
    *,
    trigger: str | None = None,
) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        message=message,
        hint=hint,
        account=account.name if account is not None else None,
        trigger=trigger,
    )


def _error(message: str, account: Account, hint: str | None = None) -> Finding:
    return Finding(severity=Severity.ERROR, message=message, hint=hint, account=account.name)

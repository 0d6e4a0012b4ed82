"""Loads the config file or directory: everything right as one Config, or everything wrong as one
ConfigError (SPEC 3). The stages' options come from above, as kinds.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from watcher.config import (
    accounts,
    checks,
    cluster_checks,
    clusters,
    files,
    nodes,
    notifying,
    pipelines,
    retention,
    serving,
    triggers,
    yaml_nodes,
)
from watcher.config.cluster_checks import ClusterNames
from watcher.config.document import LISTS, document
from watcher.config.fields import Kind, Section
from watcher.config.files import Signature
from watcher.config.items import Item, Items, Json
from watcher.config.reading import Reading
from watcher.core.account import Account
from watcher.core.cluster import Cluster
from watcher.core.notifier import Audience, Notifier, Ping
from watcher.core.pipeline import Pipeline
from watcher.core.retention import Retention
from watcher.core.serving import HttpSettings
from watcher.core.trigger import Trigger
from watcher.errors import ConfigError, Problem

STATE_FILE = "watcher.db"
_DEFAULT_RETENTION = Retention()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config without a fault. `path` is the file or directory that was asked for; `files` are
    those that were read, `loaded` their signature at that time."""

    path: Path
    state: Path
    accounts: tuple[Account, ...]
    triggers: tuple[Trigger, ...]
    pipelines: tuple[Pipeline, ...]
    files: tuple[Path, ...]
    loaded: Signature
    clusters: tuple[Cluster, ...] = ()
    http: HttpSettings | None = None
    retention: Retention = _DEFAULT_RETENTION
    notifiers: tuple[Notifier, ...] = ()
    ping: Ping | None = None

    @property
    def secret_variables(self) -> frozenset[str]:
        """Variables of the environment that hold passwords of accounts, or URLs of notifiers."""
        names = [account.credential.password_env for account in self.accounts]
        names += [each.apprise.variable for each in self.notifiers if each.apprise is not None]
        return frozenset(name for name in names if name is not None)

    @property
    def audience(self) -> Audience:
        """Who is told of what."""
        return Audience(self.notifiers, {each.name: each.notify for each in self.pipelines})

    def without_passwords(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What other programs may see of the environment."""
        secret = self.secret_variables
        return {name: value for name, value in environment.items() if name not in secret}

    def signature(self) -> Signature:
        """What the files are like now; other than `loaded` when one was written, replaced, added
        or removed since."""
        return files.signature(self.path)


class Whereabouts(NamedTuple):
    """Where a running daemon is found: the config that it read, by its absolute path; its state
    file, or where a config with problems leaves several, the likeliest first; and where it
    listens."""

    config: Path
    states: tuple[Path, ...]
    http: HttpSettings | None


def load(
    path: Path | None,
    *,
    stages: Mapping[str, Kind],
    environment: Mapping[str, str],
    undoable: Container[str] = (),
    system_file: Path = files.SYSTEM_FILE,
) -> Config:
    """Read the config at `path`, else at $WATCHER_CONFIG, else ./config.yaml, else `system_file`.

    `stages` maps each stage type to the kind of its options, `undoable` has those whose work can
    be taken back. Raises ConfigError with every problem that was found, in the order of files and
    lines.
    """
    found = files.find(path, environment, system_file)
    signature = files.signature(found.absolute())
    names = files.files_of(found)
    parts = _Parts.read(names, files.directory_of(found), stages, environment)
    known_clusters = parts.clusters(stages, undoable)
    config = parts.config(found.absolute(), names, signature, known_clusters)
    if parts.problems:
        raise ConfigError(tuple(sorted(set(parts.problems), key=_place)))
    return config


def whereabouts(
    path: Path | None,
    *,
    environment: Mapping[str, str],
    system_file: Path = files.SYSTEM_FILE,
) -> Whereabouts:
    """What the config says of where the daemon is, though the rest of it may be wrong by now: the
    daemon goes on with what it had. Raises ConfigError where there is no file."""
    found = files.find(path, environment, system_file)
    names = files.files_of(found)
    parts = _Parts.read(names, files.directory_of(found), {}, environment)
    lines = _state_lines(names, environment) if parts.problems else ()
    return Whereabouts(found.absolute(), tuple(dict.fromkeys([parts.state, *lines])), parts.http)


def _state_lines(names: Iterable[Path], environment: Mapping[str, str]) -> Iterator[Path]:
    """What lines that begin with `state:` say, in files that may be no YAML."""
    keys = document({})
    for name in names:
        reading = Reading(
            file=str(name), directory=files.directory_of(name), environment=environment
        )
        for line in (files.read(name, reading) or "").splitlines():
            if line.startswith("state:"):
                value = _read_text(line, keys, reading).get("state")
                if value is not None:
                    yield Path(value)


def _place(problem: Problem) -> tuple[str, int, str, str]:
    return (problem.file, problem.line, problem.path, problem.message)


@dataclass(slots=True)
class _Parts:
    """The items of all files, merged by list, and everything that was wrong with them."""

    lists: dict[str, list[Item]]
    state: Path
    problems: list[Problem]
    http: HttpSettings | None = None
    retention: Retention = _DEFAULT_RETENTION
    ping: Ping | None = None

    @staticmethod
    def read(
        names: tuple[Path, ...],
        directory: Path,
        stages: Mapping[str, Kind],
        environment: Mapping[str, str],
    ) -> _Parts:
        parts = _Parts({key: [] for key in LISTS}, _default_state(directory, environment), [])
        keys = document(stages, list_kind=Items)
        first: dict[str, Reading] = {}
        for name in names:
            reading = Reading(
                file=str(name),
                directory=files.directory_of(name),
                environment=environment,
                problems=parts.problems,
            )
            parts.add(_read_file(name, keys, reading), reading, first)
        if "accounts" not in first and not parts.problems:
            message = "there is no account in it"
            parts.problems.append(Problem(str(names[0]), 0, "accounts", message))
        return parts

    def add(self, data: Mapping[str, Json], reading: Reading, first: dict[str, Reading]) -> None:
        for key, value in data.items():
            if key in LISTS:
                self.lists[key] += value
            elif key in first:
                place = f"{first[key].file}:{first[key].lines[key]}"
                message = f"the key {key!r} is given twice"
                reading.refuse_at(reading.lines[key], key, message, f"first at {place}")
            else:
                self._take(key, value, reading)
            first.setdefault(key, reading)

    def _take(self, key: str, value: Json, reading: Reading) -> None:
        """What may stand once in all files together."""
        match key:
            case "state":
                self.state = Path(value)
            case "http":
                self.http = serving.build(value, reading)
            case "retention":
                self.retention = retention.build(value)
            case "ping":
                self.ping = notifying.build_ping(value, reading)

    def clusters(self, stages: Mapping[str, Kind], undoable: Container[str]) -> tuple[Cluster, ...]:
        """The clusters; what stages say of them, and of taking back, is checked."""
        items = checks.unique_names(self.lists["clusters"])
        built = _named(clusters.build(item) for item in self.lists["clusters"])
        names = ClusterNames(items=items, built=built)
        for item in self.lists["pipelines"]:
            cluster_checks.check_stages(item, names, stages)
            cluster_checks.check_rollbacks(item, undoable)
        return tuple(built.values())

    def config(
        self,
        path: Path,
        names: tuple[Path, ...],
        signature: Signature,
        known_clusters: tuple[Cluster, ...],
    ) -> Config:
        account_items = checks.unique_names(self.lists["accounts"])
        pipeline_items = checks.unique_names(self.lists["pipelines"])
        checks.unique_names(self.lists["triggers"])
        built_accounts = _named(accounts.build(item) for item in self.lists["accounts"])
        built_pipelines = _named(pipelines.build(item) for item in self.lists["pipelines"])
        checks.check_calls(pipeline_items, built_pipelines)
        notifiers = self._notifiers(account_items)
        known = _Known(account_items, pipeline_items, built_accounts, built_pipelines)
        built_triggers = [_trigger(item, known) for item in self.lists["triggers"]]
        return Config(
            path=path,
            state=self.state,
            accounts=tuple(built_accounts.values()),
            triggers=tuple(trigger for trigger in built_triggers if trigger is not None),
            pipelines=tuple(built_pipelines.values()),
            clusters=known_clusters,
            http=self.http,
            retention=self.retention,
            notifiers=notifiers,
            ping=self.ping,
            files=tuple(name.absolute() for name in names),
            loaded=signature,
        )

    def _notifiers(self, account_items: Mapping[str, Item]) -> tuple[Notifier, ...]:
        """The notifiers; what they and pipelines say of each other's names is checked."""
        items = checks.unique_names(self.lists["notifiers"])
        for item in self.lists["notifiers"]:
            notifying.check_accounts(item, account_items)
        for item in self.lists["pipelines"]:
            notifying.check_wishes(item, items)
        return tuple(_named(notifying.build(item) for item in self.lists["notifiers"]).values())


@dataclass(frozen=True, slots=True)
class _Known:
    """What triggers may name: everything written, and what of it is without a fault."""

    account_items: Mapping[str, Item]
    pipeline_items: Mapping[str, Item]
    accounts: Mapping[str, Account]
    pipelines: Mapping[str, Pipeline]


def _trigger(item: Item, known: _Known) -> Trigger | None:
    data = item.data
    account = known.accounts.get(data.get("account", ""))
    pipeline = known.pipelines.get(data.get("pipeline", ""))
    trigger = triggers.build(item, account)
    if "account" in data:
        checks.check_known(item, "account", data["account"], known.account_items, "account")
    if "pipeline" in data:
        checks.check_known(item, "pipeline", data["pipeline"], known.pipeline_items, "pipeline")
    if trigger is not None and account is not None and pipeline is not None:
        checks.check_trigger(item, trigger, account, pipeline)
    return trigger


Part = TypeVar("Part", Account, Cluster, Notifier, Pipeline)


def _named(parts: Iterable[Part | None]) -> dict[str, Part]:
    return {part.name: part for part in parts if part is not None}


def _read_file(name: Path, keys: Section, reading: Reading) -> dict[str, Json]:
    """What one file has at its top level; its problems are reported."""
    text = files.read(name, reading)
    return {} if text is None else _read_text(text, keys, reading)


def _read_text(text: str, keys: Section, reading: Reading) -> dict[str, Json]:
    try:
        root = yaml_nodes.parse(text)
    except yaml_nodes.YamlError as error:
        reading.refuse_at(error.line, "", error.message, error.hint)
        return {}
    if root is None:
        return {}
    if not isinstance(root, nodes.Mapping):
        hint = f"with the keys {', '.join(keys.fields)}"
        reading.refuse(root, "", f"must be a mapping, is {nodes.name_of(root)}", hint)
        return {}
    return keys.read_entries(root, "", reading)


def _default_state(directory: Path, environment: Mapping[str, str]) -> Path:
    """systemd may name several directories, with colons between them; the first is ours."""
    first = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(first) / STATE_FILE if first else directory / STATE_FILE

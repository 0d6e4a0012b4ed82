"""Spinnaker's Docker accounts, triggers and pipelines as this program's config: plain data in,
plain data and notes out. Nothing that was said there is dropped without a note.

Account keys: clouddriver's `dockerRegistry.accounts[]` and Halyard's config. Triggers: those of
type `docker`, alone, in a list, or in a pipeline's JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from watcher.cli.setup import slug
from watcher.cli.spinnaker_notifications import notes_of_notifications

Plain = dict[str, Any]

SPINNAKER_SAYS_NOTHING = frozenset(
    {"name", "address", "username", "enabled", "version", "providerVersion", "type", "id"}
)
DROPPED_ACCOUNT_KEYS = {
    "email": "only old pull secrets used it",
    "cacheThreads": "`limits.concurrency` (default 8) bounds requests here",
    "sortTagsByDate": "`order` of a trigger sorts tags here",
    "inspectDigests": "image labels are `labels` in expressions here",
    "environment": "accounts have no labels here",
    "accountType": "accounts have no labels here",
    "permissions": "there are no roles here",
    "requiredGroupMembership": "there are no roles here",
    "helmOciRepositories": "Helm charts are not a kind of their own; add them to `repositories`",
}
DROPPED_TRIGGER_KEYS = {
    "expectedArtifactIds": "the image is always `trigger.artifacts[0]` here",
    "runAsUser": "there are no users here",
    "payloadConstraints": "use the keys of `tag` instead",
}


@dataclass(slots=True)
class Imported:
    """The config that was made; `notes` say what a person must look at. `secrets` maps the name of
    an account to a password that stood in the file."""

    accounts: list[Plain] = field(default_factory=list)
    triggers: list[Plain] = field(default_factory=list)
    pipelines: list[Plain] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    digest_accounts: set[str] = field(default_factory=set)
    registries: dict[str, str] = field(default_factory=dict)

    def config(self) -> Plain:
        """The top level of the config file, without passwords."""
        parts = {"accounts": self.accounts, "triggers": self.triggers, "pipelines": self.pipelines}
        return {key: value for key, value in parts.items() if value}


def convert(documents: Iterable[object]) -> Imported:
    """Read accounts first, then triggers; raises ValueError where there is neither."""
    result = Imported()
    found = list(documents)
    for account in (a for document in found for a in _accounts(document)):
        _add_account(account, result)
    for pipeline in (p for document in found for p in _pipelines(document)):
        _add_pipeline(pipeline, result)
    _add_missing_accounts(result)
    _add_missing_repositories(result)
    if not (result.accounts or result.triggers):
        raise ValueError(
            "no dockerRegistry account and no trigger of type docker found; expected Halyard's or "
            "clouddriver's YAML, a pipeline's JSON, or a trigger's JSON"
        )
    return result


def _accounts(document: object) -> Iterable[Mapping[str, Any]]:
    """Wherever a mapping `dockerRegistry` stands, its `accounts`; or a bare list of accounts."""
    if isinstance(document, Mapping):
        registry = document.get("dockerRegistry")
        if isinstance(registry, Mapping):
            yield from _mappings(registry.get("accounts"))
        elif "address" in document and "name" in document:
            yield document
        elif "dockerRegistry" not in document and _looks_like_accounts(document.get("accounts")):
            yield from _mappings(document.get("accounts"))
        else:
            for value in document.values():
                yield from _accounts(value)
    elif isinstance(document, list):
        for value in document:
            yield from _accounts(value)


def _looks_like_accounts(value: object) -> bool:
    return any("address" in account for account in _mappings(value))


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _pipelines(document: object) -> Iterable[Mapping[str, Any]]:
    """Pipelines with triggers; a trigger alone is a pipeline of its own."""
    if isinstance(document, Mapping):
        if isinstance(document.get("triggers"), list):
            yield document
        elif document.get("type") == "docker" and "repository" in document:
            yield {"name": f"{document['repository']}", "triggers": [document]}
    elif isinstance(document, list):
        for value in document:
            yield from _pipelines(value)


def _add_account(account: Mapping[str, Any], result: Imported) -> None:
    name = _name(str(account.get("name", "")), "account", result)
    made: Plain = {"name": name, "address": _address(account)}
    if made["address"].startswith("http://"):
        made["plain_http"] = True
    if account.get("username"):
        made["username"] = account["username"]
    _credential(account, made, result)
    _repositories(account, made)
    for key, convert_value in ACCOUNT_KEYS.items():
        if account.get(key) is not None:
            made |= convert_value(account[key])
    if account.get("trackDigests"):
        result.digest_accounts.add(name)
    _note_dropped(account, DROPPED_ACCOUNT_KEYS, f"account {name}", result)
    _note_unknown(account, name, result)
    result.accounts.append(made)


def _address(account: Mapping[str, Any]) -> str:
    address = str(account.get("address", "")).strip().rstrip("/").removesuffix("/v2").rstrip("/")
    return address.removeprefix("https://")


ACCOUNT_KEYS: Mapping[str, Callable[[Any], Plain]] = {
    "cacheIntervalSeconds": lambda value: {"poll": f"{int(value)}s"} if int(value) else {},
    "clientTimeoutMillis": lambda value: {
        "timeouts": {"read": f"{max(1, round(int(value) / 1000))}s"}
    },
    "paginateSize": lambda value: {"limits": {"page_size": int(value)}},
    "itemUpperThreshold": lambda value: {"hold_above": int(value)} if int(value) else {},
    "insecureRegistry": lambda value: {"tls": {"insecure_skip_verify": True}} if value else {},
}
_OTHER_ACCOUNT_KEYS = frozenset(
    {"password", "passwordFile", "passwordCommand", "dockerconfigFile", "repositories"}
    | {"catalogFile", "repositoriesRegex", "skip", "trackDigests"}
)


def _credential(account: Mapping[str, Any], made: Plain, result: Imported) -> None:
    name = made["name"]
    given = [key for key in ("passwordCommand", "passwordFile", "password") if account.get(key)]
    if len(given) > 1:
        result.notes.append(f"account {name}: {' and '.join(given)} given; {given[0]} is taken")
    match given[:1]:
        case ["passwordCommand"]:
            made["password_command"] = account["passwordCommand"]
        case ["passwordFile"]:
            made["password_file"] = account["passwordFile"]
        case ["password"]:
            result.secrets[name] = str(account["password"])
        case _:
            _docker_config(account, made, result)


def _docker_config(account: Mapping[str, Any], made: Plain, result: Imported) -> None:
    if account.get("dockerconfigFile"):
        made["docker_config"] = account["dockerconfigFile"]
        result.notes.append(
            f"account {made['name']}: dockerconfigFile is used to log in here; Spinnaker took the "
            "key and ignored it"
        )


def _repositories(account: Mapping[str, Any], made: Plain) -> None:
    """Spinnaker reads the whole catalog where no repository is listed."""
    if account.get("repositories"):
        made["repositories"] = list(account["repositories"])
        return
    catalog: Plain = {}
    if account.get("repositoriesRegex"):
        catalog["include"] = account["repositoriesRegex"]
    if account.get("skip"):
        catalog["skip"] = list(account["skip"])
    if account.get("catalogFile"):
        catalog["file"] = account["catalogFile"]
    made["catalog"] = catalog or True


def _note_dropped(
    given: Mapping[str, Any], dropped: Mapping[str, str], where: str, result: Imported
) -> None:
    for key, reason in dropped.items():
        if given.get(key):
            result.notes.append(f"{where}: {key} is not carried over: {reason}")


def _note_unknown(account: Mapping[str, Any], name: str, result: Imported) -> None:
    known = {*SPINNAKER_SAYS_NOTHING, *DROPPED_ACCOUNT_KEYS, *ACCOUNT_KEYS, *_OTHER_ACCOUNT_KEYS}
    for key in account:
        if key not in known:
            result.notes.append(f"account {name}: {key} is not known and not carried over")


def _name(text: str, kind: str, result: Imported) -> str:
    made = slug(text)
    if made != text:
        result.notes.append(f"{kind} {text!r} is called {made!r} here")
    return made


def _add_pipeline(pipeline: Mapping[str, Any], result: Imported) -> None:
    triggers = _mappings(pipeline.get("triggers"))
    docker = [trigger for trigger in triggers if trigger.get("type") == "docker"]
    others = sorted({str(t.get("type")) for t in triggers if t.get("type") != "docker"})
    title = str(pipeline.get("name") or pipeline.get("id") or "pipeline")
    if others:
        result.notes.append(f"pipeline {title!r}: triggers of type {', '.join(others)} left out")
    if not docker:
        return
    name = _unique(slug(title), {made["name"] for made in result.pipelines})
    result.pipelines.append(_pipeline(name, pipeline, result))
    for trigger in docker:
        _add_trigger(trigger, name, bool(pipeline.get("disabled")), result)


def _pipeline(name: str, pipeline: Mapping[str, Any], result: Imported) -> Plain:
    made: Plain = {"name": name}
    parameters = {
        str(parameter["name"]): _parameter(parameter)
        for parameter in _mappings(pipeline.get("parameterConfig"))
        if parameter.get("name")
    }
    if parameters:
        made["parameters"] = parameters
    made |= _concurrency(pipeline)
    message = "${trigger.artifacts[0].reference}"
    made["stages"] = [{"name": "placeholder", "command": ["echo", message]}]
    result.notes.append(
        f"pipeline {name}: stages are not imported; a stage that prints the image stands in"
    )
    result.notes.extend(notes_of_notifications(name, _mappings(pipeline.get("notifications"))))
    return made


def _parameter(parameter: Mapping[str, Any]) -> Plain:
    made: Plain = {}
    if parameter.get("default") not in (None, ""):
        made["default"] = parameter["default"]
    elif parameter.get("required"):
        made["required"] = True
    if parameter.get("description"):
        made["description"] = parameter["description"]
    return made


def _concurrency(pipeline: Mapping[str, Any]) -> Plain:
    """Spinnaker cancels waiting runs in favour of the newest unless told to keep them."""
    if pipeline.get("limitConcurrent"):
        policy = "queue" if pipeline.get("keepWaitingPipelines") else "newest"
        return {"concurrency": {"max": 1, "policy": policy}}
    if pipeline.get("maxConcurrentExecutions"):
        return {"concurrency": {"max": int(pipeline["maxConcurrentExecutions"])}}
    return {}


def _add_trigger(
    trigger: Mapping[str, Any], pipeline: str, disabled: bool, result: Imported
) -> None:
    account = slug(str(trigger.get("account", "")))
    name = _unique(pipeline, {made["name"] for made in result.triggers})
    made: Plain = {"name": name, "account": account, "repository": trigger.get("repository", "")}
    if disabled or trigger.get("enabled") is False:
        made["enabled"] = False
    pattern = str(trigger.get("tag") or "").strip()
    if pattern:
        made["tag"] = pattern
        _check_pattern(pattern, name, result)
    if account in result.digest_accounts:
        made["changes"] = ["new", "moved"]
    made["pipeline"] = pipeline
    if trigger.get("parameters"):
        made["parameters"] = dict(trigger["parameters"])
    _note_dropped(trigger, DROPPED_TRIGGER_KEYS, f"trigger {name}", result)
    result.registries.setdefault(account, str(trigger.get("registry") or "index.docker.io"))
    result.triggers.append(made)


def _check_pattern(pattern: str, name: str, result: Imported) -> None:
    """Java's patterns know more than RE2 does; say so here rather than at the next start."""
    from watcher.core.patterns import check_pattern

    try:
        check_pattern(pattern)
    except ValueError as error:
        result.notes.append(f"trigger {name}: {error}; rewrite its `tag`")


def _add_missing_accounts(result: Imported) -> None:
    """A trigger's account that no file defined, from the registry that the trigger names."""
    have = {account["name"] for account in result.accounts}
    for name, registry in result.registries.items():
        if name not in have:
            result.accounts.append({"name": name, "address": registry})
            result.notes.append(
                f"account {name} was in no file: written without a credential for {registry}"
            )


def _add_missing_repositories(result: Imported) -> None:
    """A trigger on a repository that its account did not list never fired; say so, and list it."""
    by_name = {account["name"]: account for account in result.accounts}
    for trigger in result.triggers:
        listed = by_name[trigger["account"]].get("repositories")
        if listed is not None and trigger["repository"] not in listed:
            listed.append(trigger["repository"])
            result.notes.append(
                f"account {trigger['account']}: {trigger['repository']} was not among its "
                f"repositories, but trigger {trigger['name']} needs it: added"
            )


def _unique(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"

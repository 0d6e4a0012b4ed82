"""The Account that the keys of `account_fields` make (SPEC 3.1). Imported by `load`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from watcher.config import durations
from watcher.config.items import Data, Item, span
from watcher.core.account import (
    Account,
    Catalog,
    CredentialSource,
    DialectName,
    DigestTracking,
    Limits,
    PollSchedule,
    Strategy,
    Timeouts,
    Tls,
)
from watcher.core.reference import Registry, is_repository_name

PASSWORD_SOURCES = (
    "password",
    "password_file",
    "password_env",
    "password_command",
    "docker_config",
)


def build(item: Item) -> Account | None:
    """The account of an item that was read; None after problems were reported."""
    data = item.data
    found = item.problem_count
    registry = _registry(item, data)
    schedule = _schedule(item, data)
    credential = _credential(item, data)
    _check_tls(item, data)
    repositories = _repositories(item, data, registry) if registry else ()
    catalog = _catalog(item, data, registry) if registry else None
    if registry is None or item.broken or item.problem_count > found:
        return None
    return Account(
        name=data["name"],
        registry=registry,
        credential=credential,
        repositories=repositories,
        catalog=catalog,
        poll=schedule,
        track_digests=DigestTracking(data["track_digests"]),
        audit=durations.parse(data["audit"]),
        dialect=None if data["dialect"] == "auto" else DialectName(data["dialect"]),
        strategy=Strategy(data["strategy"]),
        http2=None if data.get("http2", "auto") == "auto" else data["http2"],
        tls=_tls(data.get("tls", {})),
        proxy=data.get("proxy"),
        timeouts=_timeouts(data.get("timeouts")),
        limits=_limits(data.get("limits")),
        hold_above=data["hold_above"],
        stale_after=span(data, "stale_after", None),
        include_artifacts=data["include_artifacts"],
        webhooks=data["webhooks"],
    )


def _registry(item: Item, data: Data) -> Registry | None:
    plain = data.get("plain_http", False)
    if "address" not in data:
        return None
    if plain and data["address"].strip().startswith("https://"):
        item.refuse("plain_http", "the address says https://", "remove one of the two")
        return None
    try:
        return Registry.parse(data["address"], plain_http=plain)
    except ValueError as error:
        item.refuse("address", str(error))
        return None


def _schedule(item: Item, data: Data) -> PollSchedule:
    poll = data.get("poll", {})
    if isinstance(poll, str):
        poll = {"every": poll}
    jitter = span(poll, "jitter", None)
    if "cron" not in poll:
        if "timezone" in poll:
            item.refuse("poll.timezone", "has no use without `cron`")
        every = durations.parse(poll["every"]) if "every" in poll else PollSchedule().every
        return PollSchedule(every=every, jitter=jitter)
    if "every" in poll:
        item.refuse("poll.cron", "stands beside `every`", "give one of the two")
    timezone = poll.get("timezone", PollSchedule().timezone)
    _check_cron(item, poll["cron"], timezone)
    return PollSchedule(every=None, cron=poll["cron"], timezone=timezone, jitter=jitter)


def _check_cron(item: Item, cron: str, timezone: str) -> None:
    from watcher.core.schedule import check_cron  # only who uses cron pays for it

    try:
        check_cron(cron, timezone)
    except ValueError as error:
        item.refuse("poll.timezone" if "time zone" in str(error) else "poll.cron", str(error))


def _credential(item: Item, data: Data) -> CredentialSource:
    given = [k for k in PASSWORD_SOURCES if k in item.given and data.get(k) is not False]
    if len(given) > 1:
        item.refuse(given[1], f"more than one password source: {', '.join(given)}", "keep one")
    if "docker_config" in given and "username" in data:
        item.refuse("username", "`docker_config` brings its own user name", "remove one of the two")
    if not {"password_command", "docker_config"} & item.given:
        for key in ("password_ttl", "password_timeout"):
            if key in data:
                item.refuse(key, "has no use without `password_command` or `docker_config`")
    command = data.get("password_command")
    return CredentialSource(
        username=data.get("username"),
        password=data.get("password"),
        password_file=_path(data, "password_file"),
        password_env=data.get("password_env"),
        password_command=tuple(command) if isinstance(command, list) else command,
        password_ttl=span(data, "password_ttl", CredentialSource().password_ttl),
        password_timeout=span(data, "password_timeout", CredentialSource().password_timeout),
        docker_config=_docker_config(data.get("docker_config"), item.reading.environment),
    )


def _docker_config(value: str | bool | None, environment: Mapping[str, str]) -> Path | None:
    """`true` is docker's usual place: $DOCKER_CONFIG/config.json, else ~/.docker/config.json."""
    if value is None or value is False:
        return None
    if isinstance(value, str):
        return Path(value)
    if directory := environment.get("DOCKER_CONFIG"):
        return Path(directory, "config.json")
    home = environment.get("HOME")
    return (
        Path(home) / ".docker/config.json" if home else Path("~/.docker/config.json").expanduser()
    )


def _check_tls(item: Item, data: Data) -> None:
    tls = data.get("tls", {})
    if tls and data.get("plain_http"):
        item.refuse("tls", "has no use with `plain_http: true`")
    if "client_key" in tls and "client_cert" not in tls:
        item.refuse("tls.client_key", "has no use without `client_cert`")


def _repositories(item: Item, data: Data, registry: Registry) -> tuple[str, ...]:
    return checked_names(item, "repositories", data.get("repositories", ()), registry)


def checked_names(
    item: Item, key: str, written_names: Iterable[str], registry: Registry
) -> tuple[str, ...]:
    """The names as the registry has them; what is no name or is given twice is reported."""
    names: dict[str, None] = {}
    for index, written in enumerate(written_names):
        name = registry.canonical_repository(written)
        place = f"{key}[{index}]"
        host = written.partition("/")[0]
        if host == registry.name or (host.endswith("docker.io") and registry.is_docker_hub):
            item.refuse(place, f"{written!r} begins with the registry", "leave the host out")
        elif not is_repository_name(name):
            item.refuse(place, f"{written!r} is not a repository name", _name_hint(written))
        elif name in names:
            item.refuse(place, f"{name!r} is given twice")
        names[name] = None
    return tuple(names)


def _name_hint(written: str) -> str | None:
    if "://" in written:
        return "without the registry's host"
    if ":" in written or "@" in written:
        return "without a port, tag or digest"
    return "names are in lower case" if written != written.lower() else None


def _catalog(item: Item, data: Data, registry: Registry) -> Catalog | None:
    catalog = data.get("catalog", False)
    if catalog is False:
        return None
    if catalog is True:
        return Catalog()
    return Catalog(
        include=catalog.get("include"),
        skip=checked_names(item, "catalog.skip", catalog.get("skip", ()), registry),
        refresh=span(catalog, "refresh", Catalog().refresh),
        file=_path(catalog, "file"),
    )


def _tls(data: Data) -> Tls:
    return Tls(
        ca_file=_path(data, "ca_file"),
        client_cert=_path(data, "client_cert"),
        client_key=_path(data, "client_key"),
        insecure_skip_verify=data.get("insecure_skip_verify", False),
    )


def _timeouts(data: Data | None) -> Timeouts:
    if data is None:
        return Timeouts()
    return Timeouts(**{key: durations.parse(text) for key, text in data.items()})


def _limits(data: Data | None) -> Limits:
    if data is None:
        return Limits()
    pace = data.get("requests_per_second")
    return Limits(**{**data, "requests_per_second": None if pace == "none" else pace})


def _path(data: Data, key: str) -> Path | None:
    return Path(data[key]) if key in data else None

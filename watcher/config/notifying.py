"""The keys of notifiers, of a pipeline's `notify` and of the dead-man ping, and what they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from watcher.config import durations
from watcher.config.checks import Names, check_known
from watcher.config.durations import text_of
from watcher.config.fields import (
    Choice,
    Duration,
    Either,
    Field,
    Kind,
    ListOf,
    MapOf,
    PathValue,
    Section,
    Text,
)
from watcher.config.items import NAME, NAME_RULE, Data, Item, Json
from watcher.config.reading import Reading
from watcher.core.notice import NoticeEvent
from watcher.core.notifier import WORTH_TELLING, Notifier, Ping, SecretUrl, Webhook
from watcher.core.pipeline import WANT_A_PERSON, ExecutionStatus, Wish

_PLAIN = Notifier(name="")
_ADDRESSES = ("url", "url_file", "url_env", "webhook")
_HTTP_URL = Text(secret=True, matches=r"https?://[^\s]+", rule="an http or https URL")
_URL_FILE = Field(
    PathValue(), doc="A file with the URL. Read anew for each message.", example="/run/secrets/url"
)

WEBHOOK = Section(
    {
        "url": Field(
            _HTTP_URL,
            doc="Where messages are POSTed as JSON. Redirects are not followed.",
            example="https://alerts.example.com/hook",
        ),
        "url_file": _URL_FILE,
        "secret_file": Field(
            PathValue(),
            doc="A file with the secret for the header X-Watcher-Signature-256: sha256= and the "
            "HMAC-SHA256 of the body in hexadecimal.",
            example="/run/secrets/hook",
        ),
        "headers": Field(
            MapOf(Text(secret=True), keys="[A-Za-z0-9-]+"),
            doc="Further headers.",
            example={"X-Team": "web"},
        ),
    }
)

NOTIFIER = Section(
    {
        "name": Field(
            Text(matches=NAME, rule=NAME_RULE),
            required=True,
            doc="What pipelines and commands call it.",
            example="ops",
        ),
        "url": Field(
            Text(
                secret=True,
                matches=r"[A-Za-z][A-Za-z0-9+.-]*://\S*",
                rule="an Apprise URL such as mailto://…",
            ),
            doc="An Apprise URL: mail, chat, pagers. It is a secret as a whole; better in a file.",
            example="mailto://watcher:password@mail.example.com?to=ops@example.com",
        ),
        "url_file": _URL_FILE,
        "url_env": Field(
            Text(matches="[A-Za-z_][A-Za-z0-9_]*", rule="the name of a variable"),
            doc="A variable of the environment with the URL. Commands of pipelines never see it.",
            example="OPS_URL",
        ),
        "webhook": Field(WEBHOOK, doc="An address that gets messages as JSON, in place of a URL."),
        "events": Field(
            ListOf(Choice(*NoticeEvent), unique=True),
            doc="What it is told of. An empty list: only the runs of pipelines that name it.",
            example=["execution", "repository_stale"],
            default_doc="all of them",
        ),
        "accounts": Field(
            ListOf(Text(), minimum=1, unique=True),
            doc="Only what concerns these accounts, and what concerns none.",
            example=["dockerhub"],
            default_doc="all",
        ),
        "group": Field(
            Duration(),
            default=text_of(_PLAIN.group),
            doc="What gathers within so long is one message.",
            example="30s",
        ),
        "remind": Field(
            Duration(minimum="1m"),
            default=text_of(_PLAIN.remind),
            doc="A trouble that lasts, and events that are held, are told again after so long.",
            example="24h",
        ),
    }
)

WISH = Section(
    {
        "notifier": Field(Text(), required=True, doc="The name of a notifier.", example="ops"),
        "on": Field(
            ListOf(Choice(*WORTH_TELLING), minimum=1, unique=True),
            default=[status.value for status in WANT_A_PERSON],
            doc="The statuses that it is told of. WAITING: a person has to decide.",
            example=["FAILED", "SUCCEEDED"],
        ),
    }
)

NOTIFY: Kind = ListOf(Either(Text(), WISH))
"""A pipeline's `notify`: a bare name has the default statuses."""

PING = Section(
    {
        "url": Field(
            _HTTP_URL,
            doc="The address, called by GET. Who has it can keep the alarm silent.",
            example="https://ping.example.com/5f2c",
        ),
        "url_file": _URL_FILE,
        "every": Field(
            Duration(minimum="1s"),
            default=text_of(Ping(url=SecretUrl()).every),
            doc="How often, at most.",
            example="5m",
        ),
    }
)


def build(item: Item) -> Notifier | None:
    """The notifier of an item that was read; None after problems were reported."""
    if item.broken:
        return None
    data = item.data
    place = _one_of(data, _ADDRESSES)
    if place is None:
        message = "has several addresses" if _given(data, _ADDRESSES) else "has no address"
        hint = f"give one of {', '.join(_ADDRESSES)}"
        item.reading.refuse_at(item.line, item.path, message, hint)
        return None
    webhook = _webhook(item, data["webhook"]) if place == "webhook" else None
    if place == "webhook" and webhook is None:
        return None
    if place != "webhook" and not _has_apprise():
        hint = "pip install 'registry-watcher[apprise]', or use `webhook`"
        item.refuse(place, "Apprise is not installed", hint)
        return None
    accounts = data.get("accounts")
    return Notifier(
        name=data["name"],
        apprise=None if webhook is not None else _secret_url(data),
        webhook=webhook,
        events=frozenset(map(NoticeEvent, data.get("events", NoticeEvent))),
        accounts=None if accounts is None else frozenset(accounts),
        group=durations.parse(data["group"]),
        remind=durations.parse(data["remind"]),
    )


def _has_apprise() -> bool:
    from importlib.util import find_spec  # only who has notifiers pays for it

    return find_spec("apprise") is not None


def check_accounts(item: Item, accounts: Names) -> None:
    """A notifier names accounts that there are."""
    for index, name in enumerate(item.data.get("accounts", ())):
        check_known(item, f"accounts[{index}]", name, accounts, "account")


def check_wishes(item: Item, notifiers: Names) -> None:
    """A pipeline names notifiers that there are, each once."""
    seen: set[str] = set()
    for index, (name, key) in enumerate(_named(item.data.get("notify", ()))):
        place = f"notify[{index}]{key}"
        check_known(item, place, name, notifiers, "notifier")
        if name in seen:
            item.refuse(place, f"the notifier {name!r} is given twice")
        seen.add(name)


def _named(wishes: Iterable[Json]) -> Iterable[tuple[str, str]]:
    for wish in wishes:
        yield (wish, "") if isinstance(wish, str) else (wish["notifier"], ".notifier")


def wishes(data: Data) -> tuple[Wish, ...]:
    """Those of a pipeline that was read."""
    return tuple(_wish(written) for written in data.get("notify", ()))


def _wish(written: Json) -> Wish:
    if isinstance(written, str):
        return Wish(notifier=written)
    statuses = frozenset(map(ExecutionStatus, written["on"]))
    return Wish(notifier=written["notifier"], statuses=statuses)


def build_ping(data: Data, reading: Reading) -> Ping | None:
    """The ping of a section that was read; None after problems were reported."""
    if _one_of(data, ("url", "url_file")) is None:
        reading.refuse_at(reading.lines["ping"], "ping", "needs `url` or `url_file`, and not both")
        return None
    return Ping(url=_secret_url(data), every=durations.parse(data["every"]))


def _webhook(item: Item, data: Data) -> Webhook | None:
    if _one_of(data, ("url", "url_file")) is None:
        item.refuse("webhook", "needs `url` or `url_file`, and not both")
        return None
    secret = data.get("secret_file")
    return Webhook(
        url=_secret_url(data),
        secret_file=None if secret is None else Path(secret),
        headers=data.get("headers", {}),
    )


def _secret_url(data: Data) -> SecretUrl:
    file = data.get("url_file")
    return SecretUrl(
        url=data.get("url"),
        file=None if file is None else Path(file),
        variable=data.get("url_env"),
    )


def _one_of(data: Data, keys: Iterable[str]) -> str | None:
    """The one of the keys that is given; None where there is none or several."""
    given = _given(data, keys)
    return given[0] if len(given) == 1 else None


def _given(data: Mapping[str, Json], keys: Iterable[str]) -> list[str]:
    return [key for key in keys if key in data]

"""Notifiers, a pipeline's `notify` and the ping in the config (SPEC 3.3)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.config.loading import ACCOUNT, load_text, problems
from watcher.core.notice import NoticeEvent
from watcher.core.notifier import ALL_EVENTS, Notifier, Ping, SecretUrl, Webhook
from watcher.core.pipeline import ExecutionStatus, Wish

SECRET = "xoxb-of-nobody"
URL = f"json://{SECRET}@127.0.0.1/"
ON = "on: [SUCCEEDED, WAITING]"


def notifiers(*lines: str) -> str:
    listed = "\n".join(f"  - {{{line}}}" for line in lines)
    return f"{ACCOUNT}\nnotifiers:\n{listed}\n"


def pipeline(notify: str) -> str:
    return f"pipelines: [{{name: p, notify: {notify}, stages: [{{command: echo}}]}}]\n"


@pytest.mark.parametrize(
    ("line", "notifier"),
    [
        pytest.param(
            f"name: ops, url: '{URL}'",
            Notifier(name="ops", apprise=SecretUrl(url=URL), events=ALL_EVENTS),
            id="a URL is told of everything",
        ),
        pytest.param(
            "name: ops, url_file: /u, events: [], group: 0s, remind: 1h",
            Notifier(
                name="ops",
                apprise=SecretUrl(file=Path("/u")),
                events=frozenset(),
                group=timedelta(),
                remind=timedelta(hours=1),
            ),
            id="a file",
        ),
        pytest.param(
            "name: ops, url_env: OPS, events: [execution, state_failed], accounts: [hub]",
            Notifier(
                name="ops",
                apprise=SecretUrl(variable="OPS"),
                events=frozenset({NoticeEvent.EXECUTION, NoticeEvent.STATE_FAILED}),
                accounts=frozenset({"hub"}),
            ),
            id="a variable",
        ),
        pytest.param(
            "name: ops, webhook: {url: 'http://h/x', secret_file: /s, headers: {X-A: b}}",
            Notifier(
                name="ops",
                webhook=Webhook(
                    url=SecretUrl(url="http://h/x"), secret_file=Path("/s"), headers={"X-A": "b"}
                ),
            ),
            id="a webhook",
        ),
    ],
)
def test_what_is_said_of_a_notifier(tmp_path: Path, line: str, notifier: Notifier) -> None:
    assert load_text(tmp_path, notifiers(line)).notifiers == (notifier,)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("name: a", "notifiers[0]: has no address (give one of url, url_file, url_env, webhook)"),
        (
            f"name: a, url: '{URL}', url_file: /u",
            "notifiers[0]: has several addresses (give one of url, url_file, url_env, webhook)",
        ),
        (
            "name: a, webhook: {secret_file: /s}",
            "notifiers[0].webhook: needs `url` or `url_file`, and not both",
        ),
        (
            f"name: a, url: {SECRET}",
            "notifiers[0].url: the value is not an Apprise URL such as mailto://…",
        ),
        (
            f"name: a, webhook: {{url: 'ftp://{SECRET}'}}",
            "notifiers[0].webhook.url: the value is not an http or https URL",
        ),
        (
            "name: a, url_env: A, accounts: [hup]",
            "notifiers[0].accounts[0]: no account is named 'hup' (did you mean 'hub'?)",
        ),
    ],
    ids=["no address", "two addresses", "webhook without", "no URL", "no http", "account"],
)
def test_a_wrong_notifier_is_refused_and_no_url_is_shown(
    tmp_path: Path, line: str, problem: str
) -> None:
    (found,) = problems(tmp_path, notifiers(line))
    assert found.split(": ", 1)[1] == problem
    assert SECRET not in found


def test_two_notifiers_have_two_names(tmp_path: Path) -> None:
    text = notifiers("name: a, url_env: A", "name: a, url_env: B")
    (found,) = problems(tmp_path, text)
    assert "the name 'a' is taken" in found


def test_an_unknown_event_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, notifiers("name: a, url_env: A, events: [executions]"))
    assert found.endswith("(did you mean 'execution'?)")


def test_a_pipeline_says_who_is_told_of_its_runs(tmp_path: Path) -> None:
    text = notifiers("name: a, url_env: A", "name: b, url_env: B")
    config = load_text(tmp_path, text + pipeline(f"[a, {{notifier: b, {ON}}}]"))
    wanted = frozenset({ExecutionStatus.SUCCEEDED, ExecutionStatus.WAITING})
    assert config.pipelines[0].notify == (
        Wish(notifier="a", statuses=frozenset({ExecutionStatus.FAILED, ExecutionStatus.WAITING})),
        Wish(notifier="b", statuses=wanted),
    )
    assert config.audience.wishes == {"p": config.pipelines[0].notify}


@pytest.mark.parametrize(
    ("notify", "problem"),
    [
        ("[opps]", "notify[0]: no notifier is named 'opps' (did you mean 'ops'?)"),
        (
            "[{notifier: opps}]",
            "notify[0].notifier: no notifier is named 'opps' (did you mean 'ops'?)",
        ),
        ("[ops, {notifier: ops}]", "notify[1].notifier: the notifier 'ops' is given twice"),
        (
            "[{notifier: ops, on: [RUNNING]}]",
            "notify[0].on[0]: 'RUNNING' is not one of WAITING, SUCCEEDED, FAILED, CANCELED, "
            "SKIPPED",
        ),
    ],
    ids=["name", "name in a mapping", "twice", "status"],
)
def test_a_wrong_wish_is_refused(tmp_path: Path, notify: str, problem: str) -> None:
    text = notifiers("name: ops, url_env: A") + pipeline(notify)
    (found,) = problems(tmp_path, text)
    assert found.split(": ", 1)[1] == f"pipelines[0].{problem}"


def test_the_ping(tmp_path: Path) -> None:
    config = load_text(tmp_path, f"ping: {{url: 'https://p/{SECRET}', every: 1m}}\n{ACCOUNT}")
    assert config.ping == Ping(url=SecretUrl(url=f"https://p/{SECRET}"), every=timedelta(minutes=1))
    assert SECRET not in repr(config)


def test_a_ping_has_one_address(tmp_path: Path) -> None:
    found = problems(tmp_path, f"ping: {{every: 1m}}\n{ACCOUNT}")
    assert found == ["1: ping: needs `url` or `url_file`, and not both"]


def test_variables_with_urls_are_secrets_of_the_environment(tmp_path: Path) -> None:
    config = load_text(tmp_path, notifiers("name: a, url_env: OPS_URL"))
    assert config.without_passwords({"OPS_URL": SECRET, "HOME": "/"}) == {"HOME": "/"}

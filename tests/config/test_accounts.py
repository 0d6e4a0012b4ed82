"""Accounts (SPEC 3.1): what each key makes, its defaults, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.config.loading import HOME, load_text, problems
from watcher.core.account import (
    Account,
    Catalog,
    CredentialSource,
    DigestTracking,
    Limits,
    PollSchedule,
    Timeouts,
    Tls,
)
from watcher.core.reference import Registry
from watcher.errors import ConfigError


def text_of(*lines: str, address: str = "quay.io") -> str:
    head = f"accounts:\n  - name: quay\n    address: {address}\n"
    return head + "".join(f"    {line}\n" for line in lines)


def account_of(folder: Path, *lines: str, address: str = "quay.io", **environment: str) -> Account:
    return load_text(folder, text_of(*lines, address=address), HOME | environment).accounts[0]


def test_an_account_of_a_name_and_an_address_has_every_default(tmp_path: Path) -> None:
    assert account_of(tmp_path) == Account(name="quay", registry=Registry.parse("quay.io"))


@pytest.mark.parametrize(
    "address", ["docker.io", "index.docker.io", "https://registry-1.docker.io"]
)
def test_docker_hub_is_one_registry_in_every_spelling(tmp_path: Path, address: str) -> None:
    found = account_of(tmp_path, "repositories: [nginx, acme/web]", address=address)
    assert found.registry == Registry("index.docker.io", "https://registry-1.docker.io")
    assert found.repositories == ("library/nginx", "acme/web")


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("repositories: [a/b, c]", "repositories", ("a/b", "c")),
        ("poll: 5m", "poll", PollSchedule(every=timedelta(minutes=5))),
        ("poll: {every: 5m, jitter: 0s}", "poll",
         PollSchedule(every=timedelta(minutes=5), jitter=timedelta())),
        ("poll: {jitter: 1s}", "poll", PollSchedule(jitter=timedelta(seconds=1))),
        ('poll: {cron: "*/5 * * * *", timezone: Europe/Vienna}', "poll",
         PollSchedule(every=None, cron="*/5 * * * *", timezone="Europe/Vienna")),
        ('poll: {cron: "0 6 * * 0"}', "poll", PollSchedule(every=None, cron="0 6 * * 0")),
        ("catalog: true", "catalog", Catalog()),
        ("catalog: false", "catalog", None),
        ("catalog: {}", "catalog", Catalog()),
        ("catalog: {include: a/.*, skip: [a/b], refresh: 1h, file: /x.json}", "catalog",
         Catalog(include="a/.*", skip=("a/b",), refresh=timedelta(hours=1), file=Path("/x.json"))),
        ("track_digests: off", "track_digests", DigestTracking.OFF),
        ("tls: {ca_file: /ca.pem, client_cert: /c.pem, client_key: /k.pem}", "tls",
         Tls(ca_file=Path("/ca.pem"), client_cert=Path("/c.pem"), client_key=Path("/k.pem"))),
        ("tls: {insecure_skip_verify: true}", "tls", Tls(insecure_skip_verify=True)),
        ("proxy: http://user:pass@proxy:3128", "proxy", "http://user:pass@proxy:3128"),
        ("timeouts: {total: 1m}", "timeouts", Timeouts(total=timedelta(minutes=1))),
        ("limits: {concurrency: 2, requests_per_second: 0.5}", "limits",
         Limits(concurrency=2, requests_per_second=0.5)),
        ("limits: {requests_per_second: none}", "limits", Limits()),
        ("hold_above: 0", "hold_above", 0),
        ("stale_after: 1h", "stale_after", timedelta(hours=1)),
        ("include_artifacts: true", "include_artifacts", True),
        ("password: hunter2", "credential", CredentialSource(password="hunter2")),
        ("password_file: ~/x", "credential",
         CredentialSource(password_file=Path("/home/watcher/x"))),
        ("password_env: TOKEN", "credential", CredentialSource(password_env="TOKEN")),
        ("password_command: pass show quay", "credential",
         CredentialSource(password_command="pass show quay")),
        ("password_command: [pass, '']", "credential",
         CredentialSource(password_command=("pass", ""))),
        ("docker_config: /x/auth.json", "credential",
         CredentialSource(docker_config=Path("/x/auth.json"))),
        ("docker_config: true", "credential",
         CredentialSource(docker_config=Path("/home/watcher/.docker/config.json"))),
        ("docker_config: false", "credential", CredentialSource()),
    ],
)  # fmt: skip
def test_a_key_makes_its_part_of_the_account(
    tmp_path: Path, line: str, attribute: str, value: Any
) -> None:
    assert getattr(account_of(tmp_path, line), attribute) == value


def test_plain_http_is_only_by_its_key(tmp_path: Path) -> None:
    found = account_of(tmp_path, "plain_http: true", address="localhost:5000")
    assert found.registry.base_url == "http://localhost:5000"


def test_a_command_has_its_time_to_live_and_time_out(tmp_path: Path) -> None:
    lines = ("password_command: x", "password_ttl: 6h", "password_timeout: 5s")
    assert account_of(tmp_path, *lines).credential == CredentialSource(
        password_command="x", password_ttl=timedelta(hours=6), password_timeout=timedelta(seconds=5)
    )


def test_the_usual_docker_config_follows_its_variable(tmp_path: Path) -> None:
    found = account_of(tmp_path, "docker_config: true", DOCKER_CONFIG="/run/docker")
    assert found.credential.docker_config == Path("/run/docker/config.json")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("adress: x", "adress: unknown key 'adress' (did you mean 'address'?)"),
        ("gates: []", "gates: unknown key 'gates'"),
        ("plain_http: yes", "plain_http: must be true or false, is text "
         "(only `true` and `false`, unquoted, are booleans)"),
        ("repositories: a/b", "repositories: must be a list, is text (put it in [brackets])"),
        ("repositories: [a/b:1.0]", "repositories[0]: 'a/b:1.0' is not a repository name "
         "(without a port, tag or digest)"),
        ("repositories: [quay.io/a/b]", "repositories[0]: 'quay.io/a/b' begins with the registry "
         "(leave the host out)"),
        ("repositories: ['https://x/a']", "repositories[0]: 'https://x/a' is not a repository name "
         "(without the registry's host)"),
        ("repositories: [a/b, a/b]", "repositories[1]: 'a/b' is given twice"),
        ("catalog: {include: '(?=a)'}", "catalog.include: RE2 can't take the pattern '(?=a)': "
         "invalid perl operator: (?= (RE2 has no look-around, back-references or possessive "
         "quantifiers)"),
        ("catalog: {skip: [A]}", "catalog.skip[0]: 'A' is not a repository name "
         "(names are in lower case)"),
        ("catalog: [a]", "catalog: must be true or false or a mapping, is a list"),
        ("poll: 60", "poll: a bare number is no duration, the unit is missing "
         "(write 60s, 60m or 60h)"),
        ("poll: 0s", "poll: must be at least 1s"),
        ("poll: {evry: 5m}", "poll.evry: unknown key 'evry' (did you mean 'every'?)"),
        ('poll: {every: 5m, cron: "* * * * *"}', "poll.cron: stands beside `every` "
         "(give one of the two)"),
        ("poll: {timezone: Europe/Vienna}", "poll.timezone: has no use without `cron`"),
        ('poll: {cron: "61 * * * *"}', "poll.cron: '61 * * * *' is no cron expression: Bad minute"),
        ('poll: {cron: "* * * *"}', "poll.cron: '* * * *' has not the five fields of a cron "
         "expression"),
        ('poll: {cron: "* * * * *", timezone: Viena}', "poll.timezone: 'Viena' is not a time zone "
         "such as 'Europe/Vienna'"),
        ("track_digests: on", "track_digests: 'on' is not one of auto, all, off"),
        ("password_ttl: 1h", "password_ttl: has no use without `password_command` or "
         "`docker_config`"),
        ("password_env: $TOKEN", "password_env: the value is not the name of a variable"),
        ("password_file: $NOPE/x", "password_file: the environment variable NOPE is not set"),
        ("password_command: []", "password_command: needs at least 1"),
        ("proxy: socks5://x", "proxy: the value is not a URL http://host:port or https://…"),
        ("tls: {client_key: x}", "tls.client_key: has no use without `client_cert`"),
        ("limits: {page_size: 0}", "limits.page_size: must be a whole number from 1 to 100000, "
         "is 0"),
        ("limits: {requests_per_second: 0}", "limits.requests_per_second: must be a number of at "
         "least 0.001, is 0"),
        ("timeouts: {read: 0s}", "timeouts.read: must be at least 1s"),
        ("hold_above: -1", "hold_above: must be a whole number of at least 0, is -1"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_refused_with_the_way_out(tmp_path: Path, line: str, message: str) -> None:
    assert problems(tmp_path, text_of(line)) == [f"4: accounts[0].{message}"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("password: a", "password_file: b", "docker_config: true"),
         "5: accounts[0].password_file: more than one password source: password, password_file, "
         "docker_config (keep one)"),
        (("username: a", "docker_config: true"),
         "4: accounts[0].username: `docker_config` brings its own user name "
         "(remove one of the two)"),
        (("plain_http: true", "tls: {ca_file: x}"),
         "5: accounts[0].tls: has no use with `plain_http: true`"),
    ],
)  # fmt: skip
def test_keys_that_can_not_stand_together_are_refused(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    assert problems(tmp_path, text_of(*lines)) == [message]


@pytest.mark.parametrize(
    ("address", "line", "message"),
    [
        ("http://x.io", "", "3: accounts[0].address: 'http://x.io' is plain http; say so with "
         "`plain_http: true`"),
        ("https://x.io", "plain_http: true", "4: accounts[0].plain_http: the address says https:// "
         "(remove one of the two)"),
        ("x.io/some/path", "", "3: accounts[0].address: 'x.io/some/path' is not a registry host, "
         "host:port or URL"),
    ],
)  # fmt: skip
def test_an_address_that_can_not_be_one_is_refused(
    tmp_path: Path, address: str, line: str, message: str
) -> None:
    assert problems(tmp_path, text_of(line, address=address)) == [message]


@pytest.mark.parametrize("name", ["Quay", "-quay", "quay-", "a_b", "a b"])
def test_names_are_lower_case_with_dashes_inside(tmp_path: Path, name: str) -> None:
    text = f"accounts: [{{name: {name}, address: quay.io}}]"
    rule = "a name of a-z, 0-9 and dashes inside"
    assert problems(tmp_path, text) == [f"1: accounts[0].name: {name!r} is not {rule}"]


def test_missing_keys_are_named(tmp_path: Path) -> None:
    assert problems(tmp_path, "accounts:\n  - username: x\n  - quay.io\n") == [
        "2: accounts[0].address: the key 'address' is missing",
        "2: accounts[0].name: the key 'name' is missing",
        "3: accounts[1]: must be a mapping, is text",
    ]


SECRET = "correct-horse"


@pytest.mark.parametrize(
    "line",
    [
        f"password: [{SECRET}]",
        f"password: {{{SECRET}: 1}}",
        f"pasword: {SECRET}",
        f"password: *{SECRET}",
        f"password: !{SECRET} x",
        f"password: '{SECRET}",
        f"tls: {{password:{SECRET}}}",
        f"password_env: {SECRET}",
        f"proxy: user:{SECRET}@proxy",
        f"password: {SECRET}\n    password: {SECRET}",
    ],
)
def test_no_problem_shows_a_password(tmp_path: Path, line: str) -> None:
    assert SECRET not in "".join(problems(tmp_path, text_of(line)))


def test_no_repr_of_a_config_shows_a_password(tmp_path: Path) -> None:
    lines = (f"password: {SECRET}", f"proxy: http://user:{SECRET}@proxy:1")
    config = load_text(tmp_path, text_of(*lines))
    assert config.accounts[0].credential.password == SECRET
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    "address", ["https://bob:hunter2@quay.io", "bob:hunter2@quay.io", "ftp://bob:hunter2@quay.io"]
)
def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="holds no user and no password") as caught:
        account_of(tmp_path, address=address)
    assert "hunter2" not in str(caught.value)

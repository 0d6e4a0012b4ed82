"""validate: what is wrong, what is legal but most likely a mistake, and what a registry says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import REPOSITORY, Bench
from watcher.testing.access import BasicAuth, BearerAuth
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry


def said(findings: list[dict[str, Any]]) -> str:
    return "\n".join(f"{f['severity']}: {f['message']} ({f['hint']})" for f in findings)


FILES = {"empty": "", "blank": "x\n\n", "docker": '{"auths": {}}', "open": "x"}


@pytest.mark.parametrize(
    ("account", "warning"),
    [
        pytest.param("username: u", "username without a password", id="no password"),
        pytest.param("password: x", "password without a username", id="no username"),
        pytest.param("username: u\npassword: ' x '", "blanks", id="blanks around it"),
        pytest.param('username: u\npassword: "x\\n"', "newline at its end", id="newline"),
        pytest.param("username: u\npassword: <token>", "placeholder", id="placeholder"),
        pytest.param("username: u\npassword_env: NOT_SET", "not set", id="variable not set"),
        pytest.param("username: u\npassword_file: empty", "is empty", id="empty file"),
        pytest.param("username: u\npassword_file: blank", "newline", id="two newlines"),
        pytest.param("username: u\npassword_file: docker", "docker config", id="wrong file"),
        pytest.param("username: u\npassword_file: open", "every user", id="open file"),
        pytest.param("poll: 15m\nstale_after: 15m", "no longer than", id="stale in between"),
    ],
)
def test_what_is_legal_but_most_likely_wrong_is_warned_of(
    bench: Bench, account: str, warning: str
) -> None:
    for name, text in FILES.items():
        bench.write(name, text).chmod(0o644 if name == "open" else 0o600)
    bench.configure("127.0.0.1:1", account=account)
    result = bench.json("validate")
    assert result["ok"] is True
    assert warning in said(result["findings"])
    assert all(finding["severity"] == "warning" for finding in result["findings"])


def test_certificates_that_are_not_verified_are_warned_of(bench: Bench) -> None:
    path = bench.configure("127.0.0.1:1")
    tls = "tls: {insecure_skip_verify: true}"
    path.write_text(path.read_text().replace("plain_http: true", tls))
    assert "not verified" in said(bench.json("validate")["findings"])


@pytest.mark.parametrize(
    ("tls", "error"),
    [
        pytest.param("ca_file: none.pem", "`ca_file` can't be used", id="no authority"),
        pytest.param("client_cert: none.pem", "`client_cert` can't be used", id="no certificate"),
        pytest.param("ca_file: config.yaml", "`ca_file` can't be used", id="another file"),
    ],
)
def test_a_file_for_tls_that_cannot_be_used_is_an_error(bench: Bench, tls: str, error: str) -> None:
    path = bench.configure("127.0.0.1:1")
    path.write_text(path.read_text().replace("plain_http: true", f"tls: {{{tls}}}"))
    assert error in said(bench.json("validate", code=1)["findings"])


def test_a_password_file_that_is_not_there_is_an_error(bench: Bench) -> None:
    bench.configure("127.0.0.1:1", account="username: u\npassword_file: none")
    assert "can't be read" in said(bench.json("validate", code=1)["findings"])


@pytest.mark.parametrize(
    ("mode", "severity", "warning"),
    [
        pytest.param(0o644, "warning", "can be read by every user", id="open to all"),
        pytest.param(None, "error", "can't be read", id="not there"),
    ],
)
def test_a_kubeconfig_that_is_open_or_missing_is_told(
    bench: Bench, mode: int | None, severity: str, warning: str
) -> None:
    path = bench.configure("127.0.0.1:1")
    path.write_text(path.read_text() + "clusters: [{name: prod, kubeconfig: kube}]\n")
    if mode is not None:
        bench.write("kube", "{}").chmod(mode)
    (finding,) = bench.json("validate", code=1 if severity == "error" else 0)["findings"]
    assert (finding["cluster"], finding["severity"]) == ("prod", severity)
    assert warning in finding["message"]


def test_a_kubeconfig_of_its_owner_alone_is_well(bench: Bench) -> None:
    path = bench.configure("127.0.0.1:1")
    path.write_text(path.read_text() + "clusters: [{name: prod, kubeconfig: kube}]\n")
    bench.write("kube", "{}").chmod(0o600)
    assert bench.json("validate")["findings"] == []


@pytest.mark.parametrize(
    ("trigger", "warning"),
    [
        pytest.param("enabled: false", "switched off", id="switched off"),
        pytest.param("tag: master", "that one tag only", id="a pattern without a wildcard"),
    ],
)
def test_a_trigger_that_may_surprise_is_warned_of(bench: Bench, trigger: str, warning: str) -> None:
    bench.configure("127.0.0.1:1", trigger=trigger)
    assert warning in said(bench.json("validate")["findings"])


def test_a_pipeline_that_nothing_starts_is_warned_of(bench: Bench) -> None:
    path = bench.configure("127.0.0.1:1")
    path.write_text(path.read_text() + "  - {name: idle, stages: [{wait: 1s}]}\n")
    assert "no trigger names it" in said(bench.json("validate")["findings"])


def test_a_broken_config_is_told_with_every_problem(bench: Bench) -> None:
    bench.write("config.yaml", "accounts:\n  - {name: A, adress: x}\n")
    shape = bench.json("validate", code=2)
    assert shape["ok"] is False
    assert {"file", "line", "path", "message", "hint"} == set(shape["problems"][0])
    assert len(shape["problems"]) >= 2


def test_online_all_is_well_where_all_is_well(bench: Bench, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address)
    assert bench.json("validate", "--online")["findings"] == []
    assert "all well" in bench.run("validate", "--online").stdout
    assert not (bench.directory / "watcher.db").exists()


@pytest.mark.parametrize(
    ("trigger", "tags", "warning"),
    [
        pytest.param("", [], "has no tags", id="no tags"),
        pytest.param("", [], "no tags in any", id="no tags anywhere"),
        pytest.param("tag: v.*", ["1.0", "2.0"], "matches none of the 2 present", id="no match"),
        pytest.param("tag: v.*", ["1.0"], "for instance 1.0", id="an example"),
    ],
)
def test_online_warns_of_what_will_never_fire(
    bench: Bench, registry: FakeRegistry, trigger: str, tags: list[str], warning: str
) -> None:
    registry.seed([REPOSITORY], tags)
    bench.configure(registry.address, trigger=trigger)
    assert warning in said(bench.json("validate", "--online")["findings"])


def test_online_a_refused_password_is_an_error_of_the_account(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    registry.auth = BasicAuth(users={"u": "right"})
    bench.configure(registry.address, account="username: u\npassword: wr0ngpass")
    result = bench.run("validate", "--online", code=1)
    assert "error: account fake" in result.stdout
    assert "wr0ngpass" not in result.output


def test_online_a_repository_without_access_asks_whether_the_user_may(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    registry.auth = BearerAuth(users={"u": "p"}, denied=frozenset({REPOSITORY}))
    bench.configure(registry.address, account="username: u\npassword: p")
    shown = said(bench.json("validate", "--online", code=1)["findings"])
    assert "can u access this repository?" in shown


def test_online_a_failing_password_command_is_told_without_its_output(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    registry.auth = BasicAuth(users={"u": "p"})
    bench.configure(
        registry.address,
        account='username: u\npassword_command: "echo s3cret; echo oops >&2; exit 3"',
    )
    result = bench.run("validate", "--online", code=1)
    assert "oops" in result.stdout
    assert "s3cret" not in result.output


def test_online_an_empty_catalog_is_warned_of(bench: Bench, registry: FakeRegistry) -> None:
    path = bench.configure(registry.address)
    text = path.read_text().replace("repositories: [acme/web]", "catalog: true")
    path.write_text(text)
    assert "the catalog is empty" in said(bench.json("validate", "--online")["findings"])


def test_online_a_catalog_that_fails_is_an_error(bench: Bench, registry: FakeRegistry) -> None:
    registry.fault(Fault(match=Match(kind=Kind.CATALOG), action=Respond(404)))
    path = bench.configure(registry.address)
    path.write_text(path.read_text().replace("repositories: [acme/web]", "catalog: true"))
    assert "list `repositories`" in said(bench.json("validate", "--online", code=1)["findings"])


def test_online_an_account_with_a_placeholder_is_not_tried(
    bench: Bench, registry: FakeRegistry
) -> None:
    bench.configure(registry.address, account="username: u\npassword: changeme")
    assert "not tried" in said(bench.json("validate", "--online")["findings"])
    assert registry.requests == []


def test_online_the_same_trouble_everywhere_is_told_once(bench: Bench) -> None:
    path = bench.configure("127.0.0.1:1")
    path.write_text(path.read_text().replace("[acme/web]", "[acme/web, a/b, c/d]"))
    errors = bench.json("validate", "--online", code=1)["findings"]
    assert len(errors) == 1
    assert "3 times" in errors[0]["message"]


@pytest.mark.parametrize("key", ["token_file", "hook_token_file"])
def test_a_token_that_lets_nobody_in_is_warned_of(bench: Bench, key: str) -> None:
    path = bench.configure("127.0.0.1:1")
    path.write_text(f"{path.read_text()}\nhttp: {{{key}: token}}\n")
    assert f"http: {key} {path.parent / 'token'} can't be read" in findings_of(bench)
    bench.write("token", "\n")
    assert f"http: {key} {path.parent / 'token'} is empty" in findings_of(bench)
    bench.write("token", "of\nnobody\n")
    assert f"http: {key} {path.parent / 'token'} is too large, or not of one line" in findings_of(
        bench
    )
    bench.write("token", "of-nobody\n")
    assert "http" not in findings_of(bench)


def findings_of(bench: Bench) -> str:
    return said(bench.json("validate")["findings"])


NOTIFIERS = {
    "a file that is not there": ("notifiers: [{name: ops, url_file: none}]", "can't be read"),
    "a variable that is not set": ("notifiers: [{name: ops, url_env: NOT_SET}]", "is not set"),
    "a URL for nobody": (
        "notifiers: [{name: ops, url: 'slack://s3cret/b'}]",
        "Apprise does not understand the URL",
    ),
    "a secret that is not there": (
        "notifiers: [{name: ops, webhook: {url: 'http://h/s3cret', secret_file: none}}]",
        "secret_file",
    ),
    "a ping without a host": ("ping: {url: 'http:///s3cret'}", "the url does not start with"),
}


@pytest.mark.parametrize(("text", "warning"), NOTIFIERS.values(), ids=NOTIFIERS.keys())
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_a_notifier_that_can_send_nothing_is_warned_of_without_its_url(
    bench: Bench, text: str, warning: str
) -> None:
    path = bench.configure("127.0.0.1:1")
    path.write_text(f"{path.read_text()}\n{text}\n")
    findings = said(bench.json("validate")["findings"])
    assert warning in findings
    assert "s3cret" not in findings

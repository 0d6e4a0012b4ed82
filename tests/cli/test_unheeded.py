"""validate and run: keys of an account that change nothing are told of."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.conftest import REPOSITORY, Bench
from watcher.testing.profiles import PROFILES
from watcher.testing.registry import FakeRegistry

HTTP2 = "`http2: true` does nothing over plain http"
NATIVE = "`strategy: native` does nothing"
PIPELINE = "pipelines: [{name: tell, stages: [{command: echo}]}]\n"


def warned(bench: Bench, *options: str) -> list[dict[str, Any]]:
    """The warnings of `validate` that are about an account's keys."""
    findings = bench.json("validate", *options)["findings"]
    assert all(finding["severity"] == "warning" for finding in findings)
    return [finding for finding in findings if "does nothing" in finding["message"]]


def configure(bench: Bench, account: str) -> None:
    watching = "repositories: [acme/web]"
    bench.write("config.yaml", f"accounts:\n  - {{name: fake, {watching}, {account}}}\n{PIPELINE}")


@pytest.mark.parametrize(
    ("account", "told"),
    [
        pytest.param("address: a.example, plain_http: true, http2: true", True, id="plain_http"),
        pytest.param(
            "address: 'http://a.example', plain_http: true, http2: true", True, id="with a scheme"
        ),
        pytest.param("address: a.example, plain_http: true, http2: false", False, id="not wished"),
        pytest.param("address: a.example, plain_http: true", False, id="not said"),
        pytest.param("address: a.example, http2: true", False, id="by https"),
    ],
)
def test_http_2_without_tls_is_warned_of(bench: Bench, account: str, told: bool) -> None:
    configure(bench, account)
    found = [(finding["message"], finding["account"]) for finding in warned(bench)]
    assert found == [(HTTP2, "fake")] * told
    if told:
        shown = bench.run("validate").stdout
        assert f"warning: account fake: {HTTP2}\n  hint: HTTP/2 is agreed upon in the TLS" in shown


@pytest.mark.parametrize(
    ("account", "kind"),
    [
        pytest.param("address: 1.dkr.ecr.eu-west-1.amazonaws.com", "ecr", id="by its name"),
        pytest.param("address: ghcr.io", "ghcr", id="the end of listings is read as with auto"),
        pytest.param("address: a.example, dialect: nexus", "nexus", id="said by the account"),
        pytest.param("address: quay.io, dialect: distribution", "distribution", id="a mirror"),
        pytest.param("address: quay.io", None, id="it has its own API"),
        pytest.param("address: eu.gcr.io", None, id="its listings tell digests"),
        pytest.param("address: a.example, dialect: harbor", None, id="it may be new enough"),
        pytest.param("address: a.example", None, id="not known without asking"),
    ],
)
def test_native_is_warned_of_where_there_is_no_own_api(
    bench: Bench, account: str, kind: str | None
) -> None:
    configure(bench, f"{account}, strategy: native")
    messages = [finding["message"] for finding in warned(bench)]
    assert len(messages) == (kind is not None)
    assert all(message.startswith(f"{NATIVE}: {kind} has no API") for message in messages)


@pytest.mark.parametrize("strategy", ["auto", "v2"])
def test_other_strategies_are_never_warned_of(bench: Bench, strategy: str) -> None:
    configure(bench, f"address: ghcr.io, strategy: {strategy}")
    assert warned(bench) == []


@pytest.mark.parametrize(
    ("kind", "version", "words"),
    [
        pytest.param(
            "distribution-3", None, "the kind of registry is not known", id="not recognised"
        ),
        pytest.param("nexus", None, "nexus has no API", id="recognised by a header"),
        pytest.param(None, None, "distribution has no API", id="recognised"),
        pytest.param("harbor", "v2.14.0-ab1c2d3e", "from 2.15.2 on", id="an old Harbor"),
        pytest.param("harbor", "v2.15.2-ab1c2d3e", None, id="a Harbor that tells"),
    ],
)
def test_online_native_is_warned_of_where_the_recognised_kind_has_no_own_api(
    bench: Bench, kind: str | None, version: str | None, words: str | None
) -> None:
    profile = PROFILES[kind] if kind is not None else None
    users = {"u": "p4ssword"}
    with FakeRegistry.in_thread(profile=profile, version=version, users=users) as registry:
        registry.push(REPOSITORY, "1.0")
        login = "username: u\npassword: p4ssword\nstrategy: native"
        bench.configure(registry.address, account=login)
        assert warned(bench) == []
        found = warned(bench, "--online")
    assert len(found) == (words is not None)
    assert all(str(words) in finding["message"] for finding in found)
    assert all(finding["hint"] for finding in found)


def test_online_what_is_known_without_asking_is_told_once(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, account="dialect: artifactory\nstrategy: native")
    assert len(warned(bench, "--online")) == 1


def test_a_pass_with_something_to_say_warns_and_an_idle_one_is_silent(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, account="http2: true")
    assert f"warning: account fake: {HTTP2}\nhint: " in bench.run("run", "--dry-run").stderr
    assert f"warning: account fake: {HTTP2}\nhint: " in bench.run("run", "--once").stderr
    assert bench.run("run", "--once").stderr == ""


@pytest.fixture
def daemon(bench: Bench, registry: FakeRegistry) -> Iterator[subprocess.Popen[str]]:
    bench.configure(registry.address, account="http2: true")
    process = subprocess.Popen(
        [sys.executable, "-m", "watcher", "run"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=bench.directory,
        env=dict(os.environ),
    )
    yield process
    process.terminate()
    process.communicate(timeout=20)


def test_the_daemon_warns_before_it_starts(daemon: subprocess.Popen[str]) -> None:
    assert daemon.stderr is not None
    first = daemon.stderr.readline()
    assert all(words in first for words in ("config_unheeded", "account=fake", HTTP2, "hint="))

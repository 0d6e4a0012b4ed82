"""validate --online and try: the kind of registry, how it is looked at, and hints that fit it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.conftest import REPOSITORY, Bench
from watcher.core.account import DialectName
from watcher.registry.refusals import HINTS
from watcher.testing.access import BearerAuth
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

USERS = {"u": "p4ssword"}
LOGIN = "username: u\npassword: p4ssword"

REASONS = {
    DialectName.DOCKER_HUB: "answers 401 for a repository that does not exist",
    DialectName.GCR: "artifactregistry.reader",
    DialectName.ARTIFACT_REGISTRY: "artifactregistry.reader",
    DialectName.ECR: "`password_command` runs `aws ecr get-login-password --region REGION`",
    DialectName.ECR_PUBLIC: "ecr-public get-login-password",
    DialectName.QUAY: "needs the permission read",
    DialectName.GHCR: "classic personal access token with read:packages",
    DialectName.ACR: "metadata_read",
    DialectName.HARBOR: "the `$` of a robot's name",
    DialectName.GITLAB: "read_registry",
    DialectName.ARTIFACTORY: "the key of the Docker repository",
    DialectName.NEXUS: "nx-repository-view-docker",
    DialectName.DISTRIBUTION: "can u access this repository?",
}


@pytest.fixture
def harbor() -> Iterator[FakeRegistry]:
    playing = FakeRegistry.in_thread(profile=PROFILES["harbor"], users=USERS, public=[REPOSITORY])
    with playing as registry:
        registry.push(REPOSITORY, "1.0")
        yield registry


def online(bench: Bench, *, code: int = 0) -> dict[str, Any]:
    shape = bench.json("validate", "--online", code=code)
    assert isinstance(shape, dict)
    return shape


def test_every_kind_of_registry_has_its_reasons_for_a_refusal() -> None:
    assert set(REASONS) == set(DialectName)
    assert set(HINTS) == set(DialectName) - {DialectName.DISTRIBUTION}


@pytest.mark.parametrize(("kind", "reason"), REASONS.items(), ids=[kind.value for kind in REASONS])
def test_a_refused_listing_names_the_usual_reason_of_that_kind(
    bench: Bench, registry: FakeRegistry, kind: DialectName, reason: str
) -> None:
    registry.push(REPOSITORY, "1.0")
    registry.auth = BearerAuth(users=USERS, denied=frozenset({REPOSITORY}))
    bench.configure(registry.address, account=f"{LOGIN}\ndialect: {kind}")
    (finding,) = online(bench, code=1)["findings"]
    assert reason in finding["hint"]
    assert finding["severity"] == "error"


def test_the_kind_that_the_account_says_is_told_beside_the_findings(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, account="dialect: artifactory")
    shape = online(bench)
    assert shape["findings"] == []
    assert shape["registries"] == [
        {
            "account": "fake",
            "dialect": "artifactory",
            "known": "said by the account",
            "version": None,
            "looks": {"v2": 1},
            "notes": [],
        }
    ]
    shown = bench.run("validate", "--online").stdout
    kind = "info: account fake: kind of registry: artifactory, said by the account"
    assert f"{kind}; 1 repository looked at by v2\n" in shown


def test_the_kind_of_a_registry_of_the_house_is_recognised(
    bench: Bench, harbor: FakeRegistry
) -> None:
    bench.configure(harbor.address)
    (row,) = online(bench)["registries"]
    assert (row["dialect"], row["known"]) == ("harbor", "recognised")


def test_a_version_that_only_a_login_is_told_decides_how_all_are_looked_at(bench: Bench) -> None:
    profile, version = PROFILES["harbor"], "v2.15.2-ab1c2d3e"
    with FakeRegistry.in_thread(profile=profile, users=USERS, version=version) as registry:
        registry.push(REPOSITORY, "1.0")
        registry.seed(["acme/large"], [f"1.{number}" for number in range(30)])
        path = bench.configure(registry.address, account=f"{LOGIN}\nlimits: {{page_size: 20}}")
        path.write_text(path.read_text().replace("[acme/web]", "[acme/web, acme/large]"))
        (row,) = online(bench)["registries"]
    assert row["looks"] == {"v2": 1, "native (Harbor's changed list)": 1}


def test_the_hint_fits_what_was_recognised(bench: Bench, harbor: FakeRegistry) -> None:
    harbor.fault(Fault(action=Respond(403), match=Match(kind=Kind.TAGS)))
    bench.configure(harbor.address, account=LOGIN)
    (finding,) = online(bench, code=1)["findings"]
    assert REASONS[DialectName.HARBOR] in finding["hint"]


def test_it_is_said_why_the_own_api_is_not_asked(bench: Bench) -> None:
    with FakeRegistry.in_thread(profile=PROFILES["gitlab"], public=[REPOSITORY]) as registry:
        registry.push(REPOSITORY, "1.0")
        registry.fault(Fault(action=Respond(404), match=Match(kind=Kind.NATIVE)))
        bench.configure(registry.address, account="dialect: gitlab\nstrategy: native")
        (row,) = online(bench)["registries"]
        (note,) = row["notes"]
        assert "answered 404" in note
        assert "v2 is asked" in note
        assert "answered 404" in bench.run("validate", "--online").stdout


def test_an_answer_that_nobody_understands_is_shown_from_its_beginning(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    page = b"<html>\x1b[31mSign in, please" + b"." * 300
    headers = (("Content-Type", "application/json"),)
    registry.fault(Fault(action=Respond(200, headers, page), match=Match(kind=Kind.TAGS)))
    bench.configure(registry.address)
    (finding,) = online(bench, code=1)["findings"]
    assert "it begins: <html> [31mSign in, please" in finding["message"]
    assert len(finding["message"]) < 400


def test_try_tells_the_kind(bench: Bench, harbor: FakeRegistry) -> None:
    image = f"{harbor.address}/{REPOSITORY}"
    shape = bench.json("try", image, "--plain-http")
    assert (shape["dialect"], shape["known"]) == ("harbor", "recognised")
    shown = bench.run("try", image, "--plain-http").stdout
    assert "kind of registry: harbor, recognised" in shown


def test_try_gives_the_hint_for_the_kind(bench: Bench, harbor: FakeRegistry) -> None:
    image = f"{harbor.address}/acme/hidden"
    stderr = bench.run("try", image, "--plain-http", code=1).stderr
    assert REASONS[DialectName.HARBOR] in stderr

"""docs/registries.md: every kind of registry stands in it, with what `plan` predicts for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from watcher.cli.prediction import predict
from watcher.core.account import Account, CredentialSource, DialectName
from watcher.core.change import ChangeKind, KnownRepository, KnownTag
from watcher.core.host import Recognition
from watcher.core.poll import RepositoryStatus
from watcher.core.reference import Registry
from watcher.core.trigger import Trigger
from watcher.registry.quirks import QUIRKS, Dialect

PAGE = (Path(__file__).parent.parent / "docs" / "registries.md").read_text()
NOW = 1_800_000_000.0
PASSWORD = CredentialSource(username="u", password="ghp_p")


@dataclass(frozen=True)
class Case:
    """One row of the table: an account of some registry."""

    title: str
    address: str
    credential: CredentialSource = PASSWORD
    found: Recognition | None = None


def house(name: DialectName, version: str | None = None) -> Recognition:
    return Recognition(name, version, NOW)


CASES = (
    Case("docker-hub", "index.docker.io"),
    Case("gcr, artifact-registry", "europe-docker.pkg.dev"),
    Case("ecr", "1.dkr.ecr.eu-west-1.amazonaws.com"),
    Case("ecr-public", "public.ecr.aws", CredentialSource()),
    Case("quay, public or with an OAuth token", "quay.io", CredentialSource()),
    Case("quay, with a robot", "quay.io"),
    Case("ghcr, with a classic token", "ghcr.io"),
    Case("acr", "acme.azurecr.io"),
    Case("harbor from 2.15.2", "h.example", found=house(DialectName.HARBOR, "v2.15.2")),
    Case("harbor before", "h.example", found=house(DialectName.HARBOR, "v2.14.0")),
    Case("gitlab", "registry.gitlab.com"),
    Case("artifactory, nexus", "a.example", found=house(DialectName.ARTIFACTORY)),
    Case("distribution, or not known", "a.example"),
)


class Everywhere:
    """A memory in which each repository has the same tags: two that move, and versions that have
    been there for a year."""

    def __init__(self, tags: int) -> None:
        year_ago = datetime.fromtimestamp(NOW, UTC) - timedelta(days=365)
        names = ["stable", "edge", *(f"1.{number}.0" for number in range(tags - 2))]
        self.tags = {
            name: KnownTag(digest=None, first_seen=year_ago, sequence=place, change_number=1)
            for place, name in enumerate(names)
        }

    def known(self, account: str, repository: str) -> KnownRepository:
        return KnownRepository(
            account=account, repository=repository, baselined=True, tags=self.tags
        )


def total(case: Case, repositories: int, tags: int, *, moves: bool) -> int:
    account = Account(name="a", registry=Registry.parse(case.address), credential=case.credential)
    changes = {ChangeKind.NEW, ChangeKind.MOVED} if moves else {ChangeKind.NEW}
    trigger = Trigger(
        name="t",
        account="a",
        pipeline="p",
        repository_pattern=".*",
        changes=frozenset(changes),
    )
    watched = [
        RepositoryStatus(account="a", repository=f"acme/r{number}", tags=tags, known=True)
        for number in range(repositories)
    ]
    memory = Everywhere(tags) if moves else None
    return round(predict(account, [trigger], watched, memory, case.found, NOW).cost.total)


def row(case: Case) -> str:
    cells = (
        total(case, 100, 100, moves=False),
        total(case, 100, 100, moves=True),
        total(case, 1, 50_000, moves=False),
    )
    return f"| {case.title} | {' | '.join(f'{cell:,}'.replace(',', ' ') for cell in cells)} |"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_the_table_says_what_plan_predicts(case: Case) -> None:
    assert row(case) in PAGE.splitlines()


@pytest.mark.parametrize("name", DialectName)
def test_every_kind_of_registry_has_its_section(name: DialectName) -> None:
    assert re.search(rf"^### .*`{name.value}`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("dialect", QUIRKS, ids=lambda dialect: str(dialect.name))
def test_every_pace_and_host_name_stands_there(dialect: Dialect) -> None:
    _, _, rest = PAGE.partition(f"`{dialect.name}`")
    for pattern in dialect.hosts:
        assert f"`{pattern}`" in PAGE
    paces = (
        dialect.requests_per_second,
        dialect.http2_requests_per_second,
        dialect.native_requests_per_second,
    )
    for pace in paces:
        assert pace is None or re.search(rf"\b{pace:g} (?:requests )?a second", rest)

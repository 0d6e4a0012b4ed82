"""Which accounts a hint means: by host in any spelling, else by kind and repository."""

from __future__ import annotations

import pytest

from watcher.core.account import DialectName
from watcher.core.hint import Hint, Sender, Watched, accounts_meant, registry_name
from watcher.core.reference import DOCKER_HUB_NAME

HUB = Sender(name="dockerhub", kinds=frozenset({DialectName.DOCKER_HUB}))
HOUSE = Sender(
    name="distribution",
    kinds=frozenset({DialectName.DISTRIBUTION, DialectName.HARBOR}),
    has_aliases=True,
)
ANY = Sender(name="generic")


def watched(account: str, registry: str, kind: DialectName | None, *repositories: str) -> Watched:
    return Watched(
        account=account, registry=registry, kind=kind, watches=frozenset(repositories).__contains__
    )


ACCOUNTS = (
    watched("hub", DOCKER_HUB_NAME, DialectName.DOCKER_HUB, "acme/web", "library/nginx"),
    watched("hub-too", DOCKER_HUB_NAME, DialectName.DOCKER_HUB, "acme/web"),
    watched("quay", "quay.io", DialectName.QUAY, "acme/web"),
    watched("house", "registry.acme.test:5000", None, "acme/web", "acme/api"),
    watched("harbor", "harbor.acme.test", DialectName.HARBOR, "acme/api"),
    watched("https", "plain.acme.test:443", None, "acme/job"),
)


@pytest.mark.parametrize(
    ("sender", "registry", "repository", "meant"),
    [
        pytest.param(HUB, "docker.io", "acme/web", ["hub", "hub-too"], id="all of the host"),
        pytest.param(HUB, "registry-1.docker.io", "library/nginx", ["hub"], id="who watches it"),
        pytest.param(HUB, "docker.io", "acme/other", [], id="a repository that nobody watches"),
        pytest.param(HUB, "quay.io", "acme/web", ["quay"], id="what the payload says is a host"),
        pytest.param(HUB, "evil.test", "acme/web", [], id="a host without aliases that nobody has"),
        pytest.param(HOUSE, "registry.acme.test:5000", "acme/web", ["house"], id="host and port"),
        pytest.param(HOUSE, "registry.acme.test:5001", "acme/web", ["house"], id="another port"),
        pytest.param(HOUSE, "10.0.0.7:5000", "acme/api", ["house", "harbor"], id="an alias"),
        pytest.param(HOUSE, "10.0.0.7:5000", "acme/web", ["house"], id="no registry of the world"),
        pytest.param(HOUSE, None, "acme/api", ["house", "harbor"], id="no host at all"),
        pytest.param(HOUSE, "plain.acme.test", "acme/job", ["https"], id="the default port"),
        pytest.param(ANY, None, "acme/web", ["hub", "hub-too", "quay", "house"], id="whoever"),
        pytest.param(ANY, "quay.io", "acme/web", ["quay"], id="generic with a host"),
    ],
)
def test_a_hint_means_the_accounts_that_watch_the_repository_at_the_host(
    sender: Sender, registry: str | None, repository: str, meant: list[str]
) -> None:
    host = registry_name(registry) if registry else None
    hint = Hint(registry=host, repository=repository)
    assert list(accounts_meant(hint, sender, ACCOUNTS)) == meant


@pytest.mark.parametrize(
    ("account", "repository", "meant"),
    [
        pytest.param("quay", "acme/web", ["quay"], id="named, at another host"),
        pytest.param("quay", "acme/api", [], id="named, and it does not watch that"),
        pytest.param("nobody", "acme/web", [], id="no such account"),
    ],
)
def test_the_account_that_the_url_names_decides_alone(
    account: str, repository: str, meant: list[str]
) -> None:
    hint = Hint(registry="10.0.0.7:5000", repository=repository)
    assert list(accounts_meant(hint, HOUSE, ACCOUNTS, account)) == meant

"""Which repositories an account watches, and when a catalog is believed."""

from __future__ import annotations

from watcher.core.account import Account, Catalog
from watcher.core.reference import Registry
from watcher.core.trigger import Trigger
from watcher.engine.repositories import RepositoryList

REGISTRY = Registry.parse("registry.example")


def account(repositories: tuple[str, ...] = (), *, catalog: bool = False) -> Account:
    return Account(
        name="main",
        registry=REGISTRY,
        repositories=repositories,
        catalog=Catalog() if catalog else None,
    )


def trigger(*repositories: str, of: str = "main") -> Trigger:
    return Trigger(name="t", account=of, pipeline="p", repositories=repositories)


def test_the_listed_repositories_are_watched_whatever_triggers_name() -> None:
    assert RepositoryList(account(("a", "b")), [trigger("c")]).names == ("a", "b")


def test_with_neither_list_nor_catalog_the_triggers_name_them() -> None:
    watched = RepositoryList(account(), [trigger("a"), trigger("b", of="other"), trigger("a")])
    assert watched.names == ("a",)


def test_list_and_catalog_stand_together() -> None:
    watched = RepositoryList(account(("a",), catalog=True), [])
    assert watched.take_catalog(["b", "a"]) is None
    assert watched.names == ("a", "b")


def test_until_the_catalog_is_read_the_stored_repositories_are_watched() -> None:
    assert RepositoryList(account(catalog=True), [], stored=["x"]).names == ("x",)


def test_an_empty_catalog_is_doubted_once() -> None:
    watched = RepositoryList(account(catalog=True), [], stored=["x"])
    assert "0 of 1 known repositories" in str(watched.take_catalog([]))
    assert watched.names == ("x",)
    assert watched.take_catalog([]) is None
    assert len(watched.names) == 0


def test_an_empty_catalog_is_doubted_after_the_first_one_too() -> None:
    watched = RepositoryList(account(catalog=True), [])
    assert watched.take_catalog(["x"]) is None
    assert watched.take_catalog([]) is not None
    assert watched.names == ("x",)


def test_a_catalog_that_lost_all_that_just_came_is_doubted() -> None:
    old, new = [f"o{number}" for number in range(20)], [f"n{number}" for number in range(30)]
    watched = RepositoryList(account(catalog=True), [], stored=old)
    assert watched.take_catalog([*old, *new]) is None
    assert watched.take_catalog(old) is not None
    assert len(watched.names) == 50


def test_a_catalog_that_lost_most_is_doubted_until_the_next_says_the_same() -> None:
    many = [f"r{number}" for number in range(30)]
    watched = RepositoryList(account(catalog=True), [], stored=many)
    assert watched.take_catalog(many[:5]) is not None
    assert watched.take_catalog(many[:6]) is not None
    assert len(watched.names) == 30
    assert watched.take_catalog(many[:6]) is None
    assert len(watched.names) == 6


def test_a_catalog_that_comes_back_is_believed_at_once() -> None:
    many = [f"r{number}" for number in range(30)]
    watched = RepositoryList(account(catalog=True), [], stored=many)
    watched.take_catalog([])
    assert watched.take_catalog(many) is None
    assert watched.take_catalog([]) is not None


def test_docker_hub_s_short_names_in_a_catalog_are_those_that_triggers_watch() -> None:
    hub = Account(
        name="main",
        registry=Registry.parse("docker.io"),
        repositories=("library/nginx",),
        catalog=Catalog(skip=("library/redis",)),
    )
    repositories = RepositoryList(hub, [])
    assert repositories.take_catalog(("nginx", "redis", "acme/web")) is None
    assert repositories.names == ("library/nginx", "acme/web")


def test_a_catalog_that_names_all_others_is_doubted() -> None:
    watched = RepositoryList(account(catalog=True), [], stored=[f"old{n}" for n in range(30)])
    assert watched.take_catalog([f"new{number}" for number in range(30)]) is not None


def test_a_doubt_ends_in_the_next_process_if_the_catalog_says_the_same() -> None:
    many = [f"r{number}" for number in range(30)]
    first = RepositoryList(account(catalog=True), [], stored=many)
    assert first.take_catalog(many[:5]) is not None
    second = RepositoryList(account(catalog=True), [], stored=many, fingerprint=first.fingerprint)
    assert second.take_catalog([*many[:5], "brand-new"]) is None
    assert len(second.names) == 6
    third = RepositoryList(account(catalog=True), [], stored=many, fingerprint=second.fingerprint)
    assert third.take_catalog(many[:5]) is None

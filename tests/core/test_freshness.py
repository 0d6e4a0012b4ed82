"""Which repositories are told to be stale, when their registry is meant instead, and what the ping
vouches for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from watcher.core.freshness import WatchedAccount, is_polled, settle
from watcher.core.notice import NoticeEvent, Trouble
from watcher.core.poll import CatalogStatus, RepositoryStatus

NOW = 1_000_000.0
MINUTE = 60.0


def status(
    name: str = "web", *, success: float | None = 10, check: float = 10, failures: int = 0
) -> RepositoryStatus:
    """Polled so many seconds ago, and with success so many."""
    return RepositoryStatus(
        account="hub",
        repository=name,
        last_check=NOW - check,
        last_success=None if success is None else NOW - success,
        last_error="refused" if failures else None,
        next_check=NOW + MINUTE,
        failures=failures,
    )


def failing(name: str, *, success: float | None = 10 * MINUTE) -> RepositoryStatus:
    return status(name, success=success, failures=3)


def account(
    *statuses: RepositoryStatus, since: float | None = 60 * MINUTE, is_parked: bool = False
) -> WatchedAccount:
    """`since`: polled for so many seconds by this process."""
    return WatchedAccount(
        name="hub",
        registry="registry.example.com",
        statuses=statuses,
        limit=timedelta(minutes=3),
        since=None if since is None else NOW - since,
        is_parked=is_parked,
    )


def stale(subject: str, *, ago: float = 5 * MINUTE) -> Trouble:
    return Trouble(
        event=NoticeEvent.REPOSITORY_STALE, subject=subject, text="stale", since=NOW - ago
    )


WELL = tuple(status(f"well-{number}") for number in range(3))

BEGUN = {
    "all is well": (account(*WELL), []),
    "one of several is late": (account(failing("web"), *WELL), ["hub/web"]),
    "one fails and is not late": (account(status(success=90, failures=1), *WELL), []),
    "the only one is late": (account(failing("web")), ["hub/web"]),
    "most fail, one is late": (
        account(failing("web"), status("a", failures=1), status("b", failures=1)),
        ["hub"],
    ),
    "all are late": (account(*(failing(f"r{number}") for number in range(1000))), ["hub"]),
    "parked, and one is late": (account(failing("web"), *WELL, is_parked=True), ["hub"]),
    "late, and put off since the start": (
        account(status(success=None, check=30 * MINUTE, failures=9), *WELL, since=20 * MINUTE),
        [],
    ),
    "late, and not tried for longer than the longest backoff": (
        account(status(success=None, check=90 * MINUTE, failures=9), *WELL, since=70 * MINUTE),
        ["hub/web"],
    ),
    "a moment after the start": (account(failing("web"), *WELL, since=10), []),
    "a pass of its own: last success long ago": (
        account(failing("web"), *WELL, since=None),
        ["hub/web"],
    ),
    "a pass of its own, which took long": (
        account(status(success=10 * MINUTE, check=10 * MINUTE), *WELL, since=None),
        [],
    ),
    "a pass of its own: never, the second failure": (
        account(status(success=None, failures=2), *WELL, since=None),
        [],
    ),
    "a pass of its own: never, the third failure": (
        account(failing("web", success=None), *WELL, since=None),
        ["hub/web"],
    ),
}


@pytest.mark.parametrize(("watched", "subjects"), BEGUN.values(), ids=BEGUN.keys())
def test_what_begins(watched: WatchedAccount, subjects: list[str]) -> None:
    found = settle([watched], [], NOW)
    assert [trouble.subject for trouble in found.begun] == subjects
    assert found.over == []


def test_the_account_is_told_with_its_registry_and_the_most_common_error() -> None:
    watched = account(failing("a"), failing("b"), status("c"))
    (trouble,) = settle([watched], [], NOW).begun
    assert trouble.text == "hub: registry.example.com can't be polled (2 of 3 repositories)"
    assert (trouble.account, trouble.detail) == ("hub", "refused")


@pytest.mark.parametrize(
    ("watched", "lasting"),
    [
        (account(failing("web"), *WELL), stale("hub/web")),
        (account(*(failing(f"r{number}") for number in range(9))), stale("hub")),
        (account(failing("a"), failing("b"), status("c"), status("d")), stale("hub")),
    ],
    ids=["a repository", "an account", "an account of which half are polled again"],
)
def test_what_lasts_is_not_told_again(watched: WatchedAccount, lasting: Trouble) -> None:
    assert not settle([watched], [lasting], NOW)


OVER = {
    "polled again": (account(status(), *WELL), stale("hub/web"), "hub/web: polled again"),
    "no longer watched": (account(*WELL), stale("hub/web"), "hub/web: no longer watched"),
    "most of an account": (
        account(failing("a"), *WELL),
        stale("hub"),
        "hub: registry.example.com is polled again",
    ),
    "an account that watches nothing now": (
        account(),
        stale("hub"),
        "hub: registry.example.com is polled again",
    ),
    "an account that is gone": (account(*WELL), stale("gcr"), "gcr: no longer watched"),
}


@pytest.mark.parametrize(("watched", "lasting", "line"), OVER.values(), ids=OVER.keys())
def test_what_is_over(watched: WatchedAccount, lasting: Trouble, line: str) -> None:
    found = settle([watched], [lasting], NOW)
    assert found.over == [(lasting, line)]
    assert found.begun == []


def test_a_success_before_the_trouble_does_not_end_it() -> None:
    """After a start the clock of lateness begins anew; that is no success."""
    watched = account(status(success=6 * MINUTE, check=10), *WELL, since=10)
    assert not settle([watched], [stale("hub/web")], NOW)


def test_a_success_of_a_clock_that_was_set_back_neither_ends_nor_repeats_a_trouble() -> None:
    ahead = status(success=-1e6, check=10, failures=3)
    watched = account(ahead, *WELL)
    (trouble,) = settle([watched], [], NOW).begun
    assert trouble.subject == "hub/web"
    assert not settle([watched], [trouble], NOW + 5)


@pytest.mark.parametrize(("failures", "is_over"), [(0, True), (1, False)])
def test_a_trouble_of_a_clock_that_was_set_back_ends_when_polls_are_well(
    failures: int, is_over: bool
) -> None:
    watched = account(status(failures=failures), *WELL)
    found = settle([watched], [stale("hub/web", ago=-365 * 24 * 60 * MINUTE)], NOW)
    assert bool(found.over) is is_over


def catalog(failures: int, *, was_read: bool = False) -> CatalogStatus:
    error = "403" if failures else None
    return CatalogStatus(failures=failures, error=error, was_read=was_read)


@pytest.mark.parametrize(("failures", "subjects"), [(2, []), (3, ["hub/_catalog"])])
def test_a_catalog_that_can_not_be_read_again_and_again_is_told(
    failures: int, subjects: list[str]
) -> None:
    watched = replace(account(), catalog=catalog(failures))
    found = settle([watched], [], NOW)
    assert [trouble.subject for trouble in found.begun] == subjects
    assert all(trouble.detail == "403" for trouble in found.begun)


@pytest.mark.parametrize(
    ("read", "line"),
    [
        (catalog(4), None),
        (catalog(0), None),
        (catalog(0, was_read=True), "hub/_catalog: read again"),
        (None, "hub/_catalog: no longer watched"),
    ],
    ids=["fails on", "not asked since the start", "read", "no catalog any more"],
)
def test_the_trouble_of_a_catalog_lasts_until_it_is_read(
    read: CatalogStatus | None, line: str | None
) -> None:
    found = settle([replace(account(*WELL), catalog=read)], [stale("hub/_catalog")], NOW)
    assert found.begun == []
    assert [said for _, said in found.over] == ([line] if line else [])


SINCE = 5 * MINUTE

POLLED = {
    "all were polled": (account(*WELL), True),
    "one failed, and had a success as well": (account(status(success=60, failures=1), *WELL), True),
    "one failed alone": (account(status(success=400, failures=1), *WELL), False),
    "one was never polled with success": (account(status(success=None), *WELL), False),
    "one is late": (account(status(success=900, check=900), *WELL), False),
    "none was due": (
        replace(account(status(success=900, check=900)), limit=timedelta(hours=3)),
        True,
    ),
    "one is due and was left out": (
        replace(
            account(replace(status(success=900, check=900), next_check=NOW - 120)),
            limit=timedelta(hours=3),
        ),
        False,
    ),
    "parked": (account(*WELL, is_parked=True), False),
    "no repositories": (account(), False),
    "its catalog can't be read": (replace(account(*WELL), catalog=catalog(1)), False),
    "its catalog is read": (replace(account(*WELL), catalog=catalog(0, was_read=True)), True),
}


@pytest.mark.parametrize(("watched", "good"), POLLED.values(), ids=POLLED.keys())
def test_what_the_ping_vouches_for(watched: WatchedAccount, good: bool) -> None:
    assert is_polled(watched, NOW - SINCE, NOW) is good

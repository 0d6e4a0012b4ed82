"""`watcher status` of what is parked, and `watcher status --hosts`."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime

import pytest

from tests.cli.conftest import REPOSITORY, Bench
from watcher.core.account import DialectName
from watcher.core.host import Counted, Counts, Quota, Recognition
from watcher.store.sqlite import Store
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

HOST = "registry.example"
NOW = float(round(time.time()))


def known(
    bench: Bench,
    *,
    blocked: dict[str, float] | None = None,
    quotas: dict[Counted, Quota] | None = None,
    recognised: dict[str, Recognition] | None = None,
) -> None:
    """A config for one account, and what earlier runs left."""
    bench.configure(HOST)
    with closing(Store.open(bench.directory / "watcher.db")) as store:
        store.flush([], blocked or {}, quotas=quotas, recognised=recognised)


def said(seconds: float) -> str:
    return (
        datetime.fromtimestamp(seconds, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


@pytest.mark.parametrize(
    ("blocked", "state", "until", "parked_by"),
    [
        pytest.param({HOST: NOW + 60_000}, "parked", 60_000, "host", id="the host"),
        pytest.param({f"{HOST}/fake": NOW + 60_000}, "parked", 60_000, "account", id="the account"),
        pytest.param(
            {HOST: NOW + 60_000, f"{HOST}/fake": NOW + 90_000},
            "parked",
            90_000,
            "account",
            id="both",
        ),
        pytest.param({f"{HOST}/other": NOW + 60_000}, "pending", None, None, id="another account"),
        pytest.param({f"{HOST} (native)": NOW + 60_000}, "pending", None, None, id="only its API"),
        pytest.param({HOST: NOW - 1}, "pending", None, None, id="that is over"),
    ],
)
def test_status_says_what_is_parked_until_when_and_for_whom(
    bench: Bench,
    blocked: dict[str, float],
    state: str,
    until: float | None,
    parked_by: str | None,
) -> None:
    known(bench, blocked=blocked)
    (row,) = bench.json("status")
    assert (row["state"], row["parked_by"]) == (state, parked_by)
    assert row["parked_until"] == (None if until is None else said(NOW + until))
    shown = bench.run("status").stdout
    assert (f"parked by {parked_by} until" in shown) is (parked_by is not None)


def test_hosts_are_shown_with_all_that_is_known_of_them(bench: Bench) -> None:
    known(
        bench,
        blocked={
            HOST: NOW + 60_000,
            f"{HOST}/fake (native)": NOW + 6_000,
            "gone.example": NOW + 6_000,
        },
        quotas={
            Counted(f"{HOST}/fake", Counts.PULLS): Quota(100, 76, NOW + 216_000, NOW),
            Counted(HOST, Counts.REQUESTS): Quota(None, 5, NOW - 1, NOW - 60),
        },
        recognised={HOST: Recognition(DialectName.HARBOR, "v2.11.0", NOW)},
    )
    assert bench.json("status", "--hosts") == [
        {
            "host": HOST,
            "dialect": "harbor",
            "version": "v2.11.0",
            "recognised": said(NOW),
            "accounts": ["fake"],
            "parked": [
                {"account": None, "counts": "requests", "until": said(NOW + 60_000)},
                {"account": "fake", "counts": "native", "until": said(NOW + 6_000)},
            ],
            "quotas": [
                {
                    "account": "fake",
                    "counts": "pulls",
                    "allowed": 100,
                    "remaining": 76,
                    "resets": said(NOW + 216_000),
                    "seen": said(NOW),
                }
            ],
        }
    ]
    shown = bench.run("status", "fake", "--hosts").stdout.splitlines()
    assert [line.split()[:5] for line in shown[1:]] == [
        [HOST, "harbor", "v2.11.0", "-", "requests"],
        [HOST, "harbor", "v2.11.0", "fake", "native"],
        [HOST, "harbor", "v2.11.0", "fake", "pulls"],
    ]
    assert "100      76" in shown[3]


def test_a_host_of_which_nothing_is_known_is_shown_all_the_same(bench: Bench) -> None:
    bench.configure(HOST)
    (row,) = bench.json("status", "--hosts")
    assert (row["host"], row["dialect"], row["parked"], row["quotas"]) == (HOST, None, [], [])
    assert HOST in bench.run("status", "--hosts").stdout


def test_a_pass_leaves_what_a_registry_said_for_the_next(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    registry.fault(
        Fault(
            match=Match(kind=Kind.TAGS),
            action=Respond(
                200,
                (
                    ("Content-Type", "application/json"),
                    ("X-RateLimit-Limit", "100"),
                    ("X-RateLimit-Remaining", "0"),
                    ("X-RateLimit-Reset", "3600"),
                ),
                b'{"name":"acme/web","tags":["1.0"]}',
            ),
        )
    )
    bench.configure(registry.address)
    bench.run("run", "--once")
    (row,) = bench.json("status")
    assert (row["state"], row["last_error"], row["parked_by"]) == ("parked", None, "host")
    (host,) = bench.json("status", "--hosts")
    assert [(quota["allowed"], quota["remaining"]) for quota in host["quotas"]] == [(100, 0)]
    registry.reset_log()
    assert "parked until" in bench.run("run", "--once").stderr
    assert registry.requests == []

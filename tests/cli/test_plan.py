"""plan: requests per hour for each registry, account and trigger, and where that is too much."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cli.conftest import REPOSITORY, Bench
from watcher.core.account import DialectName
from watcher.core.host import Counted, Quota, Recognition
from watcher.core.poll import PollRecord, RepositoryStatus
from watcher.store.sqlite import Store

DAY = 86_400.0
NOWHERE = "127.0.0.1:1"
DIGEST = f"sha256:{'0' * 64}"
PIPELINE = "pipelines: [{name: tell, stages: [{command: echo}]}]\n"


def remember(
    bench: Bench,
    tags: Iterable[str] = (),
    *,
    account: str = "fake",
    repositories: Iterable[str] = (REPOSITORY,),
    many: int | None = None,
    age: float = 0.0,
    kinds: Mapping[str, Recognition] | None = None,
    quotas: Mapping[Counted, Quota] | None = None,
) -> None:
    """What polls would have left: these tags since `age` seconds, or only that there are `many`."""
    names, listed = list(repositories), dict.fromkeys(tags, DIGEST)
    at = datetime.fromtimestamp(time.time() - age, UTC)
    with Store.open(bench.directory / "watcher.db") as store:
        for name in names:
            store.record_poll(PollRecord(account=account, repository=name, at=at, baseline=listed))
        count = len(listed) if many is None else many
        statuses = [
            RepositoryStatus(account=account, repository=name, tags=count, known=True)
            for name in names
        ]
        store.flush(statuses, {}, recognised=kinds, quotas=quotas)


def configure(bench: Bench, accounts: str, triggers: str = "") -> None:
    watching = f"triggers:\n{triggers}\n" if triggers else ""
    bench.write("config.yaml", f"accounts:\n{accounts}\n{watching}{PIPELINE}")


def plan(bench: Bench) -> dict[str, Any]:
    """The row of the only registry."""
    (row,) = bench.json("plan")
    assert isinstance(row, dict)
    return row


def names(count: int) -> str:
    return "[" + ", ".join(f"acme/r{number}" for number in range(count)) + "]"


@pytest.mark.parametrize(
    ("account", "listings"),
    [
        pytest.param("poll: 60s", 60, id="each minute"),
        pytest.param("poll: {cron: '0 * * * *'}", 1, id="cron"),
        pytest.param("poll: 30s", 120, id="twice a minute"),
    ],
)
def test_listings_are_counted_per_hour(bench: Bench, account: str, listings: int) -> None:
    bench.configure(NOWHERE, account=account)
    row = plan(bench)
    assert row["listings"] == listings
    assert row["warning"] is None
    assert row["warnings"] == []


@pytest.mark.parametrize(
    ("address", "tags", "listings"),
    [
        pytest.param("registry.example.com", 2500, 180, id="three pages of a thousand"),
        pytest.param("public.ecr.aws", 2500, 180, id="the same of ECR"),
        pytest.param("ghcr.io", 2500, 60, id="the end of a listing that is oldest first"),
        pytest.param("quay.io", 2500, 64, id="the newest, and 25 pages each six hours"),
        pytest.param("quay.io", 50, 60, id="one page is not worth another way"),
    ],
)
def test_pages_cost_what_the_way_of_looking_makes_of_them(
    bench: Bench, address: str, tags: int, listings: int
) -> None:
    configure(bench, f"  - {{name: fake, address: {address}, repositories: [acme/web]}}")
    remember(bench, many=tags)
    assert plan(bench)["listings"] == listings


@pytest.mark.parametrize(
    ("login", "looks"),
    [
        pytest.param("", "native (Quay)", id="anonymous, for what is public"),
        pytest.param("username: $oauthtoken, password: x", "native (Quay)", id="an OAuth token"),
        pytest.param("username: acme+robot, password: x", "v2", id="a robot may not see it there"),
    ],
)
def test_what_quay_shows_a_robot_is_not_expected_of_its_own_api(
    bench: Bench, login: str, looks: str
) -> None:
    rest = f"repositories: [acme/web], strategy: native, {login}"
    configure(bench, f"  - {{name: fake, address: quay.io, {rest}}}")
    assert plan(bench)["accounts"][0]["looks"] == {looks: 1}


def test_a_digest_is_counted_for_each_tag_that_may_move(bench: Bench) -> None:
    bench.configure(NOWHERE, account="poll: 60s", trigger="changes: [moved]")
    remember(bench, ["a", "b", "latest"])
    assert plan(bench)["digests"] == 120


@pytest.mark.parametrize(
    ("account", "trigger", "age", "digests"),
    [
        pytest.param("", "", 0, 60, id="new"),
        pytest.param("", "", 1000 * DAY, 0, id="long there"),
        pytest.param(
            "audit: 10m", "", 1000 * DAY, 8, id="long there, and looked at each 8 minutes"
        ),
        pytest.param("", "tag: {equals: 1.4.2}", 1000 * DAY, 60, id="named by the trigger"),
        pytest.param("track_digests: 'off'", "changes: [new]", 0, 0, id="not followed"),
        pytest.param("track_digests: all", "changes: [new]", 0, 60, id="followed for the account"),
    ],
)
def test_a_tag_that_looks_fixed_is_counted_as_seldom_as_it_is_looked_at(
    bench: Bench, account: str, trigger: str, age: float, digests: int
) -> None:
    rule = trigger if "changes" in trigger else f"changes: [moved]\n{trigger}"
    bench.configure(NOWHERE, account=account, trigger=rule)
    remember(bench, ["1.4.2"], age=age)
    assert plan(bench)["digests"] == digests


def test_digests_that_a_listing_tells_cost_nothing(bench: Bench) -> None:
    trigger = "  - {name: t, account: fake, repository: p/web, changes: [moved], pipeline: tell}"
    configure(bench, "  - {name: fake, address: eu.gcr.io, repositories: [p/web]}", trigger)
    remember(bench, ["latest", "edge"], repositories=["p/web"])
    row = plan(bench)
    assert row["digests"] == 0
    assert row["accounts"][0]["looks"] == {"v2 with digests": 1}


@pytest.mark.parametrize(
    ("account", "tokens"),
    [
        pytest.param("address: index.docker.io", 27, id="Docker Hub: 20 repositories in a token"),
        pytest.param(
            "address: index.docker.io, limits: {scopes_per_token: 1}",
            480,
            id="Docker Hub: a token for each repository, each five minutes",
        ),
        pytest.param("address: ghcr.io", 480, id="GHCR without a password"),
        pytest.param(
            "address: ghcr.io, username: me, password: ghp_x", 0, id="GHCR takes a PAT at once"
        ),
        pytest.param(
            "address: 1.dkr.ecr.eu-west-1.amazonaws.com, username: AWS, password_command: x",
            0,
            id="ECR takes the password at once",
        ),
        pytest.param("address: a.azurecr.io, username: me, password_env: X", 0, id="ACR likewise"),
        pytest.param(
            "address: a.azurecr.io, username: 00000000-0000-0000-0000-000000000000, "
            "password_env: X",
            35,
            id="ACR with a refresh token: one for 68 minutes",
        ),
        pytest.param("address: quay.io, username: a+b, password: x", 44, id="Quay: for an hour"),
    ],
)
def test_tokens_are_counted_as_the_registry_gives_them(
    bench: Bench, account: str, tokens: int
) -> None:
    configure(bench, f"  - {{name: fake, {account}, repositories: {names(40)}}}")
    assert plan(bench)["tokens"] == tokens


@pytest.mark.parametrize(
    ("catalog", "requests"),
    [
        pytest.param("true", 6, id="each ten minutes"),
        pytest.param("{refresh: 1h}", 1, id="each hour"),
        pytest.param("{file: names.json}", 0, id="from a file"),
    ],
)
def test_catalogs_are_counted(bench: Bench, catalog: str, requests: int) -> None:
    configure(bench, f"  - {{name: fake, address: a.example, catalog: {catalog}}}")
    assert plan(bench)["catalogs"] == requests


@pytest.mark.parametrize(
    ("account", "found", "dialect", "known"),
    [
        pytest.param("address: quay.io", None, "quay", "by its name", id="by its name"),
        pytest.param("address: a.example", None, None, "not known", id="not known"),
        pytest.param(
            "address: a.example", DialectName.HARBOR, "harbor", "recognised", id="recognised"
        ),
        pytest.param(
            "address: a.example, dialect: gitlab",
            DialectName.HARBOR,
            "gitlab",
            "said by the account",
            id="the account has the last word",
        ),
    ],
)
def test_the_kind_of_registry_is_told_with_how_it_is_known(
    bench: Bench, account: str, found: DialectName | None, dialect: str | None, known: str
) -> None:
    configure(bench, f"  - {{name: fake, {account}, repositories: [acme/web]}}")
    kinds = {"a.example": Recognition(found, None, time.time())} if found else {}
    remember(bench, kinds=kinds)
    (account_row,) = plan(bench)["accounts"]
    assert (account_row["dialect"], account_row["known"]) == (dialect, known)


@pytest.mark.parametrize(
    ("account", "http2"),
    [
        pytest.param("address: quay.io", True, id="where more is allowed over it"),
        pytest.param("address: quay.io, http2: false", False, id="switched off"),
        pytest.param("address: ghcr.io", False, id="usually not"),
        pytest.param("address: ghcr.io, http2: true", True, id="switched on"),
        pytest.param(
            "address: localhost:5000, plain_http: true, http2: true", False, id="never in the clear"
        ),
    ],
)
def test_whether_http_2_is_spoken_is_told(bench: Bench, account: str, http2: bool) -> None:
    configure(bench, f"  - {{name: fake, {account}, repositories: [acme/web]}}")
    assert plan(bench)["accounts"][0]["http2"] is http2


@pytest.mark.parametrize(
    ("strategy", "version", "count", "looks"),
    [
        pytest.param("auto", "v2.15.2", 30, "native (Harbor's changed list)", id="many"),
        pytest.param("auto", "v2.15.2", 3, "v2", id="few"),
        pytest.param("auto", "v2.14.0", 30, "v2", id="a Harbor that does not tell"),
        pytest.param("native", "v2.15.2", 3, "native (Harbor's changed list)", id="insisted"),
        pytest.param("v2", "v2.15.2", 30, "v2", id="v2 insisted"),
    ],
)
def test_the_strategy_in_use_is_told(
    bench: Bench, strategy: str, version: str, count: int, looks: str
) -> None:
    configure(
        bench,
        f"  - {{name: fake, address: h.example, strategy: {strategy}, repositories: "
        f"{names(count)}}}",
    )
    remember(bench, kinds={"h.example": Recognition(DialectName.HARBOR, version, time.time())})
    row = plan(bench)
    assert row["accounts"][0]["looks"] == {looks: count}
    assert row["accounts"][0]["strategy"] == strategy
    assert (row["listings"] < 1.2 * 60 + count) == looks.startswith("native")


TRIGGERS = """\
  - {name: moves, account: fake, repository: acme/web, tag: "[a-z]+", changes: [moved],
     pipeline: tell}
  - {name: same, account: fake, repository: acme/web, tag: edge, changes: [moved], pipeline: tell}
  - {name: news, account: fake, repository: acme/web, pipeline: tell}
"""


def test_a_trigger_adds_what_it_alone_makes_necessary(bench: Bench) -> None:
    configure(bench, "  - {name: fake, address: a.example, repositories: [acme/web]}", TRIGGERS)
    remember(bench, ["stable", "edge", "latest", "v1"])
    row = plan(bench)
    assert row["digests"] == 180
    assert {t["name"]: (t["adds"], t["without"]) for t in row["triggers"]} == {
        "moves": (120, row["total"] - 120),
        "same": (0, row["total"]),
        "news": (0, row["total"]),
    }


def test_a_trigger_for_deletions_adds_the_pages_of_complete_listings(bench: Bench) -> None:
    trigger = "  - {name: t, account: fake, repository: a/b, changes: [deleted], pipeline: tell}"
    configure(bench, "  - {name: fake, address: ghcr.io, repositories: [a/b]}", trigger)
    remember(bench, repositories=["a/b"], many=5000)
    (found,) = plan(bench)["triggers"]
    assert found["adds"] == 239  # five pages in place of one; a walk each six hours is made anyway


def test_a_trigger_that_names_the_repository_alone_adds_all_of_it(bench: Bench) -> None:
    triggers = "  - {name: t, account: fake, repository: [a/b, c/d], pipeline: tell}"
    configure(bench, "  - {name: fake, address: a.example}", triggers)
    row = plan(bench)
    assert row["repositories"] == 2
    assert [(t["adds"], t["without"]) for t in row["triggers"]] == [(row["total"], 0)]


@pytest.mark.parametrize(
    ("account", "words"),
    [
        pytest.param(
            f"address: quay.io, http2: false, poll: 30s, repositories: {names(1000)}",
            "quay.io: 1000 repositories every 30s need",
            id="the pace of the registry",
        ),
        pytest.param(
            f"address: quay.io, http2: false, poll: 30s, repositories: {names(1000)}",
            "4 are sent: it takes 4m12s; set `http2: true`",
            id="how long it takes, and what to do",
        ),
        pytest.param(
            "address: quay.io, http2: false, poll: 1s, repositories: [a/b, c/d, e/f, g/h, i/j]",
            "4 are sent: it takes 1.3s; set `http2: true`",
            id="a delay of less than a second",
        ),
        pytest.param(
            "address: q.example, dialect: quay, plain_http: true, poll: 1s, "
            f"repositories: {names(9)}",
            "4 are sent: it takes 2.3s; poll less often",
            id="HTTP/2 is no advice in the clear",
        ),
        pytest.param(
            f"address: index.docker.io, strategy: native, poll: 30s, repositories: {names(100)}",
            "index.docker.io: its own API is asked 2 times a second, 3.3 times would be needed",
            id="the pace of its own API",
        ),
        pytest.param(
            "address: a.example, poll: 1s, limits: {requests_per_second: 0.5}, repositories: [a/b]",
            "account fake: 1 repository every 1s needs 1.0 requests a second, 0.5 are sent",
            id="the pace of the account",
        ),
        pytest.param(
            f"address: a.azurecr.io, username: u, password: p, poll: 1s, repositories: {names(20)}",
            "a.azurecr.io: 72000 requests an hour are predicted, its quota is 60000",
            id="a quota by the hour",
        ),
    ],
)
def test_what_a_registry_does_not_allow_is_warned_of(
    bench: Bench, account: str, words: str
) -> None:
    configure(bench, f"  - {{name: fake, {account}}}")
    assert words in str(plan(bench)["warning"])
    assert f"warning: {words.split(':')[0]}" in bench.run("plan").stdout or "takes" in words


def test_http_2_is_pace_enough_for_quay(bench: Bench) -> None:
    configure(bench, f"  - {{name: fake, address: quay.io, repositories: {names(1000)}}}")
    assert plan(bench)["warnings"] == []


def test_accounts_of_one_registry_share_its_pace(bench: Bench) -> None:
    half = f"address: quay.io, http2: false, repositories: {names(150)}"
    configure(bench, f"  - {{name: one, {half}}}\n  - {{name: two, {half}}}")
    row = plan(bench)
    assert "300 repositories every 1m" in row["warning"]
    assert [account["repositories"] for account in row["accounts"]] == [150, 150]


def test_accounts_of_different_intervals_are_not_told_to_be_of_one(bench: Bench) -> None:
    slow = f"address: quay.io, http2: false, repositories: {names(10)}"
    fast = f"address: quay.io, http2: false, poll: 2s, repositories: {names(10)}"
    configure(bench, f"  - {{name: one, {slow}}}\n  - {{name: two, {fast}}}")
    warning = plan(bench)["warning"]
    assert "20 repositories every 2s to 1m need 5.2 requests a second, 4 are sent" in warning
    assert "each is looked at 1.3 times less often" in warning


def left(what: str, remaining: float, seconds: float, host: str = "a.example") -> Any:
    now = time.time()
    return {Counted(host, what): Quota(1000, remaining, now + seconds, now)}


@pytest.mark.parametrize(
    ("quotas", "warned"),
    [
        pytest.param(left("requests", 10, 3600), "it said that 10 are left", id="too little"),
        pytest.param(
            left("requests", 10, 3600, "a.example/fake"), "a.example, account fake: ", id="for one"
        ),
        pytest.param(left("requests", 500, 3600), None, id="enough"),
        pytest.param(left("requests", 10, -5), None, id="over"),
        pytest.param(left("pulls", 0, 3600), None, id="polling pulls nothing"),
        pytest.param(left("native", 0, 3600), None, id="an API that is not asked"),
        pytest.param(left("requests", 0, 3600, "b.example"), None, id="of another registry"),
    ],
)
def test_what_is_left_of_a_quota_is_warned_of_where_it_is_too_little(
    bench: Bench, quotas: Mapping[Counted, Quota], warned: str | None
) -> None:
    configure(bench, "  - {name: fake, address: a.example, repositories: [acme/web]}")
    remember(bench, quotas=quotas)
    row = plan(bench)
    assert (warned or "None") in str(row["warning"])
    is_ours = all(key.host != "b.example" for key in quotas)
    assert bool(row["left"]) == (is_ours and all(q.resets > time.time() for q in quotas.values()))


def test_people_get_a_table_for_registries_accounts_and_triggers(bench: Bench) -> None:
    accounts = "  - {name: fake, address: a.example, repositories: [acme/web]}"
    configure(bench, f"{accounts}\n  - {{name: other, address: quay.io, poll: 10m}}", TRIGGERS)
    remember(bench, ["stable", "edge"])
    assert bench.run("plan").stdout.splitlines() == [
        "REGISTRY   REPOSITORIES  LISTINGS/H  DIGESTS/H  TOKENS/H  TOTAL/H  QUOTA/H",
        "a.example             1          60        120        12      192        -",
        "quay.io               0           0          0         0        0   180000",
        "",
        "ACCOUNT  KIND  KNOWN        LOOKED AT BY  HTTP/2  EVERY  TOTAL/H",
        "fake     -     not known    v2            no      1m         192",
        "other    quay  by its name  -             yes     10m          0",
        "",
        "TRIGGER  ACCOUNT  ADDS/H  WITHOUT IT/H",
        "moves    fake         60           132",
        "note: quota of quay.io: 50 listings a second over HTTP/2, 5 without it",
    ]


@pytest.mark.parametrize(
    ("keys", "quota"),
    [
        pytest.param(["http2: true"], 180_000, id="over HTTP/2"),
        pytest.param(["http2: false"], 18_000, id="without it"),
        pytest.param(["http2: false", "http2: auto"], 180_000, id="one account of two"),
        pytest.param(["plain_http: true, dialect: quay"], 18_000, id="in the clear"),
    ],
)
def test_the_quota_is_what_the_version_of_http_is_allowed(
    bench: Bench, keys: list[str], quota: int
) -> None:
    accounts = [
        f"  - {{name: n{number}, address: quay.io, repositories: [a/b], {key}}}"
        for number, key in enumerate(keys)
    ]
    configure(bench, "\n".join(accounts))
    assert plan(bench)["quota"] == quota


@pytest.mark.parametrize(
    ("polled", "words"),
    [
        pytest.param(
            [],
            "3 of 3 repositories were never polled: one page of tags is assumed for each",
            id="none",
        ),
        pytest.param(["a/b"], "2 of 3 repositories were never polled", id="one"),
        pytest.param(
            ["a/b", "c/d"],
            "1 of 3 repositories was never polled: one page of tags is assumed for it",
            id="all but one",
        ),
        pytest.param(["a/b", "c/d", "e/f"], None, id="all"),
    ],
)
def test_it_is_said_what_is_assumed_of_repositories_that_were_never_polled(
    bench: Bench, polled: list[str], words: str | None
) -> None:
    configure(bench, "  - {name: fake, address: a.example, repositories: [a/b, c/d, e/f]}")
    remember(bench, ["1.0"], repositories=polled)
    shown = bench.run("plan").stdout
    assert ("never polled" in shown) is (words is not None)
    assert f"note: {words or ''}" in shown or words is None
    assert plan(bench)["accounts"][0]["never_polled"] == 3 - len(polled)


@pytest.mark.parametrize(
    ("account", "tags", "told"),
    [
        pytest.param("username: a+b, password: x", 250, True, id="a robot, several pages"),
        pytest.param("username: a+b, password: x", 50, False, id="a robot, one page"),
        pytest.param(
            "username: a+b, password: x, strategy: native", 50, True, id="a robot that insists"
        ),
        pytest.param("username: $oauthtoken, password: x", 250, False, id="an OAuth token"),
        pytest.param("audit: 1h", 250, False, id="anonymous"),
    ],
)
def test_it_is_said_where_quay_s_own_api_is_closed(
    bench: Bench, account: str, tags: int, told: bool
) -> None:
    configure(bench, f"  - {{name: fake, address: quay.io, repositories: [acme/web], {account}}}")
    remember(bench, many=tags)
    shown = bench.run("plan").stdout
    note = "note: account fake: Quay's own API shows private repositories to an OAuth token alone"
    assert (note in shown) is told
    assert len(plan(bench)["notes"]) == told


def test_it_is_said_where_no_trigger_adds_anything(bench: Bench) -> None:
    bench.configure(NOWHERE)
    shown = bench.run("plan").stdout
    assert "no trigger adds requests to those of its account" in shown

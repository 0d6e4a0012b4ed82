"""What hosts say that they still allow: read in every form, kept, and not used up at a stroke."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registry.accounts import Clock, account_for
from watcher.core.account import Account, CredentialSource, Limits
from watcher.core.host import Counted, Counts, Quota
from watcher.errors import RateLimited
from watcher.http_client import Headers
from watcher.registry.answer import Answer
from watcher.registry.budgets.limits import HostLimits, Lane
from watcher.registry.budgets.quota import LONGEST, told

NOW = 1_800_000_000.0
HOST = "registry.example"
DOCKER_HUB = "index.docker.io"


def headers(lines: dict[str, str]) -> Headers:
    return Headers((name.encode(), value.encode()) for name, value in lines.items())


def plain(remaining: str, limit: str | None = None, reset: str | None = None) -> dict[str, str]:
    said = {"X-RateLimit-Remaining": remaining, "X-RateLimit-Limit": limit}
    said["X-RateLimit-Reset"] = reset
    return {name: value for name, value in said.items() if value is not None}


def draft(remaining: str, limit: str, reset: str) -> dict[str, str]:
    return {"RateLimit-Remaining": remaining, "RateLimit-Limit": limit, "RateLimit-Reset": reset}


POLICY = '"burst";q=100;w=60, "day";q=1000;w=86400'


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(
            {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"},
            (100, 76, 21600),
            id="Docker Hub, manifests",
        ),
        pytest.param({"ratelimit-remaining": "76;w=21600"}, (None, 76, 21600), id="no limit told"),
        pytest.param(
            plain("179", "180", f"{NOW + 30:.0f}"), (180, 179, 30), id="a moment: Docker Hub's API"
        ),
        pytest.param(plain("9", "10", f"{(NOW + 30) * 1000:.0f}"), (10, 9, 30), id="milliseconds"),
        pytest.param(plain("9", "10", "30"), (10, 9, 30), id="seconds"),
        pytest.param(plain("9", "10"), (10, 9, 60), id="no time told"),
        pytest.param(plain("9", "10", "soon"), (10, 9, 60), id="a time that is none"),
        pytest.param(plain("9", "10", "-5"), (10, 9, 1), id="a reset in the past"),
        pytest.param(plain("9", "10", "999999"), (10, 9, LONGEST), id="more than a day"),
        pytest.param(plain("0", "10", f"{NOW + 1e8:.0f}"), (10, 0, LONGEST), id="in years"),
        pytest.param(plain("-3", "10", "30"), (10, 0, 30), id="less than nothing is left"),
        pytest.param(plain("50.0", "60.5", "30"), (60.5, 50, 30), id="fractions"),
        pytest.param(plain(" 50 ", "60", " 30"), (60, 50, 30), id="spaces"),
        pytest.param(draft("4", "10", "5"), (10, 4, 5), id="the first drafts"),
        pytest.param(
            draft("4", "10, 10;w=1, 1000;w=3600", "5"), (10, 4, 5), id="the first drafts, policies"
        ),
        pytest.param(draft("4, 2", "10, 99", "5, 50"), (99, 2, 50), id="several: the tightest"),
        pytest.param(
            {**plain("10", "100", "10"), **draft("10", "100", "3600")},
            (100, 10, 3600),
            id="both families: the tightest",
        ),
        pytest.param({"RateLimit": "limit=100, remaining=50, reset=30"}, (100, 50, 30), id="03"),
        pytest.param({"RateLimit": "limit=100;remaining=50;reset=30"}, (100, 50, 30), id="03, ;"),
        pytest.param({"RateLimit": '"default";r=50;t=30'}, (None, 50, 30), id="the newer drafts"),
        pytest.param(
            {"RateLimit": '"day";r=50;t=30', "RateLimit-Policy": POLICY},
            (1000, 50, 30),
            id="the newer drafts, with a policy",
        ),
        pytest.param(
            {"RateLimit": '"burst";r=99, "day";r=3', "RateLimit-Policy": POLICY},
            (1000, 3, 86400),
            id="the newer drafts, two policies",
        ),
        pytest.param({}, None, id="nothing"),
        pytest.param(plain("999999999", "999999999"), None, id="unlimited: very many"),
        pytest.param(plain("-1", "-1"), None, id="unlimited: below nothing"),
        pytest.param(plain("0", "0"), None, id="unlimited: a limit of nothing"),
        pytest.param(plain("-1"), None, id="below nothing of nothing"),
        pytest.param(plain("NaN", "NaN"), None, id="no number"),
        pytest.param(plain("1e400", "inf"), None, id="no number either"),
        pytest.param(plain("٣", "10"), None, id="other digits"),
        pytest.param(plain("9" * 5000), None, id="endless"),
        pytest.param(plain(";,;=,=;"), None, id="no words"),
        pytest.param({"RateLimit": "x", "RateLimit-Policy": "y;z"}, None, id="other words"),
    ],
)
def test_what_is_still_allowed_is_read_in_every_form(
    lines: dict[str, str], expected: tuple[float | None, float, float] | None
) -> None:
    found = told(headers(lines), NOW)
    if expected is None:
        assert found is None
    else:
        allowed, remaining, seconds = expected
        assert found == Quota(allowed, remaining, NOW + seconds, NOW)


NAMES = [
    f"{prefix}RateLimit{suffix}"
    for prefix in ("", "X-")
    for suffix in ("", "-Limit", "-Remaining", "-Reset", "-Policy")
]
VALUES = st.one_of(
    st.text(alphabet='0123456789+-.,;=" rtqwlimitremainingreset', max_size=60),
    st.integers().map(str),
    st.floats().map(str),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)


@given(lines=st.dictionaries(st.sampled_from(NAMES), VALUES), now=st.floats(1.0, 4e9))
def test_nothing_that_a_host_says_can_upset_or_hold_up_for_ever(
    lines: dict[str, str], now: float
) -> None:
    found = told(headers(lines), now)
    if found is not None:
        assert found.remaining >= 0
        assert found.allowed is None or found.allowed >= 1
        assert 0 < found.resets - now <= LONGEST + 1e-6


def lane_of(
    clock: Clock,
    host: str = HOST,
    limits: HostLimits | None = None,
    *,
    concurrency: int = 8,
    **settings: Any,
) -> Lane:
    hosts = limits or HostLimits(clock=clock, sleep=clock.sleep)
    own = Limits(concurrency=concurrency)
    return hosts.lane(account_for(host, plain_http=False, limits=own, **settings))


def say(
    lane: Lane, lines: dict[str, str], counts: Counts = Counts.REQUESTS, status: int = 200
) -> None:
    """The host answers with these headers."""
    lane.note(Answer(status, headers(lines), b"", f"https://{HOST}/v2/"), counts)


async def starts(clock: Clock, lane: Lane, requests: int) -> list[float]:
    began, times = clock.now, []
    for _ in range(requests):
        async with lane.turn():
            times.append(clock.now - began)
    return times


async def refused(lane: Lane, counts: Counts = Counts.REQUESTS) -> timedelta | None:
    """How long such a request has to wait; None when it may be sent."""
    try:
        async with lane.turn(counts=counts):
            return None
    except RateLimited as error:
        return error.retry_after


async def test_plenty_costs_no_time() -> None:
    clock = Clock(NOW)
    lane = lane_of(clock)
    say(lane, plain("20", "100", "600"))
    assert await starts(clock, lane, 30) == [0] * 30


async def test_below_a_fifth_the_rest_is_spread_until_the_reset() -> None:
    clock = Clock(NOW)
    lane = lane_of(clock)
    began = []
    for left in range(19, -1, -1):
        say(lane, plain(str(left), "100", f"{NOW + 60:.0f}"))
        async with lane.turn():
            began.append(clock.now - NOW)
    assert began[0] == 0
    gaps = [after - before for before, after in itertools.pairwise(began)]
    assert min(gaps) > 2
    assert max(gaps) < 7
    assert began[-1] == pytest.approx(60), "what nothing is left for goes when it resets"


async def test_what_would_wait_long_is_parked_instead() -> None:
    clock = Clock(NOW)
    limits = HostLimits(clock=clock, sleep=clock.sleep)
    lane = lane_of(clock, limits=limits)
    say(lane, plain("10", "100", "3600"))
    assert await refused(lane) is None, "the first of those that are left"
    assert await refused(lane) == timedelta(seconds=360)
    assert limits.parking.blocked() == {HOST: NOW + 360}
    clock.now += 360
    assert await refused(lane) is None
    assert clock.slept == []


async def test_when_nothing_is_left_it_is_parked_until_the_reset() -> None:
    clock = Clock(NOW)
    limits = HostLimits(clock=clock, sleep=clock.sleep)
    lane = lane_of(clock, limits=limits)
    say(lane, plain("0", "100", "3600"))
    assert limits.parking.blocked() == {HOST: NOW + 3600}
    assert await refused(lane) == timedelta(hours=1)
    clock.now += 3600
    assert await refused(lane) is None


@pytest.mark.parametrize("left", ["0", "10"])
async def test_what_a_host_said_before_the_clock_was_set_back_is_void(left: str) -> None:
    clock = Clock(NOW)
    lane = lane_of(clock)
    say(lane, plain(left, "100", "3600"))
    clock.now -= 365 * 24 * 3600
    assert await starts(clock, lane, 20) == [0] * 20


async def test_a_request_under_way_may_bring_better_news() -> None:
    clock = Clock(NOW)
    limits = HostLimits(clock=clock, sleep=clock.sleep)
    lane = lane_of(clock, limits=limits)
    say(lane, plain("0", "100", "3600"))
    clock.now += 2
    say(lane, plain("50", "100", "3000"))
    assert limits.parking.blocked() == {}
    assert await refused(lane) is None


async def test_who_waits_is_told_when_nothing_is_left() -> None:
    clock = Clock(NOW)
    lane = lane_of(clock, concurrency=1)
    async with lane.turn():
        waiting = [asyncio.create_task(refused(lane)) for _ in range(9)]
        await asyncio.sleep(0)
        say(lane, plain("0", "100", "3600"))
        assert set(await asyncio.gather(*waiting)) == {timedelta(hours=1)}


async def test_docker_hub_s_quota_of_pulls_holds_gets_of_manifests_only() -> None:
    clock = Clock(NOW)
    limits = HostLimits(clock=clock, sleep=clock.sleep)
    lane = lane_of(clock, "docker.io", limits)
    say(lane, {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600"})
    assert await refused(lane, Counts.PULLS) == timedelta(hours=6)
    assert await refused(lane) is None
    assert await refused(lane, Counts.NATIVE) is None
    assert limits.parking.blocked() == {f"{DOCKER_HUB} (pulls)": NOW + 21600}
    say(lane, {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "30;w=21600"})
    assert await refused(lane, Counts.PULLS) is None


async def test_a_native_api_s_quota_holds_that_api_only() -> None:
    clock = Clock(NOW)
    lane = lane_of(clock, "docker.io")
    say(lane, plain("0", "180", "60"), Counts.NATIVE)
    assert await refused(lane, Counts.NATIVE) == timedelta(minutes=1)
    assert await refused(lane) is None


async def test_with_a_login_a_quota_is_the_account_s_own() -> None:
    clock = Clock(NOW)
    limits = HostLimits(clock=clock, sleep=clock.sleep)
    login = CredentialSource(username="me", password="mine")
    one = lane_of(clock, limits=limits, name="one", credential=login)
    two = lane_of(clock, limits=limits, name="two", credential=login)
    say(one, plain("0", "100", "3600"))
    assert await refused(one) == timedelta(hours=1)
    assert await refused(two) is None
    assert limits.quotas() == {Counted(f"{HOST}/one", "requests"): Quota(100, 0, NOW + 3600, NOW)}


async def test_a_limit_that_is_not_told_is_the_most_that_was_seen() -> None:
    clock = Clock(NOW)
    limits = HostLimits(clock=clock, sleep=clock.sleep)
    lane = lane_of(clock, limits=limits)
    for left in ("100", "19"):
        say(lane, plain(left, reset="60"))
    (quota,) = limits.quotas().values()
    assert quota.allowed == 100


@pytest.mark.parametrize("logs_in", [False, True])
async def test_quotas_and_parks_outlive_the_process(logs_in: bool) -> None:
    clock = Clock(NOW)
    login = CredentialSource(username="me", password="mine") if logs_in else CredentialSource()
    account: Account = account_for(HOST, plain_http=False, credential=login)
    before = HostLimits(clock=clock)
    say(before.lane(account), plain("0", "100", "3600"))
    after = HostLimits(clock=clock, blocked=before.parking.blocked(), quotas=before.quotas())
    assert await refused(after.lane(account)) == timedelta(hours=1)
    assert after.quotas() == before.quotas() != {}
    say(after.lane(account), plain("100", "100", "3600"))
    assert await refused(after.lane(account)) is None
    clock.now += 3601
    assert after.quotas() == {}

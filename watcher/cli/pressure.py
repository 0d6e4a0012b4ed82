"""Where a registry allows less than the config would ask of it: its pace, the account's own, a
quota by the hour, or what the registry itself said is left. Only `plan` uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from watcher.cli import output
from watcher.cli.prediction import HOUR, AccountCost
from watcher.core.host import Counted, Counts, place_of

if TYPE_CHECKING:
    from watcher.core.host import Quota
    from watcher.registry.quirks import HourlyQuota

MORE = 1.0001
"""What is within a ten thousandth of a bound is not above it."""

SECONDS_WITH_TENTHS = 10
"""Below, a whole number of seconds could say that there is no delay."""


class Left(NamedTuple):
    """What a registry said that it still allows, to all or to one account."""

    what: str
    account: str | None
    quota: Quota


def left_of(
    registry: str, accounts: Sequence[AccountCost], quotas: Mapping[Counted, Quota], now: float
) -> list[Left]:
    """The quotas of a registry that are not over yet."""
    names = [None, *(each.account.name for each in accounts)]
    places = {place_of(registry, name): name for name in names}
    return [
        Left(counted.what, places[counted.host], quota)
        for counted, quota in quotas.items()
        if counted.host in places and quota.resets > now
    ]


def warnings(
    registry: str, accounts: Sequence[AccountCost], left: Iterable[Left], now: float
) -> Iterator[str]:
    """A sentence for each bound that the polls of these accounts, all of one registry, exceed."""
    yield from _hourly(registry, accounts)
    for each in accounts:
        own = each.account.limits.requests_per_second
        if own is not None:
            who = f"account {each.account.name}"
            yield from _slow(who, [each], own, each.cost.total, "raise its requests_per_second")
    yield from _paces(registry, accounts)
    for said in left:
        yield from _too_little(registry, accounts, said, now)


def quota_of(accounts: Iterable[AccountCost]) -> HourlyQuota | None:
    """What a registry allows these accounts of it in an hour; None: nothing is published. Where it
    allows more over HTTP/2, our paces are in the same proportion as what it allows."""
    allowed = [_quota(each, each.dialect.quota) for each in accounts if each.dialect.quota]
    return max(allowed, default=None)


def _quota(each: AccountCost, quota: HourlyQuota) -> HourlyQuota:
    slow, fast = each.dialect.requests_per_second, each.dialect.http2_requests_per_second
    if each.uses_http2 or not slow or not fast:
        return quota
    return quota._replace(requests=quota.requests * slow / fast)


def _hourly(registry: str, accounts: Sequence[AccountCost]) -> Iterator[str]:
    quota = quota_of(accounts)
    total = sum(each.cost.total for each in accounts)
    if quota is not None and total > quota.requests * MORE:
        yield (
            f"{registry}: {total:.0f} requests an hour are predicted, its quota is "
            f"{quota.requests:.0f} ({quota.note}); poll less often, or fewer repositories"
        )


def _paces(registry: str, accounts: Sequence[AccountCost]) -> Iterator[str]:
    """Accounts that are held to the same pace share it, as they do when they poll."""
    for rate in sorted({each.per_second for each in accounts if each.per_second}):
        sharing = [each for each in accounts if each.per_second == rate]
        asked = sum(each.cost.total - _apart(each) for each in sharing)
        faster = [each for each in sharing if _would_be_faster(each, rate)]
        advice = "set `http2: true`, or poll less often" if faster else "poll less often"
        yield from _slow(registry, sharing, rate, asked, advice)
    natives = {each.dialect.native_requests_per_second for each in accounts}
    for rate in sorted(rate for rate in natives if rate):
        sharing = [each for each in accounts if each.dialect.native_requests_per_second == rate]
        asked = sum(each.cost.native for each in sharing)
        if asked > rate * HOUR * MORE:
            yield (
                f"{registry}: its own API is asked {rate:g} times a second, "
                f"{asked / HOUR:.1f} times would be needed; the rest is looked at by v2, which "
                "costs more than is predicted; poll less often"
            )


def _apart(each: AccountCost) -> float:
    """Requests an hour that go to an API with a pace of its own."""
    return each.cost.native if each.dialect.native_requests_per_second else 0.0


def _would_be_faster(each: AccountCost, rate: float) -> bool:
    fast = each.dialect.http2_requests_per_second
    is_possible = each.account.registry.base_url.startswith("https:")
    return fast is not None and fast > rate and is_possible and not each.uses_http2


def _slow(
    who: str, sharing: Sequence[AccountCost], rate: float, asked: float, advice: str
) -> Iterator[str]:
    """`asked` requests an hour at `rate` a second: is one round over before the next begins?"""
    if asked <= rate * HOUR * MORE:
        return
    shortest, longest = (bound(each.interval for each in sharing) for bound in (min, max))
    repositories = sum(each.repositories for each in sharing)
    often = asked / HOUR / rate
    if shortest == longest:
        every, late = output.length(shortest), f"it takes {_time(shortest * often)}"
    else:
        every = f"{output.length(shortest)} to {output.length(longest)}"
        late = f"each is looked at {often:.1f} times less often"
    yield (
        f"{who}: {output.count(repositories, 'repository')} every {every} "
        f"{'needs' if repositories == 1 else 'need'} {asked / HOUR:.1f} requests a second, "
        f"{rate:g} are sent: {late}; {advice}"
    )


def _time(seconds: float) -> str:
    return output.length(seconds) if seconds >= SECONDS_WITH_TENTHS else f"{seconds:.1f}s"


def _too_little(
    registry: str, accounts: Iterable[AccountCost], said: Left, now: float
) -> Iterator[str]:
    """Polling pulls nothing: listings and HEAD don't count as that."""
    concerned = [each for each in accounts if said.account in (None, each.account.name)]
    native = sum(each.cost.native for each in concerned)
    asked = {
        Counts.NATIVE.value: native,
        Counts.REQUESTS.value: sum(each.cost.total for each in concerned) - native,
    }.get(said.what, 0.0)
    expected = asked * (said.quota.resets - now) / HOUR
    if expected > said.quota.remaining * MORE:
        who = registry if said.account is None else f"{registry}, account {said.account}"
        yield (
            f"{who}: {expected:.0f} requests are predicted for the next "
            f"{output.length(said.quota.resets - now)}, it said that {said.quota.remaining:.0f} "
            "are left; what is above that waits"
        )

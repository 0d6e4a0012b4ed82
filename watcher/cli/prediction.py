"""What polling will cost in requests per hour: per account, per repository, and what of it is for
the sake of one trigger. As long as nothing changes; pipelines ask for more.

Where it is not known what a registry wants, the prediction is the higher one. Only `plan` uses it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from watcher.core import audit
from watcher.core.account import Account, CredentialSource, DigestTracking
from watcher.core.change import ChangeKind, KnownTag
from watcher.core.schedule import interval
from watcher.core.trigger import Trigger, applies, follows_by_name, wants_digest
from watcher.registry.listing.lists import page_size_of
from watcher.registry.login.direct import ACR_TOKEN_USER, GITHUB_TOKEN_PREFIXES
from watcher.registry.native.asking import QUAY_OAUTH_USER
from watcher.registry.quirks import Dialect, Login, NativeApi, by_host, dialect_of
from watcher.registry.strategy import Circumstances, Way, choose, forecast, seconds_between_walks

if TYPE_CHECKING:
    from watcher.core.change import KnownRepository
    from watcher.core.host import Recognition
    from watcher.core.poll import RepositoryStatus

HOUR = 3600.0
_USED_OF_A_TOKEN = 0.9
"""The share of its life after which a token is asked for anew."""

_OWN_LOGIN = frozenset({NativeApi.DOCKER_HUB, NativeApi.QUAY, NativeApi.HARBOR})
"""Native APIs that take no token of the v2 API."""


class Cost(NamedTuple):
    """Requests per hour. `native` are those of `listings` that go to the registry's own API."""

    listings: float = 0.0
    digests: float = 0.0
    tokens: float = 0.0
    catalogs: float = 0.0
    native: float = 0.0

    @property
    def total(self) -> float:
        return self.listings + self.digests + self.tokens + self.catalogs

    def plus(self, other: Cost) -> Cost:
        return Cost(*(mine + its for mine, its in zip(self, other, strict=True)))


class Memory(Protocol):
    """Where the tags of repositories are stored."""

    def known(self, account: str, repository: str) -> KnownRepository: ...


class Knowledge(StrEnum):
    """How it is known what kind of registry an account has."""

    SAID = "said by the account"
    NAME = "by its name"
    RECOGNISED = "recognised"
    NONE = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCost:
    """What one account's polls cost. `strategies` counts repositories by how they are looked at,
    `triggers` has what each trigger adds; `interval` is in seconds. Of `never_polled` it is not
    known how many tags they have; `is_shut_out`: the registry's own API is closed to the login."""

    account: Account
    dialect: Dialect
    knowledge: Knowledge
    interval: float
    repositories: int
    cost: Cost
    strategies: Mapping[str, int] = field(default_factory=dict)
    triggers: Mapping[str, float] = field(default_factory=dict)
    never_polled: int = 0
    is_shut_out: bool = False

    @property
    def uses_http2(self) -> bool:
        """Whether HTTP/2 is offered; over plain http it never is."""
        wanted = self.dialect.http2 if self.account.http2 is None else self.account.http2
        return wanted and self.account.registry.base_url.startswith("https:")

    @property
    def per_second(self) -> float | None:
        """How many requests a second are sent to the v2 API at most; None: no bound."""
        fast = self.dialect.http2_requests_per_second
        return fast if self.uses_http2 and fast else self.dialect.requests_per_second


def known_dialect(account: Account, found: Recognition | None) -> tuple[Dialect, Knowledge]:
    """What kind of registry the account has, and how that is known."""
    name = account.registry.name
    recognised = found.dialect if found is not None else None
    dialect = dialect_of(name, account.dialect, recognised)
    if account.dialect is not None:
        return dialect, Knowledge.SAID
    if by_host(name) is not None:
        return dialect, Knowledge.NAME
    return dialect, Knowledge.NONE if recognised is None else Knowledge.RECOGNISED


def wishes(account: Account, triggers: Iterable[Trigger]) -> tuple[bool, bool]:
    """Whether looks at a repository with these triggers want digests, and deletions."""
    wanted = {kind for trigger in triggers for kind in trigger.changes}
    tracking = account.track_digests
    follows = tracking is DigestTracking.AUTO and ChangeKind.MOVED in wanted
    return follows or tracking is DigestTracking.ALL, ChangeKind.DELETED in wanted


def predict(
    account: Account,
    triggers: Iterable[Trigger],
    watched: Sequence[RepositoryStatus],
    store: Memory | None,
    found: Recognition | None,
    now: float,
) -> AccountCost:
    """What the account's polls cost; `watched` are its repositories, `now` is in epoch seconds."""
    dialect, knowledge = known_dialect(account, found)
    asked = replace(dialect, native=None) if _is_robot_of_quay(account, dialect) else dialect
    every = interval(account.poll, now).total_seconds()
    asking = _Asking(account, asked, every, len(watched), found.version if found else None, now)
    total, strategies = asking.catalog(), Counter[str]()
    added: dict[str, float] = {}
    for status in watched:
        watching = [t for t in triggers if applies(t, account.name, status.repository)]
        present = _present(account, watching, status, store)
        cost, words = asking.cost(status.tags, watching, present)
        total = total.plus(cost)
        strategies[words] += 1
        for trigger in watching:
            others = [other for other in watching if other is not trigger]
            without = asking.cost_without(trigger, others, status.tags, present, cost)
            added[trigger.name] = added.get(trigger.name, 0.0) + cost.total - without
    return AccountCost(
        account=account,
        dialect=dialect,
        knowledge=knowledge,
        interval=every,
        repositories=len(watched),
        cost=total,
        strategies=dict(strategies.most_common()),
        triggers=added,
        never_polled=sum(not status.known for status in watched),
        is_shut_out=asked is not dialect,
    )


@dataclass(frozen=True, slots=True)
class _Asking:
    """How one account asks its registry. `every` and `now` are in seconds."""

    account: Account
    dialect: Dialect
    every: float
    watched: int
    version: str | None
    now: float

    @property
    def polls(self) -> float:
        """How often each repository is looked at in an hour."""
        return HOUR / self.every

    def catalog(self) -> Cost:
        catalog = self.account.catalog
        if catalog is None or catalog.file is not None:
            return Cost()
        pages = max(1, math.ceil(self.watched / page_size_of(self.account, self.dialect)))
        return Cost(catalogs=pages * HOUR / catalog.refresh.total_seconds())

    def cost(
        self, tags: int, triggers: Sequence[Trigger], present: Mapping[str, KnownTag]
    ) -> tuple[Cost, str]:
        """What one repository costs with these triggers, and how it is looked at."""
        given = self._circumstances(tags, triggers)
        expected = forecast(self.dialect, given, self.every)
        way = choose(self.dialect, given)
        digests = 0.0 if expected.tells_digests else self._digests(triggers, present)
        walks = given.pages * HOUR / seconds_between_walks(self.every)
        is_native = way in (Way.NEWEST, Way.CHANGED)
        listings = self.polls * expected.requests
        cost = Cost(
            listings=listings,
            digests=digests,
            tokens=self._tokens(way),
            native=max(listings - walks, 0.0) if is_native else 0.0,
        )
        return cost, expected.words

    def cost_without(
        self,
        trigger: Trigger,
        others: Sequence[Trigger],
        tags: int,
        present: Mapping[str, KnownTag],
        cost: Cost,
    ) -> float:
        """What the repository would cost in all if this trigger were not there."""
        if self._is_watched_for(trigger, others):
            return 0.0
        if trigger.changes <= {ChangeKind.NEW}:
            return cost.total
        return self.cost(tags, others, present)[0].total

    def _is_watched_for(self, trigger: Trigger, others: Iterable[Trigger]) -> bool:
        """Whether the account looks at the repository only because this trigger names it."""
        if self.account.repositories or self.account.catalog is not None:
            return False
        return bool(trigger.repositories) and not any(other.repositories for other in others)

    def _circumstances(self, tags: int, triggers: Iterable[Trigger]) -> Circumstances:
        digests, deletions = wishes(self.account, triggers)
        return Circumstances(
            strategy=self.account.strategy,
            wants_digests=digests,
            wants_deletions=deletions,
            tags=tags,
            page_size=page_size_of(self.account, self.dialect),
            watched=self.watched,
            version=self.version,
        )

    def _digests(self, triggers: Sequence[Trigger], present: Mapping[str, KnownTag]) -> float:
        """Looks an hour at followed tags; at those that look fixed only now and then."""
        follows_all = self.account.track_digests is DigestTracking.ALL
        return sum(
            self._looks(name, tag, triggers)
            for name, tag in present.items()
            if follows_all or wants_digest(triggers, name)
        )

    def _looks(self, name: str, tag: KnownTag, triggers: Sequence[Trigger]) -> float:
        if not (audit.looks_fixed(name) and tag.stands_still) or follows_by_name(triggers, name):
            return self.polls
        age = self.now - tag.first_seen.timestamp()
        gap = audit.gap_of(age, timedelta(seconds=self.every), self.account.audit)
        return HOUR / max(gap, self.every)

    def _tokens(self, way: Way) -> float:
        """A repository's share of the tokens that its requests need in an hour."""
        source, native = self.account.credential, self.dialect.native
        if _goes_direct(source, self.dialect.login):
            return 0.0
        is_native = way in (Way.NEWEST, Way.CHANGED)
        needs_two = way is Way.NEWEST and native is NativeApi.DOCKER_HUB and _has_password(source)
        own = self._renewals(self.every, self.watched) if needs_two else 0.0
        gap = self.every
        if is_native and native in _OWN_LOGIN:
            gap = seconds_between_walks(self.every)
        wished = self.account.limits.scopes_per_token or self.dialect.scopes_per_token
        return own + self._renewals(gap, min(wished, self.watched))

    def _renewals(self, gap: float, group: int) -> float:
        """A repository's share of the tokens of a group, each of which needs one every `gap`
        seconds."""
        life = self.dialect.token_seconds * _USED_OF_A_TOKEN
        return HOUR / (math.ceil(life * max(group, 1) / gap) * gap)


def _present(
    account: Account, triggers: Iterable[Trigger], status: RepositoryStatus, store: Memory | None
) -> Mapping[str, KnownTag]:
    """The tags that are stored, where any of them may be followed."""
    tracking = account.track_digests
    follows = tracking is DigestTracking.ALL or any(ChangeKind.MOVED in t.changes for t in triggers)
    if store is None or tracking is DigestTracking.OFF or not follows:
        return {}
    return store.known(account.name, status.repository).present


def _is_robot_of_quay(account: Account, dialect: Dialect) -> bool:
    """Whether Quay's own API will not let the account see what is private."""
    source = account.credential
    is_oauth = source.username == QUAY_OAUTH_USER
    return dialect.native is NativeApi.QUAY and _has_password(source) and not is_oauth


def _goes_direct(source: CredentialSource, login: Login) -> bool:
    """Whether the password itself goes with each request, so that no token is asked for."""
    if login is Login.GITHUB_TOKEN and source.password is not None:
        return source.password.startswith(GITHUB_TOKEN_PREFIXES)
    if login is Login.BASIC and source.username == ACR_TOKEN_USER:
        return False
    return login is not Login.CHALLENGED and _has_password(source)


def _has_password(source: CredentialSource) -> bool:
    sources = (
        source.password,
        source.password_file,
        source.password_env,
        source.password_command,
        source.docker_config,
    )
    return any(each is not None for each in sources)

"""The v2 API's lists of tags and repositories: page sizes, conditions, and complete walks.

Remembers what page size a host takes, and the ETag of a listing where one was given: then a 304
says that nothing changed. Imported by client.py and looking.py.
"""

from __future__ import annotations

import string
from collections import OrderedDict
from dataclasses import replace
from typing import NamedTuple

from watcher.core.account import Account
from watcher.registry.answer import Answer
from watcher.registry.bodies import GOOGLE_PAGE_CAP, PAGE_CAP
from watcher.registry.budgets.limits import Lane, Priority
from watcher.registry.excerpts import excerpt
from watcher.registry.listing.pages import Source
from watcher.registry.listing.tags import Walked, list_repositories, list_tags, unchanged
from watcher.registry.login.auth import Authorization, Step
from watcher.registry.quirks import Dialect
from watcher.registry.session import Session
from watcher.registry.wire import Ask

SMALL_PAGE = 100
MAXIMUM_PAGE = 100_000
MAXIMUM_ETAGS = 20_000
LONGEST_ETAG = 256
_OTHER_PAGE_SIZE = frozenset({400, 405})
_IN_ETAGS = frozenset(string.ascii_letters + string.digits + string.punctuation)
OK, NOT_MODIFIED = 200, 304


class Repository(NamedTuple):
    """A repository of a registry, by names that are safe to put into URLs and scopes.

    `name` is the canonical one, `what` how errors call it, `url` its place in the v2 API.
    """

    name: str
    what: str
    url: str
    scope: str
    priority: Priority = Priority.SCHEDULED


class _Condition(NamedTuple):
    """The ETag of a one-page listing with this fingerprint."""

    etag: str
    fingerprint: bytes


def page_size_of(account: Account, dialect: Dialect) -> int:
    """How many tags a page holds at most, as far as is known without asking."""
    return min(account.limits.page_size, dialect.largest_page or MAXIMUM_PAGE)


class Lists:
    """The lists of one account's registry."""

    def __init__(self, account: Account, session: Session, lane: Lane) -> None:
        self._account = account
        self._session = session
        self._lane = lane
        self._conditions: OrderedDict[str, _Condition] = OrderedDict()

    @property
    def page_size(self) -> int:
        """How many entries a page holds at most; 0 where the host takes no `n`."""
        wanted = page_size_of(self._account, self._lane.dialect)
        learned = self._lane.facts.page_size
        return wanted if learned is None else min(wanted, learned)

    async def tags(
        self,
        repository: Repository,
        fingerprint: bytes | None,
        *,
        reads_digests: bool = False,
        in_full: bool = True,
    ) -> Walked:
        """A complete walk. Unless it has to be `in_full`, the registry may say by an ETag that
        it would come to the same."""
        url = f"{repository.url}/tags/list"
        condition = None if in_full else self._conditions.get(url)
        if condition is not None and condition.fingerprint != fingerprint:
            condition = None
        pages = self.pages(repository)
        first = await pages.first(url, condition.etag if condition else None)
        if first.status == NOT_MODIFIED:
            # Not a walk that was seen with own eyes: after a while one is made.
            told = unchanged(fingerprint, 1)
            return Walked(replace(told, fingerprint=None), first)
        walked = await list_tags(first, pages.source, fingerprint, reads_digests=reads_digests)
        self._remember(url, first, walked)
        return walked

    async def repositories(self, url: str, scope: str) -> tuple[str, ...]:
        """The complete catalog."""
        pages = self.pages(Repository("", "the catalog", url, scope))
        return await list_repositories(await pages.first(url), pages.source)

    def pages(self, repository: Repository) -> Pages:
        return Pages(self._account, self._session, self._lane, repository)

    def _remember(self, url: str, first: Answer, walked: Walked) -> None:
        """Only the ETag of a listing that is one page says something about all of it."""
        etag = first.headers.get("etag")
        if etag is None or walked.last is not first or not _is_usable(etag):
            self._conditions.pop(url, None)
            return
        fingerprint = walked.answer.fingerprint
        if fingerprint is not None:
            self._conditions[url] = _Condition(etag, fingerprint)
            self._conditions.move_to_end(url)
        if len(self._conditions) > MAXIMUM_ETAGS:
            self._conditions.popitem(last=False)


def _is_usable(etag: str) -> bool:
    return 0 < len(etag) <= LONGEST_ETAG and _IN_ETAGS.issuperset(etag)


class Pages:
    """The pages of one list, asked for one by one."""

    def __init__(
        self, account: Account, session: Session, lane: Lane, repository: Repository
    ) -> None:
        self._account = account
        self._session = session
        self._lane = lane
        self._repository = repository
        self._sent: Authorization | None = None
        self.source = Source(
            host=account.registry.name,
            what=repository.what,
            maximum_pages=account.limits.max_pages,
            fetch=self.fetch,
            excerpt=self._excerpt,
        )

    async def first(self, url: str, etag: str | None = None) -> Answer:
        """The first page in the largest size that the host takes; 304 only for our ETag."""
        sizes = self._sizes()
        steps: set[Step] = set()
        for size in sizes:
            ask = self._ask(f"{url}?n={size}" if size else url, etag)
            answer, self._sent = await self._session.ask(ask, steps)
            if answer.status == OK or (answer.status == NOT_MODIFIED and etag is not None):
                if size != sizes[0]:
                    self._lane.facts.page_size = size
                return answer
            if answer.status not in _OTHER_PAGE_SIZE:
                break
        raise self._session.error(ask, answer, self._sent)

    async def fetch(self, url: str) -> Answer:
        """A page by its address, as a link gave it."""
        ask = self._ask(url)
        answer, self._sent = await self._session.ask(ask)
        if answer.status != OK:
            raise self._session.error(ask, answer, self._sent)
        return answer

    def _sizes(self) -> tuple[int, ...]:
        """What to ask for, in turn: the account's size, a small one, the host's own (0)."""
        wanted = page_size_of(self._account, self._lane.dialect)
        learned = self._lane.facts.page_size
        sizes = dict.fromkeys((wanted, min(wanted, SMALL_PAGE), 0))
        return tuple(size for size in sizes if learned is None or size <= learned)

    def _ask(self, url: str, etag: str | None = None) -> Ask:
        is_large = self._lane.dialect.tells_manifests
        return Ask(
            url=url,
            what=self._repository.what,
            cap=GOOGLE_PAGE_CAP if is_large else PAGE_CAP,
            scope=self._repository.scope,
            compressed=True,
            priority=self._repository.priority,
            if_none_match=etag,
        )

    def _excerpt(self, page: Answer) -> str:
        return excerpt(page.body, self._session.secrets(self._sent))

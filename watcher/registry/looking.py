"""One look at a repository, by the way that costs least, with a complete walk whenever in doubt.

strategy.py says which way; this goes it. What a native API or the tail of a listing says holds
since a mark that an earlier look left. Only client.py imports it.

    complete walk   no mark of this way, the last walk is long ago, or anything odd
    native refusal  v2 in the same look, and for an hour
    disagreement    a tag that only one of walk and native API has: the API rests for an hour
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from watcher.core.account import Account, Strategy
from watcher.registry.answer import Answer
from watcher.registry.budgets.limits import Lane, Priority
from watcher.registry.listing.lists import Lists, Repository
from watcher.registry.listing.tags import Listing, Recent, Seen, Unchanged
from watcher.registry.listing.tail import PREFIX, TailMark, look_at_tail, mark_of
from watcher.registry.native import acr, docker_hub, gitlab, harbor, quay
from watcher.registry.native.asking import NativeClient, Refused
from watcher.registry.native.base import SECOND, NewestFirst
from watcher.registry.native.changed import ChangedMark, Changes, Known, Told, digests_of
from watcher.registry.native.newest import OVERLAP, Mark, Reading, fingerprint_of, judge
from watcher.registry.quirks import NativeApi
from watcher.registry.strategy import (
    Circumstances,
    Way,
    choose,
    seconds_between_walks,
    words_for,
)
from watcher.registry.urls import origin_of

Look = Listing | Unchanged | Recent
Fetch = Callable[[str], Awaitable[Answer]]

SHORTEST_SHARING = 2.0
SHARED_PART = 0.1
_EVER = -1  # before every moment of the epoch
_APIS = {
    NativeApi.QUAY: quay.API,
    NativeApi.DOCKER_HUB: docker_hub.API,
    NativeApi.GITLAB: gitlab.API,
    NativeApi.ACR: acr.API,
}


class Looker:
    """Looks at the repositories of one account."""

    def __init__(self, account: Account, lists: Lists, native: NativeClient, lane: Lane) -> None:
        self.watched = 1
        self._account = account
        self._lists = lists
        self._native = native
        self._lane = lane
        self._changes = Changes(lane.now, native.misread)

    def expect(self, names: frozenset[str]) -> None:
        """The repositories (canonical names) that will be looked at."""
        self.watched = len(names)
        self._changes.expected = names

    def strategy_of(self, seen: Seen) -> str:
        """How a look would be taken, as far as is known without asking."""
        return words_for(self._way(seen, self._native.known_version), self._lane.dialect)

    async def look(self, repository: Repository, seen: Seen) -> Look:
        """Raises the RegistryError tree; never gives a part of what it promises."""
        way = self._way(seen, self._native.known_version)
        if way is Way.V2 and self._needs_version(seen):
            way = self._way(seen, await self._native.version(repository))
        if way is Way.NEWEST and self._lane.dialect.native is not None:
            return await self._newest(_APIS[self._lane.dialect.native], repository, seen)
        if way is Way.CHANGED:
            return await self._changed(repository, seen)
        if way is Way.TAIL:
            return await self._tail(repository, seen)
        return await self._walk(repository, seen, reads_digests=way is Way.V2_WITH_DIGESTS)

    def _way(self, seen: Seen, version: str | None) -> Way:
        given = Circumstances(
            strategy=self._account.strategy,
            wants_digests=seen.wants_digests,
            wants_deletions=seen.wants_deletions,
            tags=seen.tags,
            page_size=self._lists.page_size,
            watched=self.watched,
            version=version,
        )
        way = choose(self._lane.dialect, given)
        if way is Way.V2 and self._has_tail(seen) and not seen.wants_deletions:
            return Way.TAIL  # a listing may have more entries than count as tags
        return way

    def _has_tail(self, seen: Seen) -> bool:
        appends = self._lane.dialect.appends and self._account.strategy is not Strategy.V2
        return appends and seen.mark is not None and seen.mark.startswith(PREFIX)

    def _needs_version(self, seen: Seen) -> bool:
        """Whether only the version is wanting for another way than v2."""
        if self._lane.dialect.native is not NativeApi.HARBOR or self._native.known_version:
            return False
        return self._way(seen, harbor.FIRST_THAT_TELLS) is Way.CHANGED

    def _is_due(self, seen: Seen) -> bool:
        """Whether a complete walk has to come, whatever else is known."""
        now, walked = self._lane.now(), seen.walked
        return walked is None or not 0 <= now - walked < seconds_between_walks(seen.interval)

    async def _walk(
        self,
        repository: Repository,
        seen: Seen,
        *,
        reads_digests: bool = False,
        mark: str | None = None,
    ) -> Listing | Unchanged:
        """A complete walk of v2; `mark` is what to hand in next time, a tail's where there is
        one."""
        answer, last = await self._lists.tags(
            repository,
            seen.fingerprint,
            reads_digests=reads_digests,
            in_full=self._is_due(seen),
        )
        if self._lane.dialect.appends and self._account.strategy is not Strategy.V2:
            mark = mark_of(last, self._lists.pages(repository).source) if answer.pages > 1 else None
        return replace(answer, mark=mark)

    async def _tail(self, repository: Repository, seen: Seen) -> Look:
        mark = TailMark.read(seen.mark, f"{repository.url}/tags/list")
        if mark is not None and not self._is_due(seen):
            source = self._lists.pages(repository).source
            answer = await look_at_tail(mark, source, origin_of(repository.url))
            if answer is not None:
                return answer
        return await self._walk(repository, seen)

    async def _changed(self, repository: Repository, seen: Seen) -> Look:
        is_urgent = repository.priority is Priority.URGENT
        longest = -1.0 if is_urgent else max(SHORTEST_SHARING, seen.interval * SHARED_PART)

        async def ask(fetch: Fetch) -> Told | None:
            return await self._changes.of(repository.name, fetch, self._native.origin, longest)

        told = await self._native.attempt(repository, ask, for_all=True)
        mark = ChangedMark.read(seen.mark)
        if told is None:
            return await self._walk(repository, seen, mark=mark.written() if mark else None)
        is_same = mark is not None and mark.at == told.at
        if mark is not None and is_same and not self._is_due(seen):
            return await self._unchanged(repository, seen, mark)
        if mark is None or not is_same:
            mark = ChangedMark(told.at) if told.is_settled else None
        # The time was read before the walk: what comes in between changes it once more.
        return await self._walk(repository, seen, mark=mark.written() if mark else None)

    async def _unchanged(
        self, repository: Repository, seen: Seen, mark: ChangedMark
    ) -> Unchanged | Recent:
        """Nothing has changed since the walk; what had moved by then is asked for once."""
        tells = mark.known is Known.DIGESTS
        if not seen.wants_digests or mark.known is not Known.NOT_YET:
            return Unchanged(None, 0, tells_digests=tells, mark=mark.written())

        async def ask(fetch: Fetch) -> dict[str, str]:
            try:
                digests = await digests_of(
                    repository.name, fetch, self._native.origin, self._native.misread
                )
            except Refused:
                digests = None  # of this list alone; that of what changed is another
            return digests or {}

        digests = await self._native.attempt(repository, ask)
        if digests:
            return Recent(digests, mark._replace(known=Known.DIGESTS).written())
        if digests is not None:
            mark = mark._replace(known=Known.NEVER)
        return Unchanged(None, 0, mark=mark.written())

    async def _newest(self, api: NewestFirst, repository: Repository, seen: Seen) -> Look:
        standing = self._native.standing
        if standing.is_at_rest(seen.mark):
            return await self._walk(repository, seen, mark=seen.mark)
        mark = Mark.read(seen.mark, api)
        is_due = mark is None or self._is_due(seen)
        is_known = seen.wants_digests and seen.tags > 0  # what moved before a mark is to be found
        reading = await self._read(
            api, repository, None if is_due else mark, in_full=mark is None and is_known
        )
        if reading is None:
            kept = standing.mark(repository.name) if mark is None else seen.mark
            return await self._walk(repository, seen, mark=kept)
        if mark is not None and not is_due:
            if reading.page == mark.page:
                return Unchanged(None, reading.pages, tells_digests=True, mark=seen.mark)
            answer = judge(api, mark, reading)
            if answer is not None:
                return answer
        walked = await self._walk(repository, seen)
        if isinstance(walked, Listing) and await self._disagree(api, repository, reading, walked):
            return walked
        begins = mark is None or reading.is_exhausted
        told = {tag: entry.digest for tag, entry in reading.entries.items()} if begins else None
        return replace(walked, mark=_next_mark(mark, reading).written(api), beginning=told)

    async def _read(
        self,
        api: NewestFirst,
        repository: Repository,
        mark: Mark | None,
        *,
        in_full: bool = False,
    ) -> Reading | None:
        """The pages since the mark; the first one alone where that is as it was, or without one
        unless all are wanted. None: the API has no answer now."""
        since = mark.since if mark else _EVER if in_full else None

        async def read(fetch: Fetch) -> Reading:
            reading = Reading(since)
            url: str | None = self._first(api, repository)
            while url is not None:
                answer = await fetch(url)
                fingerprint = fingerprint_of(answer.body)
                if mark is not None and reading.is_same(fingerprint, mark):
                    break
                try:
                    url = reading.add(api.read(answer, url), fingerprint)
                except ValueError as error:
                    raise self._native.misread(answer, error) from error
            return reading

        return await self._native.attempt(repository, read)

    def _first(self, api: NewestFirst, repository: Repository) -> str:
        try:
            return api.first(self._native.origin, repository.name)
        except ValueError as error:
            reason = f"has no repository {repository.name}: {error}"
            raise Refused(reason, for_all=False) from error

    async def _disagree(
        self, api: NewestFirst, repository: Repository, reading: Reading, walked: Listing
    ) -> bool:
        """Whether walk and API tell of different tags; then the API rests. What was pushed or
        deleted between them is no difference: the API is asked once more."""
        fresh = (self._lane.now() - OVERLAP) * SECOND
        listed = frozenset(walked.tags)
        extra = {tag for tag, entry in reading.entries.items() if entry.at < fresh} - listed
        wanting = listed - reading.entries.keys() if reading.is_complete else frozenset()
        if not extra and not wanting:
            return False
        again = await self._read(api, repository, None)
        if again is None:
            return True
        extra &= again.entries.keys()
        wanting = wanting - again.entries.keys() if again.is_complete else frozenset()
        if not extra and not wanting:
            return False
        self._native.standing.refused(
            repository.name,
            f"and v2 tell of different tags of {repository.name} ({min(extra | wanting)})",
        )
        return True


def _next_mark(mark: Mark | None, reading: Reading) -> Mark:
    """After a complete walk: what moved since the old mark is still to be told, unless that is
    more than can be read. The newest tag of then may be gone."""
    reached = reading.mark()
    if mark is None or mark.around == reached.around or reading.is_exhausted:
        return reached
    return Mark(min(mark.second, reached.second), total=reading.total)

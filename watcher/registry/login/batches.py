"""Which repositories share a token: fixed groups of the account's own, as large as its registry
is known to take them. Ten thousand repositories need 500 tokens instead of 10 000.

Only reading is asked for together, never pushing or deleting. A group is a wish: where a realm
refuses one, or gives less for it than for a repository alone, it gets no more of them in this
process. Only scopes.py imports it. field facts: registries.md section 1.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from watcher.registry.login.token_server import Realm

MAXIMUM_QUERY = 6 * 1024
"""How long the scopes of one token request may be in its URL, in bytes."""

_MOST_ENDED = 16

Group = tuple[str, ...]


class Batches:
    """The groups of one account. `asked` says what is asked for in place of a scope."""

    def __init__(self, asked: Callable[[str], Group]) -> None:
        self._asked = asked
        self._most = 1
        self._expected: frozenset[str] = frozenset()
        self._members: list[Group] = []
        self._group_of: dict[str, Group] = {}
        self._alone: set[str] = set()
        self._ended: set[Realm] = set()

    def __len__(self) -> int:
        return len(self._members)

    def group(self, realm: Realm, scope: str) -> Group | None:
        """All that is asked for with a scope; None when it is asked for alone."""
        group = self._group_of.get(scope)
        if group is None or scope in self._alone or realm in self._ended:
            return None
        return group

    def expect(self, scopes: frozenset[str]) -> None:
        """What will be asked for. Groups that are full and still wanted stay as they are, so that
        one repository more does not cost the tokens of all."""
        if scopes == self._expected:
            return
        self._expected = scopes
        self._alone &= scopes
        kept = [one for one in self._members if len(one) == self._most and scopes.issuperset(one)]
        rest = scopes.difference(*kept)
        self._set(kept + list(_cut(sorted(rest), self._most)))

    def resize(self, most: int) -> None:
        """How many may be in a group. Starts anew, also for what is asked for each scope."""
        self._most = most
        self._set(list(_cut(sorted(self._expected), most)))

    def leave(self, scope: str) -> None:
        """Ask for this one alone: the group's token did not open it."""
        self._alone.add(scope)

    def end(self, realm: Realm) -> None:
        """Ask this realm for no group any more."""
        if len(self._ended) >= _MOST_ENDED:  # a registry may name ever new ones
            self._ended.clear()
        self._ended.add(realm)

    def _set(self, members: list[Group]) -> None:
        self._members = [group for group in members if len(group) > 1]
        self._group_of = {}
        for group in self._members:
            wanted = tuple(one for scope in group for one in self._asked(scope))
            self._group_of.update(dict.fromkeys(group, wanted))


def _cut(scopes: Iterable[str], most: int) -> Iterator[Group]:
    """Groups in the given order, of at most so many, that fit into a URL."""
    group: list[str] = []
    length = 0
    for scope in scopes:
        own = len("&scope=") + len(scope)
        if group and (len(group) == most or length + own > MAXIMUM_QUERY):
            yield tuple(group)
            group, length = [], 0
        group.append(scope)
        length += own
    if group:
        yield tuple(group)

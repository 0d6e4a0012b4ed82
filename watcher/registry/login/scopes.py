"""What a token is asked for on behalf of a request: its own scope, as the dialect has it and as
challenges said, or that of the whole group of repositories to which it belongs.

Only auth.py imports it. field facts: registries.md sections 1.2 and 1.4.
"""

from __future__ import annotations

from typing import NamedTuple

from watcher.registry.login.batches import Batches
from watcher.registry.login.token_server import CATALOG_SCOPE, Realm
from watcher.registry.quirks import PLAIN, Dialect

MAXIMUM_SCOPES = 4
MAXIMUM_SCOPE_LENGTH = 512


class Asked(NamedTuple):
    """The scopes of one token. `alone`: where they are a group's, the part that is the request's
    own; else empty."""

    scopes: tuple[str, ...]
    alone: tuple[str, ...] = ()


class Scopes:
    """The scopes of one account. `wished`: how many its config wants in a token; None: as many as
    the dialect says."""

    def __init__(self, wished: int | None) -> None:
        self._wished = wished
        self._dialect = PLAIN
        self._learned: dict[str, tuple[str, ...]] = {}
        self.batches = Batches(self.own)

    def follow(self, dialect: Dialect) -> None:
        """What kind of registry it is may be found out while it is asked."""
        self._dialect = dialect
        self.batches.resize(self._wished or dialect.scopes_per_token)

    def asked(self, realm: Realm, scope: str | None, *, alone: bool) -> Asked:
        """What to ask a realm for; `alone` leaves the group out."""
        if scope is None:
            return Asked(())
        learned = self._learned.get(scope)
        if learned is not None:
            return Asked(learned)
        group = None if alone else self.batches.group(realm, scope)
        return Asked(self.own(scope)) if group is None else Asked(group, self.own(scope))

    def own(self, scope: str) -> tuple[str, ...]:
        """What the dialect makes of a scope."""
        if scope == CATALOG_SCOPE and not self._dialect.has_catalog_scope:
            return ()
        if self._dialect.extra_actions and scope.endswith(":pull"):
            return (",".join((scope, *self._dialect.extra_actions)),)
        return (scope,)

    def widen(self, scope: str, named: tuple[str, ...], sent: tuple[str, ...] = ()) -> bool:
        """Ask from now on for what a challenge names beyond what would be asked for, or was."""
        asked = sent or self._learned.get(scope) or self.own(scope)
        if not asked and named == (scope,):
            return False  # Quay's challenge names the scope that its token server refuses
        missing = tuple(wish for wish in modest(named) if not _covers(asked, wish))
        if missing:
            if len(asked) + len(missing) > 2 * MAXIMUM_SCOPES:  # ever new ones are named
                asked = self.own(scope)
            kept = tuple(old for old in asked if not _covers(missing, old))
            self._learned[scope] = missing + kept
        return bool(missing)


def modest(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """What a stranger's challenge may make us ask for."""
    return tuple(scope for scope in scopes if len(scope) <= MAXIMUM_SCOPE_LENGTH)[:MAXIMUM_SCOPES]


def _covers(asked: tuple[str, ...], wish: str) -> bool:
    resource, _, actions = wish.rpartition(":")
    return any(
        resource == other and set(actions.split(",")) <= set(own.split(","))
        for other, _, own in (scope.rpartition(":") for scope in asked)
    )

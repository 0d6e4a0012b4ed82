"""Which repositories an account watches: listed, found in the catalog, or named by triggers.

A catalog that suddenly lost most of its repositories is not believed until the next one says the
same (SPEC 1, promise 2): what was watched goes on being watched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from watcher.core.account import Account
from watcher.core.poll import CatalogStatus
from watcher.core.trigger import Trigger

_SUSPICIOUS_LOSS = 10


class RepositoryList:
    """The names to poll for one account, in a stable order."""

    def __init__(
        self,
        account: Account,
        triggers: Iterable[Trigger],
        stored: Iterable[str] = (),
        fingerprint: str | None = None,
        status: CatalogStatus | None = None,
    ) -> None:
        """`stored` are the names known from earlier, `fingerprint` is this attribute of the list
        that saw the catalog the last time, in whatever process; `status` in this one."""
        self.needs_catalog = account.catalog is not None
        self._canonical = account.registry.canonical_repository
        self._skipped = frozenset(account.catalog.skip if account.catalog else ())
        explicit = dict.fromkeys(account.repositories)
        if not account.repositories and account.catalog is None:
            explicit = dict.fromkeys(
                name
                for trigger in triggers
                if trigger.account == account.name
                for name in trigger.repositories
            )
        self._explicit = explicit
        earlier = stored if self.needs_catalog else ()
        self._catalog = {name: None for name in earlier if name not in self._skipped}
        self.fingerprint = fingerprint
        self.status = status or CatalogStatus()
        self.names: tuple[str, ...] = ()
        self._merge()

    @property
    def found(self) -> tuple[str, ...]:
        """What the catalog named the last time, as far as that is known."""
        return tuple(self._catalog)

    def has(self, name: str) -> bool:
        return name in self._explicit or name in self._catalog

    def take_catalog(self, names: Iterable[str]) -> str | None:
        """Watch what the catalog says now; the answer is a doubt in words, or None. A file may
        spell Docker Hub's names as people do: `nginx` is watched once, as `library/nginx`."""
        canonical = dict.fromkeys(self._canonical(name) for name in names)
        found = {name: None for name in canonical if name not in self._skipped}
        survivors = found.keys() & self._catalog.keys()
        lost = len(self._catalog) - len(survivors)
        shrunk = lost >= _SUSPICIOUS_LOSS and len(survivors) * 2 < len(self._catalog)
        is_doubtful = shrunk or (bool(self._catalog) and not found)
        before = self.fingerprint
        self.fingerprint = _fingerprint(survivors if is_doubtful else found)
        if is_doubtful and before != self.fingerprint:
            return (
                f"the catalog lists {len(survivors)} of {len(self._catalog)} known repositories; "
                "all are kept until the next one says the same"
            )
        self._catalog = found
        self._merge()
        return None

    def _merge(self) -> None:
        self.names = tuple(dict.fromkeys([*self._explicit, *self._catalog]))


def _fingerprint(names: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(sorted(names)).encode(), digest_size=16).hexdigest()

"""What a registry's webhook says: that a repository may have changed, and never more (SPEC 9).

Whoever can reach the port may send one, so nothing of it is believed: it only says where to look
now. Pure; here is also which of the configured accounts a hint means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from watcher.core.account import DialectName
from watcher.core.reference import Registry

_DEFAULT_PORTS = (":443", ":80")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A repository that may have changed, and what of it. `registry` is the host as images are
    written with it, None where the sender does not say it. A tag of None: the sender named none,
    as where a manifest was deleted."""

    repository: str
    registry: str | None = None
    tag: str | None = None
    digest: str | None = None
    is_deletion: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who sends a kind of deliveries, as far as it matters to what they mean.

    kinds: which registries' accounts may be meant where the host says nothing; empty: all.
    has_aliases: a registry of the house may be called by names that no account has.
    repeats: a delivery is sent again and again, in order, until the sender hears that all is well.
    settles: seconds after a delivery until what it tells of is usually there.
    """

    name: str
    kinds: frozenset[DialectName] = frozenset()
    has_aliases: bool = False
    repeats: bool = False
    settles: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An account that could be meant: `kind` None where it is not known, `watches` says whether it
    has a repository."""

    account: str
    registry: str
    kind: DialectName | None
    watches: Callable[[str], bool]


def accounts_meant(
    hint: Hint, sender: Sender, candidates: Iterable[Watched], account: str | None = None
) -> tuple[str, ...]:
    """The accounts whose repository a hint means; none where it is not watched.

    The `account` that the URL names decides alone. Else those of the host that the sender names;
    where that is no account's and may be an alias, and where none is named, all accounts of the
    sender's kinds. One too many costs one poll.
    """
    having = [each for each in candidates if each.watches(hint.repository)]
    if account is not None:
        return tuple(each.account for each in having if each.account == account)
    if hint.registry is not None:
        host = _without_default_port(hint.registry)
        of_host = [each for each in having if _without_default_port(each.registry) == host]
        if of_host or not sender.has_aliases:
            return tuple(each.account for each in of_host)
    return tuple(each.account for each in having if _may_send(sender, each))


def registry_name(host: str) -> str:
    """The name of a registry that a sender names in any spelling; raises ValueError."""
    return Registry.parse(host, plain_http=True).name


def _may_send(sender: Sender, candidate: Watched) -> bool:
    return not sender.kinds or candidate.kind is None or candidate.kind in sender.kinds


def _without_default_port(host: str) -> str:
    for port in _DEFAULT_PORTS:
        if host.endswith(port):
            return host.removesuffix(port)
    return host

"""Keys of an account that change nothing: legal, and yet nothing would be heard of them where they
meet an address or a kind of registry that has no use for them.

For `validate` and `run`; imports nothing that polling does not import anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from watcher.core.account import Strategy
from watcher.registry.quirks import Dialect, by_host, named

if TYPE_CHECKING:
    from watcher.core.account import Account


class Unheeded(NamedTuple):
    """A key that does nothing, why, and what to do about it."""

    account: Account
    message: str
    hint: str


def unheeded(accounts: Iterable[Account]) -> Iterator[Unheeded]:
    """What shows without asking a registry."""
    for account in accounts:
        if account.http2 and account.registry.base_url.startswith("http:"):
            yield Unheeded(
                account,
                "`http2: true` does nothing over plain http",
                "HTTP/2 is agreed upon in the TLS handshake: reach the registry by https, without "
                "`plain_http`, or take `http2` out",
            )
        dialect = dialect_without_asking(account)
        if dialect is not None:
            yield from without_own_api(account, dialect)


def dialect_without_asking(account: Account) -> Dialect | None:
    """The kind of registry that the account or the host's name says; None: it has to be asked."""
    if account.dialect is not None:
        return named(account.dialect)
    return by_host(account.registry.name)


def without_own_api(account: Account, dialect: Dialect) -> Iterator[Unheeded]:
    """`strategy: native` of a kind of registry that has neither an API of its own nor listings
    that tell digests."""
    if account.strategy is not Strategy.NATIVE or dialect.native or dialect.tells_manifests:
        return
    if dialect.name is None:
        yield Unheeded(
            account,
            "`strategy: native` does nothing: the kind of registry is not known",
            "say it in `dialect` where a proxy hides it, or take `strategy` out",
        )
    else:
        yield Unheeded(
            account,
            f"`strategy: native` does nothing: {dialect.name} has no API of its own that could be "
            "asked, it is looked at as with `auto`",
            "take `strategy` out, or say the kind in `dialect` if it is another one",
        )

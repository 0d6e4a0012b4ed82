"""Clients of a fake registry: what is not said is an account's default, and nobody's password."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from tests.registry.accounts import Clock, Passwords, account_for, client_of
from watcher.core.account import Timeouts
from watcher.registry.budgets.limits import HostLimits
from watcher.registry.client import RegistryClient
from watcher.testing.registry import FakeRegistry

SHORT = Timeouts(
    connect=timedelta(seconds=0.2), read=timedelta(seconds=0.2), total=timedelta(seconds=5)
)
"""One answer may take 0.6 s in all: connecting, and two reads."""


def connect(
    target: FakeRegistry | str,
    passwords: Passwords | None = None,
    *,
    clock: Clock | None = None,
    hosts: HostLimits | None = None,
    client: dict[str, Any] | None = None,
    **account: Any,
) -> AbstractAsyncContextManager[RegistryClient]:
    """A client of that registry (or URL); `account` are fields of Account, `client` further
    arguments of RegistryClient."""
    url = target if isinstance(target, str) else target.url
    plain_http = url.startswith("http://")
    return client_of(
        account_for(url, plain_http=plain_http, **account),
        passwords,
        clock=clock,
        hosts=hosts,
        **(client or {}),
    )

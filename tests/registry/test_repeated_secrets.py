"""A secret that a server repeats as it was sent (a form, a URL) is in no error."""

from __future__ import annotations

import pytest

from tests.registry.accounts import Passwords
from tests.registry.clients import connect
from watcher.core.account import Credential
from watcher.errors import RegistryError
from watcher.testing.access import BearerAuth
from watcher.testing.faults import Exchange, Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

PLAIN = (("Content-Type", "text/plain"),)


class Echo:
    """Says what it could not make anything of."""

    async def play(self, exchange: Exchange) -> None:
        said = b"cannot parse: " + bytes(exchange.request.body)
        exchange.respond(Respond(400, PLAIN, said).response(exchange))


async def test_an_identity_token_that_is_repeated_as_a_form_is_not_shown() -> None:
    credential = Credential(username="acme", identity_token="refresh/token+of=acme")
    async with FakeRegistry(auth=BearerAuth(users={"acme": "x"})) as registry:
        registry.fault(Fault(match=Match(kind=Kind.TOKEN), action=Echo()))
        async with connect(registry, Passwords(credential)) as client:
            with pytest.raises(RegistryError, match="refresh_token=") as caught:
                await client.list_tags("acme/web")
    assert "refresh%2Ftoken" not in str(caught.value)

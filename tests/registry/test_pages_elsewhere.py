"""Where a listing was led elsewhere, its next pages are looked at as closely as the first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.registry.clients import connect
from watcher.errors import RegistryError
from watcher.testing.faults import Exchange, Fault, Respond
from watcher.testing.registry import FakeRegistry


class LedTo:
    """Redirects what is asked of the registry; there each page has a next one."""

    def __init__(self, there: str) -> None:
        self.there = there

    async def play(self, exchange: Exchange) -> None:
        path = exchange.request.path
        if exchange.request.headers["host"] == self.there:
            link = f'<{path}?last=1>; rel="next"'
            answer = Respond(200, (("Link", link),), b'{"tags":["1"]}')
        else:
            answer = Respond(307, (("Location", f"http://{self.there}{path}"),))
        exchange.respond(answer.response(exchange))


async def test_a_name_that_turns_into_a_metadata_address_is_refused_at_the_next_page() -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])

    async def resolve(host: str) -> Sequence[str]:
        return next(answers) if host.endswith(".example") else ["127.0.0.1"]

    async with FakeRegistry() as registry:
        port = registry.address.split(":")[1]
        registry.fault(Fault(action=LedTo(f"pages.example:{port}")))
        async with connect(registry, client={"resolve": resolve}) as client:
            with pytest.raises(RegistryError, match="metadata"):
                await client.list_tags("acme/web")
    assert next(answers, None) is None

"""How the tests of this directory ask, and what they look at in an error."""

from __future__ import annotations

import traceback

import pytest

from tests.transport.conftest import tags
from watcher.errors import RegistryError
from watcher.registry.client import RegistryClient


async def error_of(client: RegistryClient) -> RegistryError:
    """The error that listing ends in; it must be one of ours."""
    with pytest.raises(RegistryError) as caught:
        await tags(client)
    return caught.value


def shown(error: RegistryError) -> str:
    """The sentence and the hint, as a user reads them."""
    return f"{error} ({error.hint})"


def everything(error: RegistryError) -> str:
    """All that a log or a traceback could ever show of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + shown(error)

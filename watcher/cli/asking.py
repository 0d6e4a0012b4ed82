"""Asks the daemon that holds the state file: the question goes through that file, and so does the
answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from watcher.cli import output
from watcher.cli.session import HasState, open_store
from watcher.errors import StateLocked, UsageError

LOOK_SECONDS = 0.2


def ask(
    place: HasState,
    kind: str,
    payload: Mapping[str, str | None],
    *,
    seconds: int,
    held: str,
    otherwise: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """What the daemon answers. `otherwise` is done should it end unasked, and raises StateLocked
    where yet another one was faster. Raises StateLocked, which begins with `held`, when nothing
    comes in time, and UsageError for what the daemon refuses."""
    from watcher.store.lock import holder

    deadline = time.monotonic() + seconds
    with open_store(place) as store, output.progress("waiting for the daemon", None):
        number = store.request(kind, dict(payload))
        try:
            while time.monotonic() < deadline:
                request = store.request_result(number)
                if request is not None and request.finished:
                    return _checked(request.result)
                time.sleep(LOOK_SECONDS)
                if holder(place.state) is None:
                    with suppress(StateLocked):
                        return otherwise()
        finally:
            store.close_request(number)
    raise StateLocked(
        f"{held}; it did not answer within {seconds} s",
        hint="`run --once` takes no requests: try again when it is done",
    )


def _checked(result: dict[str, Any]) -> dict[str, Any]:
    if result.get("error"):
        raise UsageError(str(result["error"]), hint=result.get("hint"))
    return result

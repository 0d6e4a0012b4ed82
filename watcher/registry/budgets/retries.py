"""A second try after a failure of a moment, for requests that change nothing.

Imported by wire.py and token_server.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from watcher.errors import TransportError
from watcher.http_client import is_broken_connection
from watcher.registry.answer import Answer

Sleep = Callable[[float], Awaitable[None]]

TRIES = 2
TRANSIENT = frozenset({502, 503, 504})


async def with_one_retry(attempt: Callable[[], Awaitable[Answer]], sleep: Sleep) -> Answer:
    """One try, and after a failure of a moment a second one. For GET and HEAD only."""
    try:
        answer = await attempt()
    except TransportError as error:
        if not passes(error):
            raise
        failed: Answer | TransportError = error
    else:
        if not passes(answer):
            return answer
        failed = answer
    return await _try_again(failed, attempt, sleep)


async def _try_again(
    failed: Answer | TransportError, attempt: Callable[[], Awaitable[Answer]], sleep: Sleep
) -> Answer:
    """tenacity counts the failure that already happened as its first attempt; it is loaded here,
    for most processes never need it."""
    from tenacity import (
        AsyncRetrying,
        retry_if_exception,
        retry_if_result,
        stop_after_attempt,
        wait_random,
    )

    past = [failed]

    async def next_try() -> Answer:
        if not past:
            return await attempt()
        outcome = past.pop()
        if isinstance(outcome, TransportError):
            raise outcome
        return outcome

    policy = AsyncRetrying(
        sleep=sleep,
        stop=stop_after_attempt(TRIES),
        wait=wait_random(0.1, 0.5),
        retry=retry_if_exception(passes) | retry_if_result(passes),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    return await policy(next_try)


def passes(outcome: object) -> bool:
    """Whether a failure looks like one of a moment: 502, 503, 504, or a connection that broke."""
    if isinstance(outcome, Answer):
        return outcome.status in TRANSIENT and "retry-after" not in outcome.headers
    return isinstance(outcome, TransportError) and is_broken_connection(outcome.__cause__)

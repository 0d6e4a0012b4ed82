"""An answer that is made at most once a second, however many ask for it: what strangers may ask
for must not cost the polls their time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

KEPT_SECONDS = 1.0

Value = TypeVar("Value")


class Fresh(Generic[Value]):
    """Makes a value and keeps it for a second; who asks meanwhile waits for the same one."""

    def __init__(self, make: Callable[[], Awaitable[Value]], *, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._make = make
        self._clock = clock
        self._making = asyncio.Lock()
        self._made: tuple[float, Value] | None = None

    async def get(self) -> Value:
        async with self._making:
            if self._made is None or self._clock() - self._made[0] >= KEPT_SECONDS:
                value = await self._make()
                self._made = (self._clock(), value)  # those who waited for it get it, however long
            return self._made[1]

"""Runs a property on generated inputs: a few of them in every test run, always the same ones;
with $FUZZ_SECONDS (`make fuzz`) new ones until each property has had its share of the time.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

SECONDS = float(os.environ.get("FUZZ_SECONDS") or 0)
QUICK_EXAMPLES = 25
ROUND_EXAMPLES = 250
BUSY_SECONDS = 1.0
"""What an input of 100 kB may take of the processor."""

Property = Callable[..., None]
Result = TypeVar("Result")


class Ledger:
    """How many properties are tried, and how many inputs each was tried on."""

    def __init__(self) -> None:
        self.examples: Counter[str] = Counter()
        self.targets = 1

    @property
    def share(self) -> float:
        """Seconds for each property."""
        return SECONDS / self.targets


LEDGER = Ledger()


def fuzzed(
    examples: int = QUICK_EXAMPLES, **inputs: SearchStrategy[Any]
) -> Callable[[Property], Callable[[], None]]:
    """A test without arguments of a property with them; `examples`: of the quick form."""

    def decorate(check: Property) -> Callable[[], None]:
        def counted(**values: Any) -> None:
            LEDGER.examples[check.__name__] += 1
            check(**values)

        quick = settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        thorough = settings(
            max_examples=ROUND_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck)
        )

        def test() -> None:
            until = time.monotonic() + LEDGER.share
            if not SECONDS:
                quick(given(**inputs)(counted))()
            while time.monotonic() < until:
                thorough(given(**inputs)(counted))()

        test.__name__ = test.__qualname__ = check.__name__
        test.__module__ = check.__module__
        test.__doc__ = check.__doc__
        # A failure is shown all the same; without this the warning would be shown in its place.
        return pytest.mark.filterwarnings("ignore:Generating overly large repr")(test)

    return decorate


@contextmanager
def busy_at_most(seconds: float = BUSY_SECONDS) -> Iterator[None]:
    """What happens within takes no more of the processor than this."""
    started = time.process_time()
    yield
    spent = time.process_time() - started
    assert spent < seconds, f"took {spent:.2f} s"


def finished(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never waits, without the cost of a loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    coroutine.close()
    raise AssertionError("the coroutine waited for something")


def outcome_of(parse: Callable[[], Result], *documented: type[Exception]) -> Result | None:
    """The result; None where the input was refused, in words that may go into a log as they are."""
    try:
        return parse()
    except documented as error:
        message = str(error)
    assert is_clean(message), ascii(message)
    return None


def is_clean(text: str) -> bool:
    return all(character.isprintable() for character in text)

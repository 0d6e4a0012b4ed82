"""Shares the time of `make fuzz` among the properties, and says at its end on how many inputs each
was tried.
"""

from __future__ import annotations

import pytest

from tests.fuzz.running import LEDGER, SECONDS


def pytest_collection_finish(session: pytest.Session) -> None:
    LEDGER.targets = max(len(session.items), 1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not SECONDS or not LEDGER.examples:
        return
    terminalreporter.section(f"fuzzed for {SECONDS:g} s")
    for name, count in sorted(LEDGER.examples.items()):
        terminalreporter.write_line(f"{count:>9} inputs  {name}")
    terminalreporter.write_line(f"{LEDGER.examples.total():>9} inputs in all")

"""Says at the end of `make fuzz` on how many inputs each property was tried."""

from __future__ import annotations

import pytest

from tests.fuzz.running import LEDGER, SECONDS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not SECONDS or not LEDGER.examples:
        return
    terminalreporter.section(f"fuzzed for {SECONDS:g} s")
    for name, count in sorted(LEDGER.examples.items()):
        terminalreporter.write_line(f"{count:>9} inputs  {name}")
    terminalreporter.write_line(f"{LEDGER.examples.total():>9} inputs in all")

"""Fixtures for all tests: real servers (tests/servers.py)."""

from __future__ import annotations

from tests.servers import start_registry as start_registry

"""Prints docs/configuration.md: `python -m watcher.cli.reference`, called by `make docs`."""

from __future__ import annotations

from watcher.config.reference import reference
from watcher.stages import OPTIONS

if __name__ == "__main__":
    print(reference(OPTIONS), end="")

"""`python -m benchmarks [NAME...]`: run the benchmarks, print tables, ratios and missed goals."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from benchmarks.measuring import Goal

NAMES = ("once", "many", "shares", "deploy")


def main() -> int:
    """Exit code 0; with --check 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    goals: list[Goal] = []
    for name in arguments.names or NAMES:
        print(f"\n== {name} (load {os.getloadavg()[0]:.1f})", flush=True)
        measured = import_module(f"benchmarks.{name}").run()
        print("\n".join(map(str, measured)), flush=True)
        goals += measured
    return 1 if arguments.check and not all(goal.is_met for goal in goals) else 0


if __name__ == "__main__":
    sys.exit(main())

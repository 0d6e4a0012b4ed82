"""`python -m benchmarks [NAME...]`: run the benchmarks, print tables, ratios and missed goals."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from benchmarks.instructions import can_count
from benchmarks.measuring import Goal
from benchmarks.scene import Setting
from benchmarks.servers import chosen, kinds

MODULES = {
    "once": "once",
    "pass": "passes",
    "steady": "steady",
    "huge": "huge",
    "burst": "burst",
    "nudge": "nudge",
    "hooks": "hooks",
    "isolation": "isolation",
    "profile": "profile",
    "deploy": "deploy",
}
"""The name of each benchmark, and the module whose `run(setting)` it is."""


def main() -> int:
    """Exit code 0; with --check 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODULES)}")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small and once: shows that it works, not what it costs",
    )
    parser.add_argument(
        "--server", choices=[kind.name for kind in kinds()], help="instead of the best there is"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MODULES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(MODULES)}")
    try:
        setting = Setting(chosen(arguments.server), arguments.quick)
    except LookupError as error:
        parser.error(str(error))
    goals = [goal for name in arguments.names or MODULES for goal in _run(name, setting)]
    return 1 if arguments.check and not all(goal.is_met for goal in goals) else 0


def _run(name: str, setting: Setting) -> list[Goal]:
    counted = "instructions and CPU time" if can_count() else "CPU time (perf can't count here)"
    trial = "; quick: the figures mean nothing" if setting.quick else ""
    print(f"\n== {name} (load {_load()}; server {setting.kind.name}; {counted}{trial})", flush=True)
    goals: list[Goal] = import_module(f"benchmarks.{MODULES[name]}").run(setting)
    print(f"load {_load()}")
    print("\n".join(map(str, goals)), flush=True)
    return goals


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    sys.exit(main())

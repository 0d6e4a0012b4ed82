"""`once`: `watcher run --once` with nothing new, as a cron job has it, beside loops of skopeo and
crane; start-up included. Against a docker-registry with TLS and htpasswd, and one on plain HTTP;
and the start-up alone, with nothing to do.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.instructions import can_count, instructions
from benchmarks.measuring import Command, Goal, cpu_seconds, environment, median, spread, table
from benchmarks.peers import Loop, loops
from benchmarks.scene import Setting, account, once, write_config
from benchmarks.servers import Server, Wanted, docker_registry

OURS = "watcher run --once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """So many repositories, with TLS and a login or with neither; against skopeo's CPU."""

    count: int
    rounds: int
    limit: float
    stretch: float
    tls: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done."""

    cases: Sequence[Case] = (
        Case(count=10, rounds=15, limit=1.5, stretch=0.7),
        Case(count=100, rounds=7, limit=0.2, stretch=0.1),
        Case(count=10, rounds=15, limit=2.5, stretch=1.0, tls=False),
    )
    tags: int = 20
    start_rounds: int = 15


QUICK = Plan(
    cases=(
        Case(count=2, rounds=1, limit=1.5, stretch=0.7),
        Case(count=2, rounds=1, limit=2.5, stretch=1.0, tls=False),
    ),
    tags=1,
    start_rounds=1,
)


def run(setting: Setting) -> list[Goal]:
    """Print the tables; the goals with their figures."""
    plan = QUICK if setting.quick else Plan()
    goals = _start_up(plan)
    lacking = docker_registry.lacking()
    if lacking:
        print(f"skipped: {', '.join(lacking)} not found (apt-get install apache2-utils, ...)")
        return goals
    for tls in dict.fromkeys(case.tls for case in plan.cases):
        cases = [case for case in plan.cases if case.tls is tls]
        count = max(case.count for case in cases)
        wanted = Wanted(repositories=count, tags=plan.tags, tls=tls, login=tls)
        with TemporaryDirectory() as name:
            directory = Path(name)
            with docker_registry.run(directory / "registry", wanted) as server:
                goals += [goal for case in cases for goal in _compare(case, server, directory)]
    return goals


def _compare(case: Case, server: Server, directory: Path) -> Iterator[Goal]:
    place = directory / f"once-{case.count}"
    place.mkdir()
    names = server.wanted.names[: case.count]
    config = write_config(place, account(server, names))
    ours = Loop(name=OURS, commands=[once(config)], given=environment())
    ours.run()  # the baseline
    before = server.counts()
    ours.run()
    asked = server.counts().since(before)
    peers = loops(place, server, names)
    for peer in peers:
        peer.run()  # warms the machine's caches
    taken = _in_turns([ours, *peers], case.rounds)
    print(f"\n{case.count} repositories x {server.wanted.tags} tags; {server.words}; nothing new")
    print(f"requests: {asked.listings} tags/list, {asked.requests - asked.listings} other, of all "
          f"{asked.refused} refused (401)")  # fmt: skip
    print(table([*_rows(taken, case)]))
    _instructions(ours, peers)
    ratio = median(taken[OURS]) / median(taken["skopeo list-tags"])
    where = f"{case.count} on {'TLS' if case.tls else 'plain HTTP'}"
    words = f"CPU against the skopeo loop, {where}"
    yield Goal(words=words, value=ratio, limit=case.limit, stretch=case.stretch)
    answered = (asked.listings - asked.refused) / case.count
    yield Goal(words=f"answered tags/list per repository, {where}", value=answered, limit=1)


def _in_turns(what: Sequence[Loop], rounds: int) -> Mapping[str, list[float]]:
    """CPU seconds of each, round by round."""
    taken: dict[str, list[float]] = {one.name: [] for one in what}
    for _ in range(rounds):
        for one in what:
            taken[one.name].append(one.run().cpu)
    return taken


def _rows(taken: Mapping[str, Sequence[float]], case: Case) -> Iterator[tuple[str, ...]]:
    yield ("", f"CPU s, median of {case.rounds}", "watcher against it")
    for name, seconds in taken.items():
        words = name if name == OURS else f"{case.count} x {name}"
        yield (words, spread(seconds), f"{median(taken[OURS]) / median(seconds):.2f}")


def _instructions(ours: Loop, peers: Sequence[Loop]) -> None:
    if not can_count():
        return
    own = instructions(ours.commands, ours.given)
    for peer in peers:
        theirs = instructions(peer.commands, peer.given)
        if own and theirs:
            print(f"instructions: {own:.0f} million, {peer.name} {theirs:.0f}: {own / theirs:.2f}")


def _start_up(plan: Plan) -> list[Goal]:
    """A pass with nothing to do, beside what other programs take to say who they are."""
    with TemporaryDirectory() as name:
        config = Path(name) / "config.yaml"
        config.write_text(json.dumps({"state": str(Path(name) / "state.db"), "accounts": []}))
        commands: dict[str, Command] = {
            OURS: once(config),
            "python -c pass": [sys.executable, "-c", "pass"],
        }
        known = {"skopeo": ["skopeo", "--version"], "crane": ["crane", "version"]}
        commands |= {words: told for words, told in known.items() if shutil.which(words)}
        cpu_seconds(commands.values(), environment())
        taken: dict[str, list[float]] = {words: [] for words in commands}
        for _ in range(plan.start_rounds):
            for words, command in commands.items():
                taken[words].append(cpu_seconds([command], environment()))
        print("\nstart-up alone, with nothing to do")
        rows = [("", f"CPU s, median of {plan.start_rounds}", "watcher against it")]
        rows += [
            (" ".join(commands[words]) if words in known else words, spread(seconds),
             f"{median(taken[OURS]) / median(seconds):.1f}")
            for words, seconds in taken.items()
        ]  # fmt: skip
        print(table(rows))
        counted = instructions([once(config)], environment()) if can_count() else None
    if counted is None:
        return []
    return [Goal(words="million instructions to start", value=counted, limit=900, stretch=350)]

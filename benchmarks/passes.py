"""`pass`: one pass over 1 000 and 10 000 repositories, the first and with nothing new, beside Diun
and loops of crane and skopeo.

`run --once` is a process per pass, which starts without tokens; "daemon" is a running daemon that
is told to poll everything, with its tokens at hand, as it does within an interval. The peers take
turns with it. Diun is given by `DIUN=`; without it ratios are to recorded figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import pass_report
from benchmarks.instructions import can_count, counting, instructions
from benchmarks.measuring import Goal, cost, environment
from benchmarks.pass_report import Case, Measured
from benchmarks.peers import Diun, diun, diun_program, loops
from benchmarks.scene import Pass, Setting, account, once, polled, served, state_of, write_config
from benchmarks.servers import Server, Wanted
from benchmarks.transactions import Transactions

CONNECTIONS = 10
"""As many as Diun has workers."""
_POLL_NEVER = "24h"
_TO_ASK = 2  # transactions: the request to the daemon, and its answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done. `more`: connections that are tried where there is latency; `looped`: how many
    repositories the loops of crane and skopeo go through, `whole`: how many Diun watches whole."""

    sizes: Sequence[int] = (1_000, 10_000)
    latencies: Sequence[float] = (0.0, 50.0)
    more: Sequence[int] = (20, 100)
    tags: int = 100
    rounds: int = 3
    looped: int = 100
    whole: int = 100


QUICK = Plan(sizes=(20,), latencies=(0.0,), more=(), tags=5, rounds=1, looped=2, whole=2)


def run(setting: Setting) -> list[Goal]:
    """Print the tables; the goals with their figures."""
    plan = QUICK if setting.quick else Plan()
    latencies = dict.fromkeys(setting.latency(milliseconds) for milliseconds in plan.latencies)
    goals = []
    for size in plan.sizes:
        for latency in latencies:
            goals += _case(setting, plan, size, latency)
    return goals + _whole(setting, plan)


def _case(setting: Setting, plan: Plan, size: int, latency: float) -> list[Goal]:
    wanted = Wanted(repositories=size, tags=plan.tags, latency=latency)
    with setting.server(wanted) as (server, directory):
        case = Case(size=size, latency=latency)
        program = diun_program()
        peer = diun(program, directory / "diun", server, wanted.names) if program else None
        if peer is not None:
            case.add("Diun, first", *peer.check())
        config = _config(directory, server, CONNECTIONS)
        case.took("watcher run --once, first", _once(config, server))
        _rounds(case, plan, config, server, peer)
        for connections in plan.more if latency else ():
            config = _config(directory, server, connections)
            _daemon(case, plan, config, server, connections)
        for loop in loops(directory, server, wanted.names[: plan.looped]):
            _loop(case, loop.name, server, len(loop.commands), loop.run)
        return pass_report.told(case)


def _rounds(case: Case, plan: Plan, config: Path, server: Server, peer: Diun | None) -> None:
    """The watcher as a process and Diun in turns, and the daemon in the middle of them: it may not
    run beside the process, and its tokens would not last over all rounds."""
    for number in range(plan.rounds):
        with Transactions(state_of(config)) as seen:
            done = _once(config, server)
        case.took(pass_report.ONCE, done, seen.count)
        if number == plan.rounds // 2:
            _daemon(case, plan, config, server, CONNECTIONS)
        if peer is not None:
            case.add(pass_report.DIUN, *peer.check())
    if peer is not None and can_count():
        case.counted(pass_report.DIUN, instructions([peer.command], peer.given))


def _daemon(case: Case, plan: Plan, config: Path, server: Server, connections: int) -> None:
    words = pass_report.daemon_with(connections)
    with served(config) as process:
        case.took(f"{words}{pass_report.COLD}", polled(process, config, server, case.size))
        for _ in range(plan.rounds):
            with Transactions(state_of(config)) as seen:
                done = polled(process, config, server, case.size)
            case.took(words, done, seen.count - _TO_ASK)
        if can_count():
            with counting(process.pid) as counted:
                polled(process, config, server, case.size)
            case.counted(words, counted.millions)


def _loop(case: Case, name: str, server: Server, count: int, run: pass_report.Run) -> None:
    before = server.counts()
    taken = run()
    gained = server.counts().since(before)
    words = f"{count} x {name}"
    case.measured.append(Measured(words=words, images=count, cost=taken, counts=gained))


def _whole(setting: Setting, plan: Plan) -> list[Goal]:
    """Beside Diun as it watches all tags of each repository."""
    wanted = Wanted(repositories=plan.whole, tags=plan.tags)
    program = diun_program()
    with setting.server(wanted) as (server, directory):
        case = Case(size=plan.whole, latency=0.0)
        config = _config(directory, server, CONNECTIONS)
        _once(config, server)
        with served(config) as process:
            polled(process, config, server, case.size)
            done = polled(process, config, server, case.size)
            case.took(pass_report.daemon_with(CONNECTIONS), done)
        if program is not None:
            peer = diun(program, directory / "diun", server, wanted.names, whole=True)
            peer.check()
            case.add(pass_report.DIUN_WHOLE, *peer.check())
        return pass_report.told_of_whole(case)


def _config(directory: Path, server: Server, connections: int) -> Path:
    names = server.wanted.names
    limits = {"concurrency": connections}
    return write_config(directory, account(server, names, poll=_POLL_NEVER, limits=limits))


def _once(config: Path, server: Server) -> Pass:
    before = server.counts()
    taken = cost([once(config)], environment())
    return Pass(cost=taken, counts=server.counts().since(before))

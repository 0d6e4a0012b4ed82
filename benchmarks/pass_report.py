"""What `pass` prints: its table, its ratios, and its goals (README.md has all of them)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.measuring import Cost, Goal, median, table
from benchmarks.recorded import BY_SIZE_AND_LATENCY, WHOLE_REPOSITORY_REQUESTS
from benchmarks.scene import Pass
from benchmarks.servers import Counts

ONCE = "watcher run --once"
DIUN = "Diun, 10 workers"
DIUN_WHOLE = "Diun, watch_repo"
Run = Callable[[], Cost]


def daemon_with(connections: int) -> str:
    return f"watcher daemon, {connections} connections"


MAIN = daemon_with(10)
COLD = ", no tokens yet"
MOST = daemon_with(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One way to look at so many repositories, once."""

    words: str
    images: int
    cost: Cost
    counts: Counts
    transactions: int | None = None


@dataclass(slots=True)
class Case:
    """All that was measured against one server."""

    size: int
    latency: float
    measured: list[Measured] = field(default_factory=list)
    instructions: dict[str, float] = field(default_factory=dict)

    def add(self, words: str, cost: Cost, counts: Counts, transactions: int | None = None) -> None:
        one = Measured(
            words=words, images=self.size, cost=cost, counts=counts, transactions=transactions
        )
        self.measured.append(one)

    def took(self, words: str, done: Pass, transactions: int | None = None) -> None:
        self.add(words, done.cost, done.counts, transactions)

    def counted(self, words: str, millions: float | None) -> None:
        """Instructions of a run of their own; None where they can't be counted."""
        if millions is not None:
            self.instructions[words] = millions

    def of(self, words: str) -> list[Measured]:
        return [one for one in self.measured if one.words == words]

    def middle(self, words: str) -> Cost | None:
        """The medians of what was measured under these words; None when nothing was."""
        found = [one.cost for one in self.of(words)]
        if not found:
            return None
        return Cost(
            wall=median(one.wall for one in found),
            cpu=median(one.cpu for one in found),
            memory=max(one.memory for one in found),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What the watcher is compared with: measured in this run, or recorded."""

    words: str
    first: Cost | None
    again: Cost
    is_measured: bool


def told(case: Case) -> list[Goal]:
    """Print one case."""
    print(table(_rows(case)))
    peer = _peer(case)
    if peer is not None:
        print(f"\nratios to {peer.words}")
        print(table([*_ratios(case, peer)]))
    for line in _loop_ratios(case):
        print(line)
    for words, millions in case.instructions.items():
        print(f"{words}: {millions / case.size:.2f} million instructions per repository")
    return [*_own_goals(case), *_goals_beside(case, peer)]


def told_of_whole(case: Case) -> list[Goal]:
    """Print the comparison with Diun watching whole repositories."""
    print(table(_rows(case)))
    theirs, words = WHOLE_REPOSITORY_REQUESTS * case.size, "recorded, not measured"
    found = case.of(DIUN_WHOLE)
    if found:
        theirs, words = found[-1].counts.requests, "measured"
    ours = case.of(MAIN)[-1].counts.requests
    return [
        Goal(
            words=f"requests against Diun with watch_repo ({words})",
            value=ours / theirs,
            limit=0.005,
        )
    ]


def _rows(case: Case) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("", "runs", "wall s", "CPU s", "CPU ms each", "peak MiB", "tags/list", "manifests",
         "tokens", "other", "connections", "of all 401", "transactions"),
    ]  # fmt: skip
    for words in dict.fromkeys(one.words for one in case.measured):
        found = case.of(words)
        taken, last = case.middle(words), found[-1]
        assert taken is not None
        transactions = "" if last.transactions is None else str(last.transactions)
        rows.append(
            (words, str(len(found)), f"{taken.wall:.2f}", f"{taken.cpu:.2f}",
             f"{taken.cpu / last.images * 1000:.2f}", f"{taken.memory:.0f}",
             *map(str, last.counts), transactions)
        )  # fmt: skip
    return rows


def _peer(case: Case) -> Peer | None:
    """Diun as measured in this run, else as recorded for such a case."""
    again = case.middle(DIUN)
    if again is not None:
        return Peer(
            words="Diun in this run", first=case.middle("Diun, first"), again=again,
            is_measured=True,
        )  # fmt: skip
    recorded = BY_SIZE_AND_LATENCY.get((case.size, case.latency))
    if recorded is None:
        return None
    machine = "quiet" if recorded.quiet else "busy"
    words = f"Diun as recorded on another, {machine} machine ({recorded.how}); not measured here"
    return Peer(words=words, first=recorded.first, again=recorded.again, is_measured=False)


def _ratios(case: Case, peer: Peer) -> Iterator[tuple[str, ...]]:
    yield ("", "wall", "CPU", "memory")
    for words in dict.fromkeys(one.words for one in case.measured):
        theirs = peer.first if words.endswith(", first") else peer.again
        ours = case.middle(words)
        if words.startswith("watcher") and ours is not None and theirs is not None:
            yield (words, f"{ours.wall / theirs.wall:.3f}", f"{ours.cpu / theirs.cpu:.3f}",
                   f"{ours.memory / theirs.memory:.2f}")  # fmt: skip


def _loop_ratios(case: Case) -> Iterator[str]:
    """Against one process per repository: what was not run is extrapolated."""
    ours = case.middle(ONCE)
    for one in case.measured:
        if one.images == case.size or ours is None:
            continue
        times = case.size / one.images
        yield (
            f"{ONCE} against {case.size} calls (extrapolated from {one.words}): "
            f"CPU {ours.cpu / (one.cost.cpu * times):.3f}, "
            f"wall {ours.wall / (one.cost.wall * times):.3f}"
        )


def _own_goals(case: Case) -> Iterator[Goal]:
    ours = case.of(MAIN)
    where = f"{case.size} at {case.latency:g} ms"
    requests = max(one.counts.requests - one.counts.tokens for one in ours)
    yield Goal(
        words=f"requests per idle repository besides tokens, {where}",
        value=requests / case.size,
        limit=1.02,
    )
    everyone = [one for words in (MAIN, f"{MAIN}{COLD}", ONCE) for one in case.of(words)]
    yield Goal(
        words=f"connections of a pass with 10 configured, {where}",
        value=max(one.counts.connections for one in everyone),
        limit=10,
    )
    written = [one.transactions for one in everyone if one.transactions is not None]
    yield Goal(
        words=f"transactions of an idle pass (one is the bookkeeping), {where}",
        value=max(written),
        limit=1,
    )


def _goals_beside(case: Case, peer: Peer | None) -> Iterator[Goal]:
    if peer is None:
        return
    ours, told = case.middle(MAIN), "measured" if peer.is_measured else "recorded"
    assert ours is not None
    where = f"{case.size} at {case.latency:g} ms, Diun {told}"
    yield Goal(
        words=f"CPU per idle repository against Diun, {where}",
        value=ours.cpu / peer.again.cpu,
        limit=0.40,
        stretch=0.10,
    )
    yield from _wall_goals(case, peer, ours, where)
    yield Goal(
        words=f"peak memory against Diun, {where}",
        value=ours.memory / peer.again.memory,
        limit=0.75,
        stretch=0.5,
    )


def _wall_goals(case: Case, peer: Peer, ours: Cost, where: str) -> Iterator[Goal]:
    if case.latency:
        wall = ours.wall / peer.again.wall
        yield Goal(words=f"wall, 10 connections against 10 workers, {where}", value=wall, limit=0.4)
        most = case.middle(MOST)
        if most is not None:
            wall = most.wall / peer.again.wall
            yield Goal(words=f"wall, 100 connections, {where}", value=wall, limit=0.4, stretch=0.08)
        return
    first = case.middle(f"{ONCE}, first")
    if first is not None and peer.first is not None:
        yield Goal(
            words=f"wall of a first pass, {where}",
            value=first.wall / peer.first.wall,
            limit=0.5,
            stretch=0.15,
        )

"""One poll, from a registry's answer to what stands in the state file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from threading import Event

import pytest

from watcher import credentials
from watcher.core.account import (
    Account,
    CredentialSource,
    DialectName,
    DigestTracking,
    Strategy,
)
from watcher.core.change import ChangeKind
from watcher.core.pipeline import Pipeline, StageSpec
from watcher.core.reference import Registry
from watcher.core.selector import Ordering, OrderKind, TagRule
from watcher.core.trigger import Backfill, Fire, Trigger
from watcher.core.verdict import Verdict
from watcher.engine.board import StatusBoard
from watcher.engine.poll_outcome import PollOutcome, PollResult, Purpose
from watcher.engine.poller import Poller
from watcher.engine.rules import Rules
from watcher.registry.budgets.limits import HostLimits, Priority
from watcher.registry.client import RegistryClient
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore
from watcher.telemetry.log import Log
from watcher.testing.faults import Cut, Exchange, Fault, Gate, Hold, Match, Respond
from watcher.testing.profiles import PROFILES
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

REPOSITORY = "acme/web"
EVERY = timedelta(seconds=60)
SHORT = b'{"name": "acme/web", "tags": ["v1"]}'
PIPELINE = Pipeline(name="deploy", stages=(StageSpec(name="wait", type="wait", options="1s"),))
ON_NEW = Trigger(
    name="release",
    account="main",
    pipeline="deploy",
    repositories=(REPOSITORY,),
    tag=TagRule(matches=r"v.*"),
)
ON_MOVED = replace(
    ON_NEW, name="stable", tag=TagRule(equals="stable"), changes=frozenset({ChangeKind.MOVED})
)
ON_ANY_MOVED = replace(ON_MOVED, name="any", tag=TagRule(matches=".*"))
DAY = 86_400.0


@dataclass(frozen=True)
class Late:
    """The answer of now, sent when the gate opens."""

    gate: Gate

    async def play(self, exchange: Exchange) -> None:
        response = exchange.answer()
        await self.gate.passage()
        exchange.respond(response)


class Bench:
    """A poller with a real state file against a fake registry, and a clock that stands still."""

    def __init__(self, registry: FakeRegistry, path: Path) -> None:
        self.registry = registry
        self.path = path
        self.now = 1_800_000_000.0
        self.store = ThreadedStore(lambda: Store.open(path))
        self.rules = Rules.of([ON_NEW], [PIPELINE], {})
        self.account = Account(
            name="main",
            registry=Registry.parse(registry.address, plain_http=True),
            repositories=(REPOSITORY,),
        )
        self.clients: list[RegistryClient] = []
        self.start()

    def start(self, board: StatusBoard | None = None, **account: object) -> None:
        """Begin as a new process would: only the state file is remembered, and a `board`."""
        self.account = replace(self.account, **account)  # type: ignore[arg-type]
        hosts = HostLimits(clock=lambda: self.now)
        source = CredentialSource()
        provider = credentials.provider(
            source, self.account.registry, clock=lambda: self.now, environment={}
        )
        client = RegistryClient(
            self.account, provider, hosts=hosts, clock=lambda: self.now, sleep=asyncio.sleep
        )
        self.clients.append(client)
        self.board = board or StatusBoard()
        self.poller = Poller(
            self.account,
            client,
            self.store,
            self.board,
            self.rules,
            log=Log("error", stream=StringIO()),
            clock=lambda: self.now,
            interval=EVERY,
        )

    def use(self, triggers: Iterable[Trigger], **switches: bool) -> None:
        self.rules = Rules.of(triggers, [PIPELINE], switches)
        self.poller.use(self.rules)

    async def poll(
        self, purpose: Purpose = Purpose.DETECT, priority: Priority = Priority.SCHEDULED
    ) -> PollOutcome:
        outcome = await self.poller.poll(REPOSITORY, purpose, priority)
        self.now += EVERY.total_seconds()
        return outcome

    async def queued(self) -> list[tuple[str | None, str | None]]:
        runs = await self.store.run(lambda store: store.executions(None))
        return [(run.trigger, run.tag) for run in reversed(runs)]

    async def commits(self) -> int:
        return await self.store.run(lambda store: store.commits)


@asynccontextmanager
async def bench_at(path: Path) -> AsyncIterator[Bench]:
    async with FakeRegistry() as registry:
        bench = Bench(registry, path)
        try:
            yield bench
        finally:
            for client in bench.clients:
                await client.aclose()
            await bench.store.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_at(tmp_path / "state.db") as made:
        made.registry.push(REPOSITORY, "v1")
        yield made


async def test_the_first_sight_is_a_baseline_and_fires_nothing(bench: Bench) -> None:
    outcome = await bench.poll()
    assert outcome.result is PollResult.BASELINE
    assert await bench.queued() == []


async def test_a_new_tag_queues_one_run_with_the_digest_that_was_seen(bench: Bench) -> None:
    await bench.poll()
    digest = bench.registry.push(REPOSITORY, "v2")
    outcome = await bench.poll()
    assert [decision.verdict for decision in outcome.decisions] == [Verdict.FIRED]
    assert await bench.queued() == [("release", "v2")]
    (run,) = await bench.store.run(lambda store: store.executions(None))
    assert run.digest == digest
    assert run.source["artifacts"][0]["reference"] == f"{bench.registry.address}/acme/web:v2"


async def test_an_idle_poll_asks_once_and_writes_nothing(bench: Bench) -> None:
    await bench.poll()
    before, asked = await bench.commits(), bench.registry.counters.requests.total()
    for _ in range(5):
        assert (await bench.poll()).result is PollResult.UNCHANGED
    assert await bench.commits() == before
    assert bench.registry.counters.requests.total() - asked == 5


async def test_after_a_restart_without_bookkeeping_nothing_fires_again(bench: Bench) -> None:
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2")
    await bench.poll()
    bench.start()
    assert (await bench.poll()).result is PollResult.UNCHANGED
    assert await bench.queued() == [("release", "v2")]


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Respond(500), id="server error"),
        pytest.param(Respond(200, body=b"<html>login</html>"), id="login page"),
        pytest.param(Respond(200, body=b'{"tags": ["v1"'), id="cut JSON"),
        pytest.param(Respond(403), id="refused"),
        pytest.param(Cut(), id="cut connection"),
    ],
)
async def test_a_failed_listing_changes_nothing_and_is_seen(
    bench: Bench, action: Respond | Cut
) -> None:
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2")
    bench.registry.fault(Fault(match=Match(kind=Kind.TAGS), times=None, action=action))
    before = await bench.commits()
    outcome = await bench.poll()
    assert outcome.result is PollResult.FAILED
    assert await bench.commits() == before
    status = bench.board.get("main", REPOSITORY)
    assert status.failures == 1
    assert status.last_error
    bench.registry.clear_faults()
    await bench.poll()
    assert await bench.queued() == [("release", "v2")]
    assert bench.board.get("main", REPOSITORY).last_error is None


async def test_a_new_tag_without_a_readable_manifest_is_new_again_next_time(bench: Bench) -> None:
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2")
    bench.registry.push(REPOSITORY, "v3")
    manifest = Match(kind=Kind.MANIFEST, reference="v2")
    bench.registry.fault(Fault(match=manifest, times=None, action=Respond(404)))
    outcome = await bench.poll()
    assert outcome.unreadable == ("v2",)
    assert await bench.queued() == [("release", "v3")]
    bench.registry.clear_faults()
    await bench.poll()
    assert await bench.queued() == [("release", "v3"), ("release", "v2")]


@pytest.mark.parametrize("kind", ["gcr", "acr"])
async def test_a_tag_that_was_told_to_have_moved_is_not_forgotten_while_it_is_not_found(
    bench: Bench, kind: str
) -> None:
    bench.registry.profile = PROFILES[kind]
    bench.start(dialect=DialectName(kind), strategy=Strategy.NATIVE)
    bench.use([ON_MOVED])
    bench.registry.push(REPOSITORY, "stable")
    for _ in range(2):
        await bench.poll()
    bench.registry.move(REPOSITORY, "stable")
    not_found = Fault(match=Match(kind=Kind.MANIFEST), times=1, action=Respond(404))
    bench.registry.fault(not_found)
    assert (await bench.poll()).unreadable == ("stable",)
    await bench.poll()
    assert await bench.queued() == [("stable", "stable")]


async def test_a_move_before_the_own_api_was_first_asked_is_not_hidden_by_it(bench: Bench) -> None:
    bench.registry.profile = PROFILES["acr"]
    bench.start(dialect=DialectName.ACR, strategy=Strategy.V2)
    bench.use([ON_ANY_MOVED])
    bench.registry.push(REPOSITORY, "1.0.0")
    await bench.poll()
    bench.now += 30 * DAY
    await bench.poll()
    bench.registry.move(REPOSITORY, "1.0.0")
    bench.start(bench.board, strategy=Strategy.NATIVE)
    bench.use([ON_ANY_MOVED])
    await bench.poll()
    assert await bench.queued() == [("any", "1.0.0")]


async def an_old_fixed_tag_moved(bench: Bench) -> None:
    """It is of the baseline, a month old, and has just moved."""
    bench.use([ON_ANY_MOVED])
    bench.registry.push(REPOSITORY, "1.0.0")
    await bench.poll()
    bench.now += 30 * DAY
    await bench.poll()
    bench.registry.move(REPOSITORY, "1.0.0")


async def test_a_fast_forward_takes_as_seen_what_a_poll_would_look_at_later(bench: Bench) -> None:
    await an_old_fixed_tag_moved(bench)
    assert len((await bench.poll(Purpose.FAST_FORWARD)).changes) == 1
    bench.now += DAY
    await bench.poll()
    assert await bench.queued() == []


async def test_who_asks_for_a_poll_gets_a_look_at_every_followed_tag(bench: Bench) -> None:
    await an_old_fixed_tag_moved(bench)
    assert (await bench.poll()).changes == ()
    assert len((await bench.poll(priority=Priority.URGENT)).changes) == 1
    assert await bench.queued() == [("any", "1.0.0")]


async def test_a_tag_of_the_baseline_that_moved_once_is_looked_at_in_every_poll(
    bench: Bench,
) -> None:
    await an_old_fixed_tag_moved(bench)
    bench.now += DAY
    await bench.poll()
    bench.now += 30 * DAY
    await bench.poll()
    bench.registry.move(REPOSITORY, "1.0.0")
    assert len((await bench.poll()).changes) == 1


async def test_a_listing_from_before_another_poll_of_ours_is_asked_for_again(bench: Bench) -> None:
    """A fast-forward may come while a poll waits for its answer."""
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2")
    gate = Gate()
    bench.registry.fault(Fault(match=Match(kind=Kind.TAGS), times=1, action=Late(gate)))
    slow = asyncio.create_task(bench.poller.poll(REPOSITORY))
    await gate.reached()
    bench.registry.push(REPOSITORY, "v3")
    assert (await bench.poll(Purpose.FAST_FORWARD)).result is PollResult.CHANGED
    gate.open()
    assert (await slow).changes == ()
    await bench.poll()
    assert await bench.queued() == []


async def test_a_moved_tag_fires_once_and_a_failed_look_up_keeps_the_digest(bench: Bench) -> None:
    bench.use([ON_MOVED])
    bench.registry.push(REPOSITORY, "stable", content="one")
    await bench.poll()
    bench.registry.push(REPOSITORY, "stable", content="two")
    bench.registry.fault(Fault(match=Match(kind=Kind.MANIFEST), times=None, action=Respond(500)))
    assert (await bench.poll()).changes == ()
    bench.registry.clear_faults()
    outcome = await bench.poll()
    assert [change.kind for change in outcome.changes] == [ChangeKind.MOVED]
    assert (await bench.poll()).changes == ()
    assert await bench.queued() == [("stable", "stable")]


async def test_following_a_tag_that_fired_as_new_long_ago_fires_nothing(bench: Bench) -> None:
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2", content="one")
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2", content="two")
    both = frozenset({ChangeKind.NEW, ChangeKind.MOVED})
    bench.use([replace(ON_NEW, changes=both)])
    assert (await bench.poll()).changes == ()
    bench.registry.push(REPOSITORY, "v2", content="three")
    assert [change.kind for change in (await bench.poll()).changes] == [ChangeKind.MOVED]


async def test_a_trigger_added_later_replays_nothing_and_fires_what_comes(bench: Bench) -> None:
    await bench.poll()
    bench.use([ON_NEW, replace(ON_NEW, name="late", backfill=Backfill.ALL)])
    await bench.poll()
    assert await bench.queued() == []
    bench.registry.push(REPOSITORY, "v2")
    await bench.poll()
    assert sorted(await bench.queued()) == [("late", "v2"), ("release", "v2")]


async def test_backfill_fires_at_the_first_sight_with_digests(bench: Bench) -> None:
    bench.registry.push(REPOSITORY, "v10")
    newest = replace(
        ON_NEW, backfill=Backfill.NEWEST, order=Ordering(kind=OrderKind.SEMVER), fire=Fire.NEWEST
    )
    bench.use([newest])
    await bench.poll()
    assert await bench.queued() == [("release", "v10")]
    (run,) = await bench.store.run(lambda store: store.executions(None))
    assert run.digest is not None


async def test_more_events_than_allowed_are_held_and_can_be_released(bench: Bench) -> None:
    bench.start(hold_above=2)
    await bench.poll()
    for number in range(2, 5):
        bench.registry.push(REPOSITORY, f"v{number}")
    await bench.poll()
    assert await bench.queued() == []
    assert len(await bench.store.run(lambda store: store.events("held"))) == 3


async def test_a_listing_that_lost_most_tags_is_believed_the_second_time(bench: Bench) -> None:
    for number in range(30):
        bench.registry.push(REPOSITORY, f"v1.{number}")
    await bench.poll()
    for number in range(29):
        bench.registry.delete_tag(REPOSITORY, f"v1.{number}")
    assert (await bench.poll()).result is PollResult.QUARANTINED
    known = await bench.store.run(lambda store: store.known("main", REPOSITORY))
    assert len(known.present) == 31
    outcome = await bench.poll()
    assert len(outcome.changes) == 29
    assert not bench.board.get("main", REPOSITORY).quarantined


async def test_a_dry_run_shows_what_would_fire_and_writes_nothing(bench: Bench) -> None:
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2")
    before = await bench.commits()
    outcome = await bench.poll(Purpose.DRY_RUN)
    assert [decision.verdict for decision in outcome.decisions] == [Verdict.FIRED]
    assert await bench.commits() == before
    await bench.poll()
    assert await bench.queued() == [("release", "v2")]


async def test_a_fast_forward_takes_what_is_there_as_seen(bench: Bench) -> None:
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2")
    await bench.poll(Purpose.FAST_FORWARD)
    await bench.poll()
    assert await bench.queued() == []


async def test_without_digest_tracking_no_manifest_is_ever_asked_for(bench: Bench) -> None:
    bench.start(track_digests=DigestTracking.OFF)
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2")
    await bench.poll()
    assert await bench.queued() == [("release", "v2")]
    assert bench.registry.count(Kind.MANIFEST) == 0


async def test_a_parked_host_is_not_asked_again_before_its_time(bench: Bench) -> None:
    refusal = Respond(429, headers=(("Retry-After", "300"),))
    bench.registry.fault(Fault(match=Match(kind=Kind.TAGS), times=1, action=refusal))
    outcome = await bench.poll()
    assert outcome.result is PollResult.PARKED
    assert outcome.until == pytest.approx(bench.now - 60 + 300, abs=1)
    asked = bench.registry.counters.requests.total()
    assert (await bench.poll()).result is PollResult.PARKED
    assert bench.registry.counters.requests.total() == asked


async def test_signatures_are_no_changes_unless_the_account_says_so(bench: Bench) -> None:
    await bench.poll()
    bench.registry.push(REPOSITORY, f"sha256-{'a' * 64}.sig")
    assert (await bench.poll()).changes == ()
    bench.start(include_artifacts=True)
    assert len((await bench.poll()).changes) == 1


@pytest.mark.parametrize("point", ["poll.before_commit", "poll.after_commit"])
async def test_a_poll_that_is_given_up_while_it_is_written_hides_nothing_from_the_next(
    bench: Bench, point: str
) -> None:
    """The transaction goes on: a reload does not wait for it, nor does the time-out of a poll."""
    bench.use([replace(ON_NEW, changes=frozenset({ChangeKind.NEW, ChangeKind.DELETED}))])
    await bench.poll()
    reached, go_on = Event(), Event()

    def hold(at: str) -> None:
        if at == point:
            reached.set()
            go_on.wait(10)

    await bench.store.close()
    bench.store = ThreadedStore(lambda: Store.open(bench.path, fault=hold))
    bench.start(bench.board)
    bench.registry.push(REPOSITORY, "v2")
    poll = asyncio.create_task(bench.poll())
    await asyncio.to_thread(reached.wait, 10)
    poll.cancel()
    go_on.set()
    await asyncio.gather(poll, return_exceptions=True)
    bench.registry.delete_tag(REPOSITORY, "v2")
    outcome = await bench.poll()
    assert [(change.kind, change.tag) for change in outcome.changes] == [(ChangeKind.DELETED, "v2")]
    assert await bench.queued() == [("release", "v2"), ("release", "v2")]


async def test_when_another_process_records_first_nothing_fires_twice_and_nothing_fails(
    bench: Bench, tmp_path: Path
) -> None:
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2")
    gate = Gate()
    held = Fault(match=Match(kind=Kind.MANIFEST), times=1, action=Hold(until=gate.passage))
    bench.registry.fault(held)
    slow = asyncio.create_task(bench.poller.poll(REPOSITORY))
    await gate.reached()
    bench.start()
    await bench.poll()
    gate.open()
    outcome = await slow
    assert outcome.error is None
    assert await bench.queued() == [("release", "v2")]


async def test_a_failed_poll_ends_no_quarantine_and_a_full_listing_does(bench: Bench) -> None:
    for number in range(30):
        bench.registry.push(REPOSITORY, f"v1.{number}")
    await bench.poll()
    loss = Fault(match=Match(kind=Kind.TAGS), times=None, action=Respond(200, body=SHORT))
    bench.registry.fault(loss)
    assert (await bench.poll()).result is PollResult.QUARANTINED
    bench.registry.clear_faults()
    bench.registry.fault(Fault(match=Match(kind=Kind.TAGS), times=1, action=Respond(500)))
    assert (await bench.poll()).result is PollResult.FAILED
    assert bench.board.get("main", REPOSITORY).quarantined
    assert (await bench.poll()).result is PollResult.UNCHANGED
    bench.registry.fault(loss)
    assert (await bench.poll()).result is PollResult.QUARANTINED


async def test_an_empty_listing_is_no_baseline_by_hand_either(bench: Bench) -> None:
    empty = Respond(200, body=b'{"name": "acme/web", "tags": null}')
    bench.registry.fault(Fault(match=Match(kind=Kind.TAGS), times=1, action=empty))
    assert (await bench.poll(Purpose.FAST_FORWARD)).result is PollResult.QUARANTINED
    assert (await bench.poll()).result is PollResult.BASELINE
    assert await bench.queued() == []


async def test_a_fast_forward_does_not_believe_that_all_tags_went(bench: Bench) -> None:
    await bench.poll()
    empty = Respond(200, body=b'{"name": "acme/web", "tags": []}')
    bench.registry.fault(Fault(match=Match(kind=Kind.TAGS), times=1, action=empty))
    assert (await bench.poll(Purpose.FAST_FORWARD)).result is PollResult.QUARANTINED
    assert (await bench.poll()).changes == ()
    assert await bench.queued() == []


@pytest.mark.parametrize("first", [Purpose.DETECT, Purpose.FAST_FORWARD])
async def test_a_tag_that_moves_after_a_fast_forward_fires(bench: Bench, first: Purpose) -> None:
    bench.use([ON_MOVED])
    bench.registry.push(REPOSITORY, "stable", content="one")
    await bench.poll(first)
    bench.registry.push(REPOSITORY, "stable", content="two")
    await bench.poll(Purpose.FAST_FORWARD)
    assert await bench.queued() == []
    bench.registry.push(REPOSITORY, "stable", content="three")
    await bench.poll()
    assert await bench.queued() == [("stable", "stable")]


@pytest.mark.parametrize("tracking", [DigestTracking.AUTO, DigestTracking.ALL])
async def test_a_backfill_waits_for_the_digests_that_it_needs(
    bench: Bench, tracking: DigestTracking
) -> None:
    bench.registry.push(REPOSITORY, "v10")
    newest = replace(ON_NEW, backfill=Backfill.NEWEST, order=Ordering(kind=OrderKind.SEMVER))
    bench.use([newest])
    bench.start(track_digests=tracking)
    manifest = Match(kind=Kind.MANIFEST, reference="v10")
    bench.registry.fault(Fault(match=manifest, times=None, action=Respond(500)))
    assert (await bench.poll()).result is PollResult.FAILED
    assert await bench.queued() == []
    bench.registry.clear_faults()
    assert (await bench.poll()).result is PollResult.BASELINE
    assert await bench.queued() == [("release", "v10")]


@pytest.mark.parametrize("kind", [Kind.TAGS, Kind.MANIFEST])
async def test_a_reload_in_the_middle_of_a_poll_loses_no_trigger(bench: Bench, kind: Kind) -> None:
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2")
    renamed = replace(ON_NEW, name="renamed", pipeline="other")

    class Reload:
        async def play(self, exchange: Exchange) -> None:
            rules = Rules.of([renamed], [replace(PIPELINE, name="other")], {})
            bench.poller.use(rules)
            exchange.respond(exchange.answer())

    bench.registry.fault(Fault(match=Match(kind=kind), times=1, action=Reload()))
    await bench.poll()
    await bench.poll()
    ((name, tag),) = await bench.queued()
    assert (name, tag) == ("renamed" if kind is Kind.TAGS else "release", "v2")


async def test_a_switch_holds_from_the_moment_it_is_in_the_state_file(bench: Bench) -> None:
    await bench.poll()
    await bench.store.run(lambda store: store.set_enabled(ON_NEW.name, False))
    bench.registry.push(REPOSITORY, "v2")
    assert [d.verdict for d in (await bench.poll()).decisions] == [Verdict.DISABLED]
    await bench.store.run(lambda store: store.set_enabled(ON_NEW.name, True))
    bench.registry.push(REPOSITORY, "v3")
    await bench.poll()
    assert await bench.queued() == [(ON_NEW.name, "v3")]


async def test_a_trigger_switched_off_while_the_registry_answers_does_not_fire(
    bench: Bench,
) -> None:
    await bench.poll()
    bench.registry.push(REPOSITORY, "v2")

    class SwitchOff:
        async def play(self, exchange: Exchange) -> None:
            bench.use([ON_NEW], release=False)
            exchange.respond(exchange.answer())

    bench.registry.fault(Fault(match=Match(kind=Kind.TAGS), times=1, action=SwitchOff()))
    outcome = await bench.poll()
    assert [decision.verdict for decision in outcome.decisions] == [Verdict.DISABLED]
    assert await bench.queued() == []

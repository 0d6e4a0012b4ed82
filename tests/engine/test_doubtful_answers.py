"""An error with status 200 in the place of an answer changes nothing, however often it comes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.test_poller import ON_MOVED, ON_NEW, REPOSITORY, bench_at
from watcher.core.change import ChangeKind
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind

JSON = (("Content-Type", "application/json"),)
ERROR = Respond(200, JSON, b'{"errors":[{"code":"UNKNOWN","message":"backend down"}]}')
ON_DELETED = replace(ON_NEW, name="gone", changes=frozenset({ChangeKind.DELETED}))


@pytest.mark.parametrize("head", [200, 400, 405, 501])
async def test_an_error_with_status_200_is_no_move(tmp_path: Path, head: int) -> None:
    async with bench_at(tmp_path / "watcher.db") as bench:
        bench.use([ON_MOVED])
        bench.registry.push(REPOSITORY, "stable")
        await bench.poll()
        manifest = Kind.MANIFEST
        bench.registry.fault(
            Fault(match=Match(kind=manifest, method="HEAD"), action=Respond(head, JSON), times=1)
        )
        bench.registry.fault(Fault(match=Match(kind=manifest, method="GET"), action=ERROR, times=1))
        doubtful = await bench.poll()
        after = await bench.poll()
        assert (doubtful.changes, after.changes) == ((), ())
        assert await bench.queued() == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"tags":[{"name":"v1"},{"name":"v2"}]}', id="objects"),
        pytest.param(b'{"tags":[1,2,3]}', id="numbers"),
        pytest.param(b'{"errors":[{"code":"UNKNOWN"}],"tags":null}', id="an error"),
    ],
)
async def test_a_list_of_no_names_changes_nothing_however_often_it_comes(
    tmp_path: Path, body: bytes
) -> None:
    async with bench_at(tmp_path / "watcher.db") as bench:
        bench.use([ON_NEW, ON_DELETED])
        for number in range(20):
            bench.registry.push(REPOSITORY, f"v{number}")
        await bench.poll()
        doubtful = Fault(match=Match(kind=Kind.TAGS), action=Respond(200, JSON, body), times=3)
        bench.registry.fault(doubtful)
        for _ in range(5):
            assert (await bench.poll()).changes == ()
        assert await bench.queued() == []

"""What a stage learns of earlier runs, and leaves behind for later ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.builders import ACCOUNT, NOW, REPOSITORY, digest, run_of
from watcher.core.deployment import Bundle
from watcher.core.pipeline import Execution, NewExecution
from watcher.daemon.deployed import StageDeployments
from watcher.store.sqlite import Store
from watcher.store.threaded import ThreadedStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ThreadedStore]:
    opened = ThreadedStore(lambda: Store.open(tmp_path / "watcher.db"))
    yield opened
    await opened.close()


async def queued(store: ThreadedStore, new: NewExecution) -> Execution:
    def submit(s: Store) -> Execution | None:
        s.submit(new)
        return s.execution(new.id)

    execution = await store.run(submit)
    assert execution is not None
    return execution


def deployments(store: ThreadedStore, execution: Execution) -> StageDeployments:
    return StageDeployments(store, execution, execution.pipeline.stages[0], lambda: NOW)


async def test_what_is_rejected_is_the_run_s_image_for_its_pipeline(store: ThreadedStore) -> None:
    execution = await queued(store, run_of("1.1"))
    await deployments(store, execution).reject(digest("a"), "the rollout failed")
    (rejection,) = await store.run(lambda s: s.rejections())
    assert (rejection.pipeline, rejection.account, rejection.repository, rejection.tag) == (
        "deploy",
        ACCOUNT,
        REPOSITORY,
        "1.1",
    )
    assert (rejection.digest, rejection.execution) == (digest("a"), execution.id)
    assert (rejection.reason, rejection.time) == ("the rollout failed", NOW)


@pytest.mark.parametrize(
    ("change", "kept_out"),
    [pytest.param("new", True, id="by a trigger"), pytest.param("manual", False, id="by hand")],
)
async def test_a_later_run_learns_of_it_unless_a_person_asked(
    store: ThreadedStore, change: str, kept_out: bool
) -> None:
    first = await queued(store, run_of("1.1"))
    await deployments(store, first).reject(digest("a"), "the rollout failed")
    later = await queued(store, replace(run_of("1.2"), digest=None, change=change))
    rejection = await deployments(store, later).rejected(digest("a"))
    assert (rejection is not None) is kept_out
    assert await deployments(store, later).rejected(digest("b")) is None


async def test_a_run_without_an_image_neither_rejects_nor_is_rejected(
    store: ThreadedStore,
) -> None:
    bare = replace(run_of(), account=None, repository=None, tag=None, digest=None)
    execution = await queued(store, bare)
    await deployments(store, execution).reject(None, "no")
    assert await store.run(lambda s: s.rejections()) == []
    assert await deployments(store, execution).rejected(None) is None


async def test_what_is_proposed_is_kept_for_this_stage_and_run(store: ThreadedStore) -> None:
    execution = await queued(store, run_of("1.1"))
    kept = Bundle(
        objects=(), cluster="prod", namespace="web", execution=execution.id, event_time=NOW
    )
    await deployments(store, execution).propose(kept)
    assert await deployments(store, execution).last_good() is None

"""Which earlier revision of a workload is meant."""

from __future__ import annotations

from typing import Any

import pytest

from watcher.errors import StageError
from watcher.kube.rollback.revisions import Revision, target
from watcher.kube.rollouts.rollout import RESTARTED_AT

ABOUT = "deployment.apps/web in namespace web"


def revision(number: int, image: str, *, restarted: str = "") -> Revision:
    template: dict[str, Any] = {"spec": {"containers": [{"name": "web", "image": image}]}}
    if restarted:
        template["metadata"] = {"annotations": {RESTARTED_AT: restarted}}
    return Revision(number, template, {})


@pytest.mark.parametrize(
    ("found", "wanted", "number"),
    [
        pytest.param([revision(2, "b"), revision(1, "a")], None, 1, id="the one before"),
        pytest.param(
            [revision(3, "b", restarted="today"), revision(2, "b"), revision(1, "a")],
            None,
            1,
            id="past a restart",
        ),
        pytest.param(
            [revision(3, "b"), revision(2, "b", restarted="today"), revision(1, "a")],
            None,
            1,
            id="past a restart that was taken back",
        ),
        pytest.param(
            [revision(3, "b", restarted="today"), revision(2, "b")], 2, 2, id="one by its number"
        ),
    ],
)
def test_the_revision_that_is_meant(found: list[Revision], wanted: int | None, number: int) -> None:
    assert target(found, wanted, ABOUT).number == number


@pytest.mark.parametrize(
    ("found", "wanted", "error", "hint"),
    [
        pytest.param([], None, "no earlier revision", "never changed", id="none at all"),
        pytest.param([revision(1, "a")], None, "no earlier", "never changed", id="only one"),
        pytest.param(
            [revision(2, "a", restarted="today"), revision(1, "a")],
            None,
            "no earlier",
            "all run the same: 2, 1",
            id="restarts only",
        ),
        pytest.param([revision(2, "a")], 1, "no revision 1", "there are: 2", id="a number gone by"),
    ],
)
def test_a_revision_that_is_not_there(
    found: list[Revision], wanted: int | None, error: str, hint: str
) -> None:
    with pytest.raises(StageError, match=error) as raised:
        target(found, wanted, ABOUT)
    assert hint in str(raised.value.hint)

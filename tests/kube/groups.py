"""Runs the tests of one `xdist_group` in one worker, as `--dist loadgroup` should.

With pytest 9.2 pytest-xdist 3.8 spreads them silently, as a test's id can no longer carry its group
(pytest-dev/pytest-xdist issue 1386). Here each worker writes the groups to a file, which the
scheduler reads. For tests/conftest.py only.
"""

from __future__ import annotations

import json
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]

FILE = "groups.json"
_directory = pytest.StashKey[Path]()


class GroupScheduling(LoadGroupScheduling):  # type: ignore[misc]
    """Reads the file when it is asked first: every worker has written it by then."""

    @cached_property
    def _groups(self) -> dict[str, str]:
        file = self.config.stash[_directory] / FILE
        return dict(json.loads(file.read_text()))

    def _split_scope(self, nodeid: str) -> str:
        return self._groups.get(nodeid) or str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a new worker where the file goes."""
    stash = node.config.stash
    if _directory not in stash:
        directory = tempfile.TemporaryDirectory(prefix="test-groups-")
        node.config.add_cleanup(directory.cleanup)
        stash[_directory] = Path(directory.name)
    node.workerinput["groups"] = str(stash[_directory])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling | None:
    return GroupScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the file, as a worker; all workers write the same."""
    if not hasattr(session.config, "workerinput"):
        return
    groups = {
        item.nodeid: str(mark.args[0])
        for item in session.items
        for mark in item.iter_markers("xdist_group")
    }
    directory = Path(session.config.workerinput["groups"])
    new = directory / session.config.workerinput["workerid"]
    new.write_text(json.dumps(groups))
    new.replace(directory / FILE)

"""Fixtures for all tests: real servers (tests/servers.py, tests/kube/cluster.py)."""

from __future__ import annotations

import pytest

from tests.kube.cluster import cluster as cluster
from tests.kube.cluster import cluster_proxy as cluster_proxy
from tests.servers import start_registry as start_registry


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs all tests that need the cluster, so that it is started once."""
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("cluster"))

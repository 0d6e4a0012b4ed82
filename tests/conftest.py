"""Fixtures for all tests: real servers (tests/servers.py, tests/kube/cluster.py)."""

from __future__ import annotations

import pytest

from tests.kube.cluster import cluster as cluster
from tests.kube.cluster import cluster_proxy as cluster_proxy
from tests.kube.groups import pytest_collection_finish as pytest_collection_finish
from tests.kube.groups import pytest_configure_node as pytest_configure_node
from tests.kube.groups import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler
from tests.servers import start_registry as start_registry


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One worker runs all tests that need the cluster, so that it is started once."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("cluster"))

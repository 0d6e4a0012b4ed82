"""Fixtures for all tests: real servers (tests/servers.py, tests/kube/cluster.py)."""

from __future__ import annotations

from tests.kube.cluster import cluster as cluster
from tests.kube.cluster import cluster_proxy as cluster_proxy
from tests.servers import start_registry as start_registry

"""Fixtures for all tests: real servers (tests/servers.py, tests/kube/cluster.py).

Property tests have no deadline, whichever of them are run: a machine that is busy breaks no
property. They take the same examples each time in CI, others each time elsewhere.
"""

from __future__ import annotations

import os

from hypothesis import settings

from tests.kube.cluster import cluster as cluster
from tests.kube.cluster import cluster_proxy as cluster_proxy
from tests.servers import start_registry as start_registry

settings.register_profile("here", deadline=None, max_examples=150, stateful_step_count=40)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

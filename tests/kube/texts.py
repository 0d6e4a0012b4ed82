"""Short manifests for the tests of the bundle, and what reading texts gives or refuses."""

from __future__ import annotations

from typing import Any

import pytest

from watcher.errors import StageError
from watcher.kube.manifests.bundle import read_documents

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"
CUSTOM = "apiVersion: acme.example/v1\nkind: Probe\nmetadata: {name: web}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: web}\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - name: web
"""


def objects_of(*texts: str) -> list[dict[str, Any]]:
    named = [(f"{number}.yaml", text) for number, text in enumerate(texts)]
    return list(read_documents(named).objects)


def refusal_of(*texts: str, name: str = "web.yaml") -> str:
    with pytest.raises(StageError) as raised:
        read_documents([(name, text) for text in texts])
    error = raised.value
    return f"{error.message} ({error.hint})" if error.hint else error.message

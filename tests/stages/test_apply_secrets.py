"""No value of a Secret gets anywhere but into the cluster, whatever becomes of the run."""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stages.deploying import BROKEN, Deploying, apply, secret, workload
from watcher.core.pipeline import ExecutionStatus, Json

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
OLD, NEW, KEPT = "old-hunter2-value", "new-hunter2-value", "kept-hunter2-value"


def exported(item: dict[str, Json]) -> dict[str, Json]:
    """As `kubectl get -o yaml` gives what kubectl's client-side apply made."""
    metadata: Any = item["metadata"]
    annotations = {LAST_APPLIED: json.dumps(item), "note": "a"}
    return {**item, "metadata": {**metadata, "annotations": annotations}}


def job(value: str) -> dict[str, Json]:
    container = {"name": "web", "image": "x:1", "env": [{"name": "P", "value": value}]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "once"},
        "spec": {"template": template},
    }


def stored(directory: Path) -> Iterator[bytes]:
    """All that the state holds: its files, and each value as it is and decompressed."""
    for file in directory.glob("watcher.db*"):
        yield file.read_bytes()
    db = sqlite3.connect(directory / "watcher.db")
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    for table in tables:
        for row in db.execute(f'SELECT * FROM "{table}"'):
            for value in filter(lambda each: isinstance(each, bytes), row):
                yield zlib.decompress(value) if value[:1] == b"\x78" else value
    db.close()


async def nowhere(deploying: Deploying, *values: str) -> None:
    await deploying.store.close()
    state = b"\n".join(stored(deploying.directory))
    assert b"login" in state
    for value in values:
        assert value.encode() not in state
        assert base64.b64encode(value.encode()) not in state


@pytest.mark.parametrize("on_failure", ["stop", "rollback"])
async def test_a_manifest_that_kubectl_exported(on_failure: str, deploying: Deploying) -> None:
    deploying.manifest("web.yaml", exported(secret(password=NEW)))
    deploying.configure(apply("web.yaml", bind="off", on_failure=on_failure))
    run = await deploying.deploy("1")
    assert run.status is ExecutionStatus.SUCCEEDED
    assert NEW not in repr(await deploying.last_good())
    assert "is not for manifests and was left out" in run.stages[0].log
    assert deploying.get("Secret", "login")["metadata"]["annotations"] == {"note": "a"}
    await nowhere(deploying, NEW)


async def test_a_secret_that_kubectl_made_and_that_is_rolled_back(deploying: Deploying) -> None:
    before = deploying.directory / "before.yaml"
    before.write_text(json.dumps(secret(password=OLD, other=KEPT)))
    deploying.kubectl("apply", "-f", str(before))
    deploying.manifest("web.yaml", secret(password=NEW), workload())
    deploying.configure(apply("web.yaml"), BROKEN)
    run = await deploying.deploy("1")
    assert "rolled back: apply" in str(run.reason), run.stages[0].log
    data = deploying.get("Secret", "login")["data"]
    assert {name: base64.b64decode(value).decode() for name, value in data.items()} == {
        "password": OLD,
        "other": KEPT,
    }
    await nowhere(deploying, OLD, NEW, KEPT)


async def test_a_refused_change_of_a_job_next_to_a_secret(deploying: Deploying) -> None:
    deploying.manifest("web.yaml", secret(password=OLD), job(OLD))
    deploying.configure(apply("web.yaml", bind="off", wait=False, on_failure="stop"))
    first = await deploying.deploy("1")
    assert first.status is ExecutionStatus.SUCCEEDED, first
    deploying.manifest("web.yaml", secret(password=NEW), job(NEW))
    run = await deploying.deploy("2")
    assert "nothing was applied" in str(run.stages[0].error)
    assert NEW not in f"{run}"
    await nowhere(deploying, NEW)

"""`hooks`: from a push on docker-registry, which calls the daemon, to the queued run; polls are
an hour apart: one push after another, and many at once.

The registry and its notifications are real. A push counts from the moment when its manifest is
sent: the layers are there by then, and before it there is no tag.
"""

from __future__ import annotations

import http.client
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.executions import wait_for
from benchmarks.measuring import Goal, cost, environment, quantile, table
from benchmarks.scene import ACCOUNT, ALL, Setting, once, served, state_of, write_config
from tests.servers import RealRegistry, docker_registry, free_port
from watcher.testing.images import Image, single

_TOKEN = "a-hook-token-of-nobody"
_PATIENCE = 60.0
_LIMIT_MS = 1000.0
_AT_ONCE = 4
_WRITTEN_SECONDS = 2.0  # deliveries are written once a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done. `pushes` are made one after another, then as many in little time."""

    repositories: int = 20
    pushes: int = 60


QUICK = Plan(repositories=2, pushes=3)


@dataclass(slots=True)
class Noticed:
    """Seconds: from the push to the delivery, from there to the queued run, and both together."""

    called: list[float] = field(default_factory=list)
    queued: list[float] = field(default_factory=list)
    all_in_all: list[float] = field(default_factory=list)


def run(setting: Setting) -> list[Goal]:
    """Print the table; the goals with their figures."""
    plan = QUICK if setting.quick else Plan()
    if shutil.which("docker-registry") is None:
        print("skipped: docker-registry is not installed")
        return []
    with TemporaryDirectory() as name:
        directory = Path(name)
        with _calling(directory) as (registry, port):
            names = [f"lab/app-{number}" for number in range(plan.repositories)]
            for repository in names:
                _push(registry, repository, "first")
            config = _config(directory, registry, names, port)
            cost([once(config)], environment())
            with served(config):
                _wait_until_called(config, names)
                alone = _one_after_another(plan, config, registry, names)
                together = _many_at_once(plan, config, registry, names)
    rows: list[tuple[str, ...]] = [
        ("p50 / p95 / p99, ms", "push to delivery", "delivery to QUEUED", "push to QUEUED")
    ]
    for words, one in (("one after another", alone), (f"{_AT_ONCE} at once", together)):
        cells = (_quantiles(v) for v in (one.called, one.queued, one.all_in_all))
        rows.append((f"{words}, {len(one.all_in_all)} pushes", *cells))
    print(table(rows))
    return [
        Goal(
            words="p95 from a push to QUEUED, ms",
            value=quantile(alone.all_in_all, 0.95) * 1000,
            limit=_LIMIT_MS,
        )
    ]


@contextmanager
def _calling(directory: Path) -> Iterator[tuple[RealRegistry, int]]:
    """A registry that calls the port."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/hooks/distribution?token={_TOKEN}"
    with docker_registry(directory / "registry", notify=url) as registry:
        yield registry, port


def _config(directory: Path, registry: RealRegistry, names: list[str], port: int) -> Path:
    token = directory / "hook-token"
    token.write_text(_TOKEN)
    account: dict[str, Any] = {
        "name": ACCOUNT, "address": registry.address, "plain_http": True, "poll": "1h",
        "repositories": names,
    }  # fmt: skip
    path = write_config(directory, account, fires=ALL)
    document = json.loads(path.read_text())
    document["http"] = {"listen": f"127.0.0.1:{port}", "hook_token_file": str(token)}
    path.write_text(json.dumps(document))
    return path


def _wait_until_called(config: Path, names: list[str]) -> None:
    """Until what the registry kept for the daemon, while nobody listened, has arrived."""
    deadline = time.monotonic() + _PATIENCE
    while {(name, "first") for name in names} - _moments(state_of(config))[1].keys():
        if time.monotonic() > deadline:
            raise RuntimeError("the registry does not call")
        time.sleep(0.2)


def _one_after_another(
    plan: Plan, config: Path, registry: RealRegistry, names: list[str]
) -> Noticed:
    pushed: dict[tuple[str, str], float] = {}
    for number in range(plan.pushes):
        place = (names[number % len(names)], f"one-{number}")
        pushed[place] = _push(registry, *place)
        _wait(config, {place: pushed[place]})
    return _noticed(config, pushed)


def _many_at_once(plan: Plan, config: Path, registry: RealRegistry, names: list[str]) -> Noticed:
    places = [(names[n % len(names)], f"many-{n}") for n in range(plan.pushes)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        moments = list(pool.map(lambda place: _push(registry, *place), places))
    pushed = dict(zip(places, moments, strict=True))
    _wait(config, pushed)
    return _noticed(config, pushed)


def _wait(config: Path, pushed: Mapping[tuple[str, str], float]) -> None:
    wait_for(
        state_of(config),
        lambda found: pushed.keys() <= {(one.repository, one.tag) for one in found},
        _PATIENCE,
    )


def _noticed(config: Path, pushed: Mapping[tuple[str, str], float]) -> Noticed:
    seen = Noticed()
    time.sleep(_WRITTEN_SECONDS)
    queued, called = _moments(state_of(config))
    for place, moment in pushed.items():
        arrived = called.get(place)
        seen.all_in_all.append(queued[place] - moment)
        if arrived is not None:
            seen.called.append(arrived - moment)
            seen.queued.append(queued[place] - arrived)
    return seen


def _moments(state: Path) -> tuple[dict[Any, float], dict[Any, float]]:
    """When each run was queued, and when its delivery came."""
    with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as db:
        runs = db.execute("SELECT repository, tag, created FROM execution").fetchall()
        calls = db.execute("SELECT repository, tag, min(time) FROM delivery GROUP BY 1, 2")
        return (
            {(repository, tag): at for repository, tag, at in runs},
            {(repository, tag): at for repository, tag, at in calls},
        )


def _push(registry: RealRegistry, repository: str, tag: str) -> float:
    """Push an image of its own; when its manifest was sent."""
    image = single(f"{repository}:{tag}".encode())
    with closing(http.client.HTTPConnection(registry.address, timeout=30)) as client:
        for digest, content in image.blobs.items():
            _upload(client, repository, digest, content)
        sent = time.time()
        _ask(client, "PUT", f"/v2/{repository}/manifests/{tag}", image.top.body, _typed(image))
    return sent


def _upload(
    client: http.client.HTTPConnection, repository: str, digest: str, content: bytes
) -> None:
    place = _ask(client, "POST", f"/v2/{repository}/blobs/uploads/", b"", {})
    path = place.partition("://")[2].partition("/")[2]
    mark = "&" if "?" in path else "?"
    kind = {"Content-Type": "application/octet-stream"}
    _ask(client, "PUT", f"/{path}{mark}digest={digest}", content, kind)


def _typed(image: Image) -> dict[str, str]:
    return {"Content-Type": image.top.media_type}


def _ask(
    client: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
) -> str:
    """The Location of the answer. Raises RuntimeError for a refusal."""
    client.request(method, path, body, dict(headers))
    answer = client.getresponse()
    told = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {told[:200]!r}")
    return answer.headers.get("Location", "")


def _quantiles(values: list[float]) -> str:
    return " / ".join(f"{quantile(values, share) * 1000:.0f}" for share in (0.5, 0.95, 0.99))

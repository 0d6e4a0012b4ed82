"""Each benchmark runs, small, and prints what it is to print. Its figures are nobody's business
here: other tests run at the same time.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.instructions import parsed
from benchmarks.measuring import Goal, quantile
from benchmarks.peers import diun, skopeo
from benchmarks.servers import Kind, Wanted, chosen, kinds, running
from benchmarks.transactions import Transactions
from tests.kube.cluster import need_cluster
from tests.servers import need

ROOT = Path(__file__).parent.parent
TABLES = {
    "once": ("start-up alone", "skopeo list-tags", "plain HTTP"),
    "pass": ("watcher run --once, first", "watcher daemon, 10 connections", "per idle repository"),
    "steady": ("of a core", "event loop late", "MiB after a tenth"),
    "huge": ("tags, one page", "CPU ms of http.client"),
    "burst": ("start to QUEUED", "per push", "push to QUEUED"),
    "nudge": ("request to QUEUED", "nothing else to do"),
    "hooks": ("delivery to QUEUED", "one after another"),
    "isolation": ("began late", "alone", "wrong password"),
    "profile": ("HTTP client", "parsing", "state, on its own thread"),
}
"""What each benchmark prints, whatever it measured."""


@pytest.mark.parametrize("name", TABLES)
def test_a_benchmark_runs_and_prints_its_table(name: str) -> None:
    if name in ("once", "hooks"):
        need("docker-registry", "skopeo", "htpasswd")
    else:
        need("skopeo")
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--server", "fake"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for words in TABLES[name]:
        assert words in done.stdout
    assert "the figures mean nothing" in done.stdout


def test_the_benchmark_of_deployments_runs() -> None:
    need_cluster()
    command = [sys.executable, "-m", "benchmarks", "deploy", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "kubectl diff, apply" in done.stdout or "skipped: kubectl" in done.stdout


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)
@pytest.mark.parametrize("tls", [True, False], ids=["TLS and a login", "plain HTTP"])
def test_a_server_counts_what_is_asked_of_it(kind: Kind, tls: bool, tmp_path: Path) -> None:
    if kind.find() is None:
        pytest.skip(f"{kind.name} is not installed")
    need("skopeo")
    wanted = Wanted(repositories=3, tags=4, tls=tls, login=tls)
    with running(kind, tmp_path, wanted) as server:
        name = wanted.names[1]
        before = server.counts()
        server.push(name, "pushed")
        assert server.counts() == before
        loop = skopeo(tmp_path, server, [name])
        told = subprocess.run(
            loop.commands[0], env=dict(loop.given), capture_output=True, text=True, check=True
        )
        assert set(json.loads(told.stdout)["Tags"]) == {*wanted.tag_names, "pushed"}
        gained = server.counts().since(before)
    assert gained.listings == 1
    assert gained.connections > 0
    assert gained.refused == (1 if tls else 0)


def test_the_first_server_that_is_there_is_chosen_or_the_one_that_is_named() -> None:
    assert chosen() == next(kind for kind in kinds() if kind.find() is not None)
    assert chosen("fake").name == "fake"
    with pytest.raises(LookupError, match="there are: fakereg, nginx, fake"):
        chosen("apache")


def test_diun_gets_a_config_for_each_image_and_fails_when_it_looked_at_too_few(
    tmp_path: Path,
) -> None:
    """A stand-in that reads the config as Diun does and asks for all images but one."""
    program = tmp_path / "diun"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    wanted = Wanted(repositories=3, tags=2, tls=False, login=False)
    with running(chosen("fake"), tmp_path, wanted) as server:
        peer = diun(str(program), tmp_path / "config", server, wanted.names)
        with pytest.raises(RuntimeError, match="asked for 2 manifests of 3 images"):
            peer.check()


STAND_IN = """#!{python}
import json, pathlib, sys, urllib.request
config = json.loads(pathlib.Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
assert "schedule" not in config["watch"]
images = json.loads(pathlib.Path(config["providers"]["file"]["filename"]).read_text())
for image in images[1:]:
    host, _, rest = image["name"].partition("/")
    name, _, tag = rest.rpartition(":")
    url = f"http://{{host}}/v2/{{name}}/manifests/{{tag}}"
    accept = {{"Accept": "application/vnd.oci.image.manifest.v1+json"}}
    urllib.request.urlopen(urllib.request.Request(url, headers=accept, method="HEAD"))
"""


@pytest.mark.parametrize("checkpoint", [1000, 3], ids=["one WAL", "a WAL that starts anew"])
def test_each_transaction_of_another_connection_is_counted(checkpoint: int, tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    with closing(sqlite3.connect(state, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE thing (content TEXT)")
        db.execute(f"PRAGMA wal_autocheckpoint = {checkpoint}")
        with Transactions(state) as seen:
            for number in range(20):
                db.execute("INSERT INTO thing VALUES (?)", (f"{number}" * 5000,))
                seen.look()
        assert seen.count == 20


def test_instructions_are_read_from_the_report_of_perf() -> None:
    assert parsed("# started\n\n123456789,,instructions:u,100,100.00,,\n") == 123.456789
    assert parsed("<not supported>,,instructions:u,0,100.00,,\n") is None
    assert parsed("") is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(0.05, "met, stretch too", id="better than hoped for"),
        pytest.param(0.3, "met, stretch not", id="good"),
        pytest.param(0.9, "missed by 0.5", id="too much"),
        pytest.param(float("nan"), "missed", id="nothing measured"),
    ],
)
def test_a_goal_says_whether_it_is_met(value: float, words: str) -> None:
    goal = Goal(words="CPU", value=value, limit=0.4, stretch=0.1)
    assert words in str(goal)
    assert goal.is_met == ("met" in words)


def test_a_quantile_is_a_value_that_was_there() -> None:
    values = [float(number) for number in range(1, 101)]
    assert quantile(values, 0.5) == 50.0
    assert quantile(values, 0.99) == 99.0
    assert quantile([7.0], 0.99) == 7.0

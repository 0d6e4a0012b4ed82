"""State files as each released schema left them, with something of everything, and the story that
made them.

`python -m tests.system.releases FILE.sql`, run in a checkout of a release with this file copied to
its place, tells the story to that release's own commands, kills its daemon in the middle, and
writes down the file that it left. What is in `states/` was made so. Used by test_upgrade.py.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.system.watching import Watcher, account, trigger, wait_until
from watcher.store.sqlite import Store
from watcher.testing.registry import FakeRegistry

WEB, API, SLOW, PATIENT, OFF = "acme/web", "acme/api", "acme/slow", "acme/patient", "acme/off"
ALL = (WEB, API, SLOW, PATIENT, OFF)
HOLD_ABOVE = 2
BEFORE = ("1.0", "1.1", "1.2")
HELD = ("2.0", "2.1", "2.2")
PLACE = "@DIRECTORY@"
"""What stands in the SQL for the directory in which stages leave marks."""
MOMENT = re.compile(r"\b\d\.\d+e\+09\b")
"""Seconds since the epoch, as SQLite writes them down."""


def config(address: str, directory: str) -> dict[str, Any]:
    """A pipeline that may fail, one that waits for a file, and one that waits for time."""
    mark = f"echo \"$0 said $(date +%s)\"; echo $0 >> '{directory}/marks'; "
    return {
        "accounts": [account(address, *ALL, hold_above=HOLD_ABOVE, poll="1h")],
        "triggers": [
            trigger("web", "deploy", WEB, changes=["new", "moved", "deleted"]),
            trigger("api", "deploy", API),
            trigger("slow", "slow", SLOW),
            trigger("patient", "patient", PATIENT),
            trigger("off", "deploy", OFF),
        ],
        "pipelines": [
            {
                "name": "deploy",
                "stages": [
                    {"name": "go", "command": ["sh", "-c", mark, "deploy"]},
                    {"name": "look", "command": ["test", "!", "-e", f"{directory}/fails"]},
                ],
            },
            {
                "name": "slow",
                "stages": [
                    {
                        "name": "go",
                        "command": [
                            "sh",
                            "-c",
                            f"until [ -e '{directory}/gate' ]; do sleep 0.05; done; {mark}",
                            "slow",
                        ],
                    }
                ],
            },
            {
                "name": "patient",
                "stages": [
                    {"name": "rest", "wait": "10s"},
                    {"name": "go", "command": ["sh", "-c", mark, "patient"]},
                ],
            },
        ],
    }


def push(registry: FakeRegistry, repository: str, *tags: str, word: str = "first") -> None:
    """Always the same image, so that a later story begins with what this one saw."""
    for tag in tags:
        registry.push(repository, tag, content=f"{repository}:{tag} {word}")


def begin(registry: FakeRegistry) -> None:
    for repository in ALL:
        push(registry, repository, *BEFORE)


def end(registry: FakeRegistry) -> None:
    """What the registry has when the story is over."""
    begin(registry)
    push(registry, WEB, "1.3", "1.4", "1.5")
    push(registry, WEB, "1.1", word="second")
    registry.delete_tag(WEB, "1.0")
    push(registry, API, *HELD)
    push(registry, SLOW, "1.3")
    push(registry, PATIENT, "1.3")
    push(registry, OFF, "1.3")


def tell(watcher: Watcher, registry: FakeRegistry) -> None:
    """Runs that ended well, badly and by a person's word; a run under way, one that waits and one
    that is queued; held events; a switch; tags that were moved and deleted."""
    fails = watcher.directory / "fails"
    begin(registry)
    once(watcher)
    watcher.run("disable", "off")
    push(registry, WEB, "1.3")
    push(registry, OFF, "1.3")
    once(watcher)
    fails.touch()
    push(registry, WEB, "1.4")
    assert watcher.run("run", "--once").returncode == 1
    fails.unlink()
    push(registry, WEB, "1.1", word="second")
    registry.delete_tag(WEB, "1.0")
    once(watcher)
    push(registry, API, *HELD)
    once(watcher)
    push(registry, WEB, "1.5")
    push(registry, SLOW, "1.3")
    push(registry, PATIENT, "1.3")
    daemon = watcher.start()
    try:
        daemon.wait_for("started")
        assert watcher.run("poll").returncode == 0
        wait_until(lambda: under_way(watcher) == 2, "one runs, one waits", every=0.2)
        watcher.run("trigger", "slow", "--tag", "1.2", "--force")
    finally:
        daemon.kill()


def once(watcher: Watcher) -> None:
    done = watcher.run("run", "--once")
    assert done.returncode == 0, done


def under_way(watcher: Watcher) -> int:
    return sum(run["status"] in {"RUNNING", "WAITING"} for run in watcher.json("executions"))


def deploy(store: Any, run: str) -> None:
    """What a rollback would need, where the release knows of rollbacks."""
    if not hasattr(store, "reject"):
        return
    from watcher.core.deployment import Bundle, Rejection

    now = datetime.now(UTC)
    bundle = Bundle(objects=(), cluster="prod", namespace="web", execution=run, event_time=now)
    store.propose("deploy", "go", bundle)
    store.reject(
        Rejection(
            pipeline="deploy",
            account="main",
            repository=WEB,
            tag="9.9",
            digest=f"sha256:{'9' * 64}",
            execution=run,
            reason="the rollout failed",
            time=now,
        )
    )


def dump(path: Path, directory: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        lines = [f"PRAGMA application_id = {application};", f"PRAGMA user_version = {version};"]
        text = "\n".join([*lines, *connection.iterdump(), ""])
    return text.replace(str(directory), PLACE)


def load(sql: Path, path: Path) -> None:
    """Make the state file that the SQL describes, as if it had been left just now; its stages
    leave their marks beside it."""
    text = _left_now(sql.read_text()).replace(PLACE, str(path.parent))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(text)


def _left_now(sql: str) -> str:
    """With all moments moved alike: runs have time-outs, and what is old is let go."""
    later = time.time() - max(map(float, MOMENT.findall(sql)))
    return MOMENT.sub(lambda found: repr(float(found[0]) + later), sql)


def main(target: str) -> None:
    with TemporaryDirectory() as name, FakeRegistry.in_thread() as registry:
        directory = Path(name)
        watcher = Watcher(directory, config(registry.address, name))
        tell(watcher, registry)
        with Store.open(watcher.state) as store:
            deploy(store, next(run["id"] for run in watcher.json("executions")))
        Path(target).write_text(dump(watcher.state, directory))


if __name__ == "__main__":
    main(*sys.argv[1:])

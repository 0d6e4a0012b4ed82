"""`watcher health`: exit code 0 or 1 from outside the daemon, and what is wrong."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.cli.conftest import REPOSITORY, Bench
from tests.cli.test_beside_daemon import PATIENCE, wait_for
from tests.servers import free_port
from watcher.store.lock import StateLock, holder
from watcher.store.sqlite import Store
from watcher.testing.faults import Fault, Match, Respond
from watcher.testing.records import Kind
from watcher.testing.registry import FakeRegistry

TOKEN = "nobodys-token"
STUCK = {"ailment": "stuck", "about": "ticker", "message": "stands still for 40s"}
STALE = {"ailment": "stale", "about": "fake/acme/web", "message": "no success for 4m"}


@contextmanager
def answering(
    answers: Mapping[str, tuple[int, bytes]],
    host: str = "127.0.0.1",
    tokens: list[str | None] | None = None,
) -> Iterator[int]:
    """A daemon's HTTP side that says this and nothing else; gives its port. `tokens` get what it
    was sent as one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, b"{}"))
            if tokens is not None:
                tokens.append(self.headers["Authorization"])
            if self.headers["Authorization"] not in (None, f"Bearer {TOKEN}"):
                status = 401
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Tests print nothing."""

    with ThreadingHTTPServer((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def told(*complaints: Mapping[str, str]) -> bytes:
    """As the daemon answers whoever has the token."""
    kinds = Counter(complaint["ailment"] for complaint in complaints)
    return json.dumps({"complaints": kinds, "details": complaints}).encode()


def listening(bench: Bench, port: int, host: str = "127.0.0.1") -> None:
    bench.write("token", f"{TOKEN}\n")
    path = bench.configure("registry.example")
    http = f"http: {{listen: '{host}:{port}', token_file: token}}\n"
    path.write_text(http + path.read_text())


@contextmanager
def daemon() -> Iterator[None]:
    """A daemon in the current directory, until the block ends."""
    process = subprocess.Popen([sys.executable, "-m", "watcher", "run"], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


# The daemon has an HTTP side


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        pytest.param((), 1, "stale: fake/acme/web: no success for 4m", id="all that is wrong"),
        pytest.param(("--live",), 0, "well", id="a restart would not help"),
    ],
)
def test_a_stale_repository_is_told_and_is_no_reason_to_restart(
    bench: Bench, words: tuple[str, ...], code: int, says: str
) -> None:
    with answering({"/healthz": (503, told(STALE)), "/livez": (200, told())}) as port:
        listening(bench, port)
        assert bench.run("health", *words, code=code).stdout.strip() == says


@pytest.mark.parametrize("words", [(), ("--live",)], ids=["all", "live"])
def test_what_the_daemon_says_is_passed_on_as_json(bench: Bench, words: tuple[str, ...]) -> None:
    with answering({"/healthz": (503, told(STUCK)), "/livez": (503, told(STUCK))}) as port:
        listening(bench, port)
        said = bench.json("health", *words, code=1)
    assert said == {"well": False, "complaints": [STUCK]}


@pytest.mark.parametrize(
    ("answer", "code", "about"),
    [
        pytest.param((200, b"anything"), 0, None, id="200"),
        pytest.param((503, b"<html>"), 1, "answers with status 503", id="no JSON"),
        pytest.param((503, b"[1]"), 1, "answers with status 503", id="other JSON"),
        pytest.param((503, b"[" * 100_000), 1, "answers with status 503", id="deep JSON"),
        pytest.param(
            (503, b'{"complaints": [{"ailment": "x"}]}'),
            1,
            "answers with status 503",
            id="other words",
        ),
        pytest.param((503, b'{"complaints": {"stuck": 2}}'), 1, "2 complaints", id="no token"),
        pytest.param((404, b""), 1, "answers with status 404", id="somebody else"),
    ],
)
def test_only_200_is_well_whatever_stands_in_the_answer(
    bench: Bench, answer: tuple[int, bytes], code: int, about: str | None
) -> None:
    with answering({"/healthz": answer}) as port:
        said = bench.json("health", "--url", f"http://127.0.0.1:{port}", code=code)
    assert [c["message"] for c in said["complaints"]] == ([about] if about else [])


@pytest.mark.parametrize(
    ("listen", "server"),
    [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1")],
)
def test_what_listens_on_any_address_is_asked_on_this_machine(
    bench: Bench, listen: str, server: str
) -> None:
    with answering({"/healthz": (200, told())}, server) as port:
        listening(bench, port, listen)
        assert bench.run("health").stdout == "well\n"


def test_who_does_not_answer_is_taken_for_stuck(bench: Bench) -> None:
    with answering({}) as port:
        pass
    listening(bench, port)
    (complaint,) = bench.json("health", "--live", code=1)["complaints"]
    assert complaint["ailment"] == "stuck"
    assert complaint["about"] == f"http://127.0.0.1:{port}/livez"
    assert "refused" in complaint["message"]


def test_who_does_not_answer_and_holds_nothing_is_told_to_be_gone(bench: Bench) -> None:
    """Where only cron works, too: no answer can be had there, whoever is asked."""
    state = bench.directory / "watcher.db"
    listening(bench, free_port())
    gone = f"; nobody holds {state}: no daemon works on it"
    assert bench.run("health", code=1).stdout.strip().endswith(gone)
    with StateLock(state, command="watcher run"):
        assert "nobody" not in bench.run("health", code=1).stdout
    lock = state.with_name("watcher.db.lock")
    lock.unlink()
    os.mknod(lock, stat.S_IFSOCK | 0o600)  # nobody, not even root, can open that
    assert "nobody" not in bench.run("health", code=1).stdout, "it can't be seen"


@pytest.mark.parametrize("host", ["a b", "a\nb", "x" * 300], ids=["a space", "a line end", "long"])
def test_who_can_have_no_address_does_not_answer(bench: Bench, host: str) -> None:
    (complaint,) = bench.json("health", "--url", f"http://{host}:80", code=1)["complaints"]
    assert complaint["message"].startswith("does not answer")


def test_localhost_is_asked_where_the_daemon_listens_and_by_no_other_address(bench: Bench) -> None:
    """Where the name leads to ::1 as well, anybody may listen there, and would get the token."""
    port = free_port()
    listening(bench, port, "localhost")
    assert f"http://127.0.0.1:{port}/healthz: does not answer" in bench.run("health", code=1).stdout


def test_the_token_is_told_only_where_a_daemon_can_be(bench: Bench) -> None:
    """Whoever takes the port of a daemon that is gone must not be given it."""
    tokens: list[str | None] = []
    with answering({"/healthz": (200, told()), "/livez": (200, told())}, tokens=tokens) as port:
        listening(bench, port)
        bench.run("health")
        with StateLock(bench.directory / "watcher.db", command="watcher run"):
            bench.run("health")
            bench.run("health", "--live")
    assert tokens == [None, f"Bearer {TOKEN}", None]


def test_a_token_that_no_request_can_hold_is_not_sent_and_not_shown(bench: Bench) -> None:
    with answering({"/healthz": (200, told())}) as port:
        listening(bench, port)
        bench.write("token", f"{TOKEN}\n{TOKEN}\n")
        with StateLock(bench.directory / "watcher.db", command="watcher run"):
            done = bench.run("health")
    assert (done.stdout, done.stderr) == ("well\n", "")


@pytest.mark.parametrize(
    "rest", ["accounts: [{nmae: x}]\n", "accounts: [\n"], ids=["a wrong key", "not YAML"]
)
def test_a_config_that_became_wrong_is_no_reason_to_restart(bench: Bench, rest: str) -> None:
    """The daemon goes on with the config it had; started anew it could not."""
    with answering({"/livez": (200, told())}) as port:
        bench.write("config.yaml", f"http: {{listen: '127.0.0.1:{port}'}}\n{rest}")
        with StateLock(bench.directory / "watcher.db", command="watcher run"):
            assert bench.run("health", "--live").stdout == "well\n"


@pytest.mark.parametrize("url", ["127.0.0.1:8484", "https://127.0.0.1:1", "http://x", "http://x:y"])
def test_a_url_that_is_none_is_bad_usage(bench: Bench, url: str) -> None:
    assert "http://ADDRESS:PORT" in bench.run("health", "--url", url, code=2).stderr


def test_the_daemon_itself_answers_as_it_is_asked(bench: Bench, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "1.0")
    port = free_port()
    bench.write("token", f"{TOKEN}\n")
    path = bench.configure(
        registry.address, account="poll: {every: 1s, jitter: 0s}\nstale_after: 2s"
    )
    path.write_text(f"http: {{listen: '0.0.0.0:{port}', token_file: token}}\n{path.read_text()}")
    with daemon():
        wait_for(lambda: bench.run("health", code=None).exit_code == 0)
        registry.fault(Fault(match=Match(kind=Kind.TAGS), action=Respond(500)))
        wait_for(lambda: bench.run("health", code=None).exit_code == 1)
        (complaint,) = bench.json("health", code=1)["complaints"]
        assert bench.run("health", "--live").stdout == "well\n"
    assert (complaint["ailment"], complaint["about"]) == ("stale", f"fake/{REPOSITORY}")
    assert "refused" in bench.run("health", code=1).stdout


# It has none


def test_without_a_daemon_nobody_is_well(polled: Bench) -> None:
    for words in ((), ("--live",)):
        assert "nobody holds" in polled.run("health", *words, code=1).stdout


@pytest.mark.parametrize(
    ("age", "well"), [pytest.param(170, True, id="in time"), pytest.param(190, False, id="late")]
)
def test_a_daemon_without_bookkeeping_for_three_minutes_is_stuck(
    polled: Bench, age: float, *, well: bool
) -> None:
    with StateLock(polled.directory / "watcher.db", command="watcher run"):
        moment = time.time() - age
        os.utime(polled.directory / "watcher.db.lock", (moment, moment))
        said = polled.run("health", "--live", code=0 if well else 1).stdout
    assert said == "well\n" if well else f"process {os.getpid()} (watcher run)" in said


def test_a_repository_without_success_for_too_long_is_stale(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, account="stale_after: 1s")
    bench.run("run", "--once")
    with StateLock(bench.directory / "watcher.db", command="watcher run"):
        assert bench.json("health") == {"well": True, "complaints": []}
        with closing(Store.open(bench.directory / "watcher.db")) as store:
            (status,) = store.repository_statuses()
            status.last_success = time.time() - 65
            store.flush([status], {})
        (complaint,) = bench.json("health", code=1)["complaints"]
        assert bench.run("health", "--live").stdout == "well\n"
    assert (complaint["ailment"], complaint["about"]) == ("stale", f"fake/{REPOSITORY}")


def test_what_the_catalog_names_no_more_is_neither_shown_nor_stale(
    bench: Bench, registry: FakeRegistry
) -> None:
    registry.seed([REPOSITORY, "acme/gone"], ["1.0"])
    bench.configure(registry.address, account="catalog: true\nstale_after: 1s")
    bench.run("run", "--once")
    assert len(bench.json("status")) == 2
    bench.configure(
        registry.address, account=f"catalog: {{include: '{REPOSITORY}'}}\nstale_after: 1s"
    )
    bench.run("run", "--once")
    assert [row["repository"] for row in bench.json("status")] == [REPOSITORY]
    with StateLock(bench.directory / "watcher.db", command="watcher run"):
        with closing(Store.open(bench.directory / "watcher.db")) as store:
            statuses = {status.repository: status for status in store.repository_statuses()}
            statuses["acme/gone"].last_success = time.time() - 65
            store.flush([statuses["acme/gone"]], {})
        assert bench.run("health").stdout == "well\n"
    bench.configure(registry.address, account="catalog: true\nstale_after: 1s")
    bench.run("run", "--once")
    assert len(bench.json("status")) == 2, "it came back"


def test_a_schedule_that_rests_makes_nothing_stale(bench: Bench, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "1.0")
    soon = [(int(time.time()) // 3600 + hours) % 24 for hours in (1, 2)]
    hours = ",".join(map(str, sorted(soon)))
    bench.configure(registry.address, account=f"poll: {{cron: '0 {hours} * * *'}}")
    bench.run("run", "--once")
    with StateLock(bench.directory / "watcher.db", command="watcher run"):
        with closing(Store.open(bench.directory / "watcher.db")) as store:
            (status,) = store.repository_statuses()
            status.last_success = time.time() - 10 * 3600
            store.flush([status], {})
        assert bench.run("health").stdout == "well\n"


def test_a_repository_that_was_never_polled_is_no_complaint(bench: Bench) -> None:
    bench.configure("registry.example", account="stale_after: 1s")
    with StateLock(bench.directory / "watcher.db", command="watcher run"):
        assert bench.run("health").stdout == "well\n"


def test_a_daemon_says_now_and_then_that_it_gets_on(bench: Bench, registry: FakeRegistry) -> None:
    registry.push(REPOSITORY, "1.0")
    bench.configure(registry.address, account="poll: 1d")
    state = bench.directory / "watcher.db"
    with daemon():
        wait_for(lambda: holder(state) is not None)
        os.utime(f"{state}.lock", (0, 0))
        assert "no bookkeeping" in bench.run("health", "--live", code=1).stdout
        wait_for(lambda: bench.run("health", "--live", code=None).exit_code == 0)

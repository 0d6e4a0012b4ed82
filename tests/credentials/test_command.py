"""`password_command`, with real programs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from watcher.core.account import Credential, CredentialProvider, CredentialSource
from watcher.core.reference import Registry
from watcher.credentials import provider
from watcher.errors import CredentialError

REGISTRY = Registry.parse("012345678910.dkr.ecr.us-east-1.amazonaws.com")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def provider_of(
    command: str | tuple[str, ...],
    *,
    clock: Clock | None = None,
    ttl: timedelta = timedelta(hours=1),
    timeout: timedelta = timedelta(seconds=20),
) -> CredentialProvider:
    source = CredentialSource(
        username="AWS", password_command=command, password_ttl=ttl, password_timeout=timeout
    )
    return provider(source, REGISTRY, clock=clock or Clock(), environment=dict(os.environ))


def counting(folder: Path, rest: str = "echo password-$n") -> str:
    """A shell command that counts its runs in a file; `rest` sees the count as $n."""
    file = folder / "runs"
    return f"echo x >>{file}; n=$(wc -l <{file} | tr -d ' '); {rest}"


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


@pytest.mark.parametrize(
    ("command", "password"),
    [
        pytest.param("echo hunter2", "hunter2", id="a text runs in the shell"),
        pytest.param("printf 'a b'; printf ' c'", "a b c", id="with the shell's syntax"),
        pytest.param(("echo", "a;b", "$HOME"), "a;b $HOME", id="a list runs without a shell"),
        pytest.param("printf 'a\\nb\\n\\n'", "a\nb\n", id="one newline is cut"),
        pytest.param("echo hunter2; echo warning >&2", "hunter2", id="stderr is not the password"),
        pytest.param("cat; echo hunter2", "hunter2", id="stdin is empty"),
        pytest.param("printf %065536d 0", "0" * 65536, id="64 KiB are allowed"),
    ],
)
async def test_stdout_is_the_password(command: str | tuple[str, ...], password: str) -> None:
    assert await provider_of(command).get() == Credential("AWS", password)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        pytest.param(
            "echo hunter2; echo 'no such profile' >&2; exit 3",
            "password_command (echo) failed, exit code 3: no such profile",
            id="exit code and stderr",
        ),
        pytest.param("exit 4", "password_command (exit) failed, exit code 4", id="no stderr"),
        pytest.param(
            "echo hunter2; echo oops: hunter2 >&2; exit 1",
            "password_command (echo) failed, exit code 1: oops: [removed]",
            id="stderr that repeats stdout",
        ),
        pytest.param(
            "printf 'a\\033[31mred\\nline\\007' >&2; exit 1",
            "password_command (printf) failed, exit code 1: a [31mred line",
            id="control characters",
        ),
        pytest.param(
            "kill -KILL $$", "password_command (kill) failed, killed by SIGKILL", id="signal"
        ),
        pytest.param("true", "password_command (true) printed nothing", id="nothing"),
        pytest.param(
            "echo; echo 'not logged in' >&2",
            "password_command (echo) printed nothing: not logged in",
            id="only a newline",
        ),
        pytest.param(
            "printf 'hunter2\\377'",
            "password_command (printf) printed what is not UTF-8 text",
            id="not text",
        ),
        pytest.param(
            "printf %065537d 0", "password_command (printf) printed more than 64 KiB", id="too much"
        ),
        pytest.param(
            "yes hunter2", "password_command (yes) printed more than 64 KiB", id="without end"
        ),
        pytest.param(
            ("/nowhere/get-password", "hunter2"),
            "password_command (/nowhere/get-password) can't be started: No such file or directory",
            id="no such program",
        ),
        pytest.param(
            ("echo", "hunter2\0"),
            "password_command (echo) can't be started: it holds a NUL character",
            id="a NUL in an argument",
        ),
        pytest.param(
            "TOKEN=hunter2 sh -c 'exit 1'",
            "password_command (sh) failed, exit code 1",
            id="an assignment is not shown",
        ),
        pytest.param(
            "TOKEN='a hunter2' sh -c 'exit 1'",
            "password_command (sh) failed, exit code 1",
            id="nor one with blanks",
        ),
        pytest.param(
            "(echo hunter2; exit 1)",
            "password_command (...) failed, exit code 1",
            id="nor what is no program",
        ),
    ],
)
async def test_a_failing_command_says_why_and_shows_no_secret(
    command: str | tuple[str, ...], message: str
) -> None:
    with pytest.raises(CredentialError) as caught:
        await provider_of(command).get()
    assert str(caught.value) == message


async def test_long_stderr_is_cut_to_its_end() -> None:
    with pytest.raises(CredentialError) as caught:
        await provider_of("seq 100000 >&2; echo the end >&2; exit 1").get()
    assert str(caught.value).endswith("99999 100000 the end")
    assert len(str(caught.value)) < 1100


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again until it holds; fails after ten seconds."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come to hold")


def lines_in(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def assert_gone(pids: list[int]) -> None:
    await until(lambda: not any(is_alive(pid) for pid in pids))


async def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    command = f"sleep 1000 & echo $$ $! >{file}; echo hunter2; echo waiting >&2; wait"
    started = time.monotonic()
    with pytest.raises(CredentialError) as caught:
        await provider_of(command, timeout=timedelta(seconds=1)).get()
    assert time.monotonic() - started < 10
    message = "password_command (sleep) took longer than 1 s and was killed: waiting"
    assert str(caught.value) == message
    assert caught.value.hint == "`password_timeout` of the account says how long it may take"
    await assert_gone([int(pid) for pid in file.read_text().split()])


async def test_a_child_that_keeps_the_output_open_is_killed_at_the_time_out(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    command = f"sleep 1000 & echo $! >{file}; echo hunter2"
    with pytest.raises(CredentialError, match="took longer than 1 s"):
        await provider_of(command, timeout=timedelta(seconds=1)).get()
    await assert_gone([int(file.read_text())])


async def test_a_child_that_left_the_group_does_not_hold_us_up(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    command = f"setsid sh -c 'echo $$ >{file}; exec sleep 1000' & wait"
    started = time.monotonic()
    with pytest.raises(CredentialError, match="took longer than 1 s"):
        await provider_of(command, timeout=timedelta(seconds=1)).get()
    assert time.monotonic() - started < 10
    os.kill(int(file.read_text()), 9)


async def test_a_canceled_command_is_killed_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    command = f"sleep 1000 & echo $$ $! >{file}; wait"
    task = asyncio.create_task(provider_of(command).get())
    await until(lambda: bool(lines_in(file)))
    pids = [int(pid) for pid in file.read_text().split()]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_gone(pids)


async def test_a_command_canceled_at_its_start_leaves_no_children_either(tmp_path: Path) -> None:
    """The event loop was busy while the program started; then it learns of both at once."""
    file = tmp_path / "pids"
    task = asyncio.create_task(provider_of(f"sleep 1000 & echo $$ $! >{file}; wait").get())
    while not lines_in(file):
        await asyncio.sleep(0)
        time.sleep(0.01)  # noqa: ASYNC251 - nothing else may have a turn
    pids = [int(pid) for pid in file.read_text().split()]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_gone(pids)


async def test_the_answer_is_used_until_its_time_is_over(tmp_path: Path) -> None:
    clock = Clock()
    source = provider_of(counting(tmp_path), clock=clock, ttl=timedelta(hours=6))
    assert await source.get() == Credential("AWS", "password-1")
    clock.now += 6 * 3600 - 1
    assert await source.get() == Credential("AWS", "password-1")
    clock.now += 1
    assert await source.get() == Credential("AWS", "password-2")


async def test_an_answer_from_the_future_is_not_used(tmp_path: Path) -> None:
    clock = Clock()
    source = provider_of(counting(tmp_path), clock=clock)
    await source.get()
    clock.now -= 86400
    assert await source.get() == Credential("AWS", "password-2")


async def test_many_who_wait_share_one_run(tmp_path: Path) -> None:
    source = provider_of(counting(tmp_path, "sleep 0.2; echo password-$n"))
    found = await asyncio.gather(*(source.get() for _ in range(20)))
    assert set(found) == {Credential("AWS", "password-1")}


async def test_many_who_wait_share_one_failure(tmp_path: Path) -> None:
    source = provider_of(counting(tmp_path, "sleep 0.2; exit 1"))
    found = await asyncio.gather(*(source.get() for _ in range(20)), return_exceptions=True)
    assert [str(error) for error in found] == ["password_command (echo) failed, exit code 1"] * 20
    assert runs(tmp_path) == 1


async def test_when_the_first_who_waits_is_canceled_the_next_one_runs_it(tmp_path: Path) -> None:
    source = provider_of(counting(tmp_path, "[ $n = 1 ] && sleep 1000; echo password-$n"))
    first = asyncio.create_task(source.get())
    await until(lambda: bool(lines_in(tmp_path / "runs")))
    second = asyncio.create_task(source.get())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == Credential("AWS", "password-2")


async def test_a_failure_is_not_tried_again_for_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    source = provider_of(counting(tmp_path, "[ $n = 2 ] && echo password"), clock=clock)
    for _ in range(3):
        with pytest.raises(CredentialError, match="exit code 1"):
            await source.get()
        clock.now += 19
    assert runs(tmp_path) == 1
    clock.now += 3
    assert await source.get() == Credential("AWS", "password")


async def test_a_refused_password_runs_the_command_once(tmp_path: Path) -> None:
    clock = Clock()
    source = provider_of(counting(tmp_path), clock=clock)
    first = await source.get()
    second = await source.renew(first)
    assert second == Credential("AWS", "password-2")
    assert await source.get() == second


async def test_many_refusals_of_one_password_run_the_command_once(tmp_path: Path) -> None:
    source = provider_of(counting(tmp_path))
    first = await source.get()
    found = await asyncio.gather(*(source.renew(first) for _ in range(10)))
    assert set(found) == {Credential("AWS", "password-2")}
    assert runs(tmp_path) == 2


async def test_after_a_refusal_the_command_runs_at_most_once_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    source = provider_of(counting(tmp_path), clock=clock)
    second = await source.renew(await source.get())
    clock.now += 59
    assert await source.renew(second) == second
    clock.now += 1
    assert await source.renew(second) == Credential("AWS", "password-3")


async def test_the_last_good_password_outlives_a_failing_run(tmp_path: Path) -> None:
    clock = Clock()
    command = counting(tmp_path, "[ $n = 1 ] && echo password-1")
    source = provider_of(command, clock=clock, ttl=timedelta(hours=1))
    first = await source.get()
    with pytest.raises(CredentialError, match="exit code 1"):
        await source.renew(first)
    with pytest.raises(CredentialError, match="exit code 1"):
        await source.renew(first)
    assert runs(tmp_path) == 2
    assert await source.get() == first
    clock.now += 3600
    with pytest.raises(CredentialError, match="exit code 1"):
        await source.get()


async def test_the_command_sees_the_environment_without_our_systemd_socket() -> None:
    source = CredentialSource(password_command='echo "$HELLO-${NOTIFY_SOCKET:-none}"')
    environment = {**os.environ, "HELLO": "world", "NOTIFY_SOCKET": "/run/systemd/notify"}
    made = provider(source, REGISTRY, clock=Clock(), environment=environment)
    assert await made.get() == Credential(None, "world-none")

"""`command`: what it is given, what comes of it, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.stages.conftest import ContextMaker, FakeImage
from watcher.core.pipeline import Done, Failed, Json, Retry
from watcher.errors import RenderError
from watcher.stages.base import LOG_LIMIT, StageContext
from watcher.stages.command import CommandStage


async def run(options: Json, context: StageContext, *, grace: float = 0.3) -> object:
    return await CommandStage(grace=timedelta(seconds=grace)).run(options, context)


async def eventually(holds: Callable[[], bool]) -> None:
    """Look until it holds, for ten seconds: other processes can't be waited for otherwise."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["echo", "a  b", "${trigger.tag}"], "a  b 1.10"),
        ("echo a  b ${trigger.tag}", "a b 1.10"),
        ("echo $DOCKER_TAG $${DOCKER_TAG}", "1.10 1.10"),
        ("cat < /dev/null; echo $((1 + 1))", "2"),
        ({"run": ["printenv", "STAGE"], "env": {"STAGE": "v${trigger.tag}"}}, "v1.10"),
        ({"run": "pwd", "directory": "/"}, "/"),
        (["echo", "${parameters.replicas | int}", "${[1]}"], "3 [1]"),
    ],
    ids=["list", "shell", "variables", "arithmetic", "env", "directory", "other types"],
)
async def test_its_output_is_kept(options: Json, said: str, make_context: ContextMaker) -> None:
    context = make_context()
    assert await run(options, context) == Done({"exit_code": 0, "stdout": said})
    assert context.log.text == f"{said}\n"


async def test_it_gets_the_event_as_variables(make_context: ContextMaker) -> None:
    program = "import os, json; print(json.dumps({k: v for k, v in os.environ.items()"
    program += " if k.startswith(('WATCHER_', 'DOCKER_'))}))"
    outcome = await run(python(program), make_context(attempt=2))
    assert isinstance(outcome, Done)
    assert json.loads(outcome.outputs["stdout"]) == {
        "WATCHER_EXECUTION_ID": "0123456789abcdef",
        "WATCHER_ATTEMPT": "2",
        "WATCHER_PIPELINE": "deploy-web",
        "WATCHER_STAGE": "step",
        "WATCHER_TRIGGER": "web-release",
        "WATCHER_ACCOUNT": "dockerhub",
        "WATCHER_REGISTRY": "index.docker.io",
        "WATCHER_REPOSITORY": "acme/demoapp",
        "WATCHER_NAMESPACE": "acme",
        "WATCHER_TAG": "1.10",
        "WATCHER_DIGEST": "",
        "WATCHER_PREVIOUS_DIGEST": "",
        "WATCHER_CHANGE": "new",
        "WATCHER_TIME": "2026-03-01T11:59:00Z",
        "WATCHER_USER": "",
        "WATCHER_IMAGE": "index.docker.io/acme/demoapp:1.10",
        "DOCKER_EVENT_OWNER_NAME": "acme",
        "DOCKER_IMAGE": "index.docker.io/acme/demoapp",
        "DOCKER_REPO_NAME": "demoapp",
        "DOCKER_REPO_NAMESPACE": "acme",
        "DOCKER_TAG": "1.10",
    }


async def test_it_gets_the_event_on_stdin(make_context: ContextMaker) -> None:
    outcome = await run(["cat"], make_context())
    assert isinstance(outcome, Done)
    assert json.loads(outcome.outputs["stdout"])["trigger"]["repository"] == "acme/demoapp"


async def test_it_can_not_speak_to_the_service_manager_for_us(
    make_context: ContextMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("MINE", "kept")
    outcome = await run("echo $NOTIFY_SOCKET$MINE", make_context())
    assert outcome == Done({"exit_code": 0, "stdout": "kept"})


async def test_it_does_not_see_the_variables_that_hold_passwords(
    make_context: ContextMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUAY_TOKEN", "secret")
    context = make_context(secret_variables=frozenset({"QUAY_TOKEN"}))
    assert await run("echo ${#QUAY_TOKEN}".replace("${", "$${"), context) == Done(
        {"exit_code": 0, "stdout": "0"}
    )


async def test_the_end_of_a_long_output_is_kept(make_context: ContextMaker) -> None:
    context = make_context()
    program = "import sys\nfor n in range(40000): print(n)\nprint('\u00fc' * 10, file=sys.stderr)"
    outcome = await run(python(program), context)
    assert isinstance(outcome, Done)
    assert outcome.outputs["stdout"].endswith("39998\n39999")
    assert len(outcome.outputs["stdout"]) <= 4096
    assert LOG_LIMIT - 4 <= len(context.log.text.encode()) <= LOG_LIMIT
    assert "\u00fc" in context.log.text
    assert context.log.written > LOG_LIMIT


async def test_output_is_there_while_it_runs(tmp_path: Path, make_context: ContextMaker) -> None:
    context, gate = make_context(), tmp_path / "gate"
    os.mkfifo(gate)
    task = asyncio.create_task(run(f"echo early; read line < {gate}; echo late", context))
    async with asyncio.timeout(10):
        await eventually(lambda: context.log.text == "early\n")
        await asyncio.to_thread(gate.write_text, "go\n")
        await task
    assert context.log.text == "early\nlate\n"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("exit 7", "the command ended with exit code 7"),
        ("kill -KILL $$", "the command was killed by SIGKILL"),
    ],
)
async def test_a_bad_end_may_be_tried_again(
    command: str, reason: str, make_context: ContextMaker
) -> None:
    assert await run(command, make_context()) == Retry(reason)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["no-such-program"], "no-such-program: No such file"),
        (["/"], "Permission denied"),
        ({"run": "true", "directory": "/no/such/place"}, "/no/such/place: No such file"),
        (["echo", "${'%c' % 0}"], "null byte"),
    ],
)
async def test_what_can_not_be_started_fails_for_good(
    options: Json, complaint: str, make_context: ContextMaker
) -> None:
    outcome = await run(options, make_context())
    assert isinstance(outcome, Failed)
    assert complaint in outcome.reason


@pytest.mark.parametrize("value", ["$(touch x)", "a b", "`x`", "a;b", "a'b", "a\nb", '"'])
async def test_a_value_is_never_read_by_the_shell(value: str, make_context: ContextMaker) -> None:
    context = make_context(image=FakeImage(known_labels={"team": value}))
    with pytest.raises(RenderError, match="the shell would interpret"):
        await run("echo ${labels.team}", context)
    as_list = await run(["printf", "%s", "${labels.team}"], context)
    assert as_list == Done({"exit_code": 0, "stdout": value})
    by_env = await run({"run": 'printf %s "$TEAM"', "env": {"TEAM": "${labels.team}"}}, context)
    assert by_env == as_list


async def test_labels_can_not_lead_its_directory_upwards(
    tmp_path: Path, make_context: ContextMaker
) -> None:
    context = make_context(image=FakeImage(known_labels={"dot": "."}))
    options = {"run": "pwd", "directory": f"{tmp_path}/.${{labels.dot}}"}
    with pytest.raises(RenderError, match="leads upwards"):
        await run(options, context)


def has_ended(process: int) -> bool:
    """Whether the process is gone, or only waits to be reaped."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
class TestNothingStaysBehind:
    @pytest.mark.parametrize(
        "command",
        [
            pytest.param("sleep 60 & echo $! $$; wait", id="obedient"),
            pytest.param("trap '' TERM; sleep 60 & echo $! $$; wait; wait", id="deaf"),
        ],
    )
    async def test_when_it_is_cancelled(self, command: str, make_context: ContextMaker) -> None:
        context = make_context()
        task = asyncio.create_task(run(command, context))
        async with asyncio.timeout(10):
            await eventually(lambda: context.log.text.endswith("\n"))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        for process in context.log.text.split():
            await eventually(partial(has_ended, int(process)))

    async def test_when_it_ends_and_leaves_a_child_with_its_output(
        self, make_context: ContextMaker
    ) -> None:
        async with asyncio.timeout(10):
            outcome = await run("sleep 60 & echo $!", make_context())
        assert isinstance(outcome, Done)
        await eventually(lambda: has_ended(int(outcome.outputs["stdout"])))

    async def test_it_may_end_cleanly_on_sigterm(
        self, tmp_path: Path, make_context: ContextMaker
    ) -> None:
        context = make_context()
        command = f"trap 'echo bye > {tmp_path}/bye; exit 0' TERM; echo ready; sleep 60 & wait"
        task = asyncio.create_task(run(command, context, grace=60))
        async with asyncio.timeout(10):
            await eventually(lambda: context.log.text != "")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (tmp_path / "bye").read_text() == "bye\n"

    async def test_no_file_stays_open(self, make_context: ContextMaker) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for options in ("true", ["no-such-program"], "exit 1"):
            await run(options, make_context())
        await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) <= before

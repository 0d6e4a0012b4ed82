"""`command`: a program of the operator's, with the event in its environment and on its stdin."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, ClassVar

from watcher.config.fields import Either, Field, Kind, ListOf, MapOf, PathValue, Section, Text
from watcher.core.pipeline import Done, Failed, Json, Retry, StageOutcome
from watcher.stages import guards
from watcher.stages.base import StageContext
from watcher.stages.event import event, variables
from watcher.telemetry import systemd

OUTPUT_LIMIT = 4096
_RUN = Either(ListOf(Text(template=True), minimum=1), Text(template=True))


_LONG = Section(
    {
        "run": Field(
            _RUN,
            required=True,
            doc="A list (program and arguments), or one text for the shell.",
            example=["deploy.sh", "${trigger.tag}"],
        ),
        "env": Field(
            MapOf(Text(template=True, empty=True), keys="[A-Za-z_][A-Za-z0-9_]*"),
            doc="Further environment variables.",
            example={"STAGE": "production"},
        ),
        "directory": Field(
            PathValue(template=True), doc="Where it runs; default: where the watcher runs."
        ),
    },
    doc="Runs a program, with the event as WATCHER_* and DOCKER_* variables and as JSON on stdin.",
)


@dataclass(frozen=True, slots=True)
class CommandStage:
    """Runs in a process group of its own. When it is stopped it gets SIGTERM and, after `grace`,
    SIGKILL; what it left running when it ends is killed too. A non-zero exit is tried again when
    the stage has further attempts."""

    type: ClassVar[str] = "command"
    has_dry_run: ClassVar[bool] = False
    options: ClassVar[Kind] = Either(_RUN, _LONG)

    grace: timedelta = timedelta(seconds=5)

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        from watcher.stages.process import run_process

        wanted = await _rendered(options, context)
        with _stdin(context) as stdin:
            try:
                ended = await run_process(
                    _arguments(wanted["run"]),
                    directory=wanted.get("directory"),
                    environment=_environment(wanted.get("env", {}), context),
                    stdin=stdin,
                    log=context.log,
                    keep=OUTPUT_LIMIT,
                    grace=self.grace,
                )
            except (OSError, ValueError) as error:
                return Failed(f"the command can't be started: {_words(error)}")
        if ended.code != 0:
            return Retry(f"the command {ended.how}")
        return Done({"exit_code": 0, "stdout": ended.stdout.strip()})


async def _rendered(options: Json, context: StageContext) -> dict[str, Json]:
    """The long form, each part under the guard that its place needs."""
    wanted = options if isinstance(options, dict) else {"run": options}
    shell = guards.for_shell if isinstance(wanted["run"], str) else None
    rendered = {"run": await context.rendered(wanted["run"], guard=shell)}
    if "env" in wanted:
        rendered["env"] = await context.rendered(wanted["env"])
    if "directory" in wanted:
        directory = await context.rendered(wanted["directory"], guard=guards.for_path)
        rendered["directory"] = guards.whole_path(directory)
    return rendered


def _arguments(run: Json) -> list[str]:
    return [_word(word) for word in run] if isinstance(run, list) else ["/bin/sh", "-c", _word(run)]


def _environment(given: Mapping[str, Json], context: StageContext) -> dict[str, str]:
    hidden = systemd.OURS | {systemd.CREDENTIALS} | context.secret_variables
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    own = {name: _word(value) for name, value in given.items()}
    return {**inherited, **own, **variables(context)}


def _word(value: Json) -> str:
    """A value as an argument or variable; an expression may have given another type than text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@contextmanager
def _stdin(context: StageContext) -> Iterator[IO[bytes]]:
    """A file, not a pipe: a command that does not read it can't block or break anything."""
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(event(context), ensure_ascii=False).encode())
        file.seek(0)
        yield file


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)

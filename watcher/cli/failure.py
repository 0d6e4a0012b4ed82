"""An error as people and scripts see it: one line with a hint on stderr, the exit code of SPEC 8,
and with `--json` an object on stdout. A programming error keeps its traceback.
"""

from __future__ import annotations

import traceback

import click

from watcher import errors
from watcher.cli import output

OK, FAILED, USAGE, LOCKED = 0, 1, 2, 3
INTERRUPTED = 130


def exit_code(error: BaseException) -> int:
    """1: something failed; 2: bad config or usage; 3: another instance holds the state file."""
    match error:
        case errors.StateLocked():
            return LOCKED
        case errors.ConfigError() | errors.ListenError():
            return USAGE
        case errors.UsageError() | click.UsageError():
            return USAGE
        case click.Abort() | KeyboardInterrupt():
            return INTERRUPTED
        case _:
            return FAILED


def report(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong and give the exit code."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case BrokenPipeError():
            return output.close_quietly()
        case errors.ConfigError():
            _report_problems(error, as_json)
        case errors.WatcherError():
            _report_one(str(error), error.hint, as_json)
        case click.Abort() | KeyboardInterrupt():
            _report_one("interrupted", None, as_json)
        case click.ClickException():
            _report_one(error.format_message(), _usage_hint(error), as_json)
        case OSError():
            _report_one(_system_message(error), None, as_json)
        case _:
            traceback.print_exception(error)
            _report_one(f"this is a fault in watcher: {error!r}", "please report it", as_json)
    return exit_code(error)


def _report_one(message: str, hint: str | None, as_json: bool) -> None:
    first, *more = message.splitlines() or [""]
    output.complain(f"error: {first}")
    for line in more:
        output.complain(f"  {line}")
    if hint:
        output.complain(f"hint: {hint}")
    if as_json:
        output.print_json({"error": output.clean(message), "hint": hint})


def _report_problems(error: errors.ConfigError, as_json: bool) -> None:
    for problem in error.problems:
        output.complain(f"error: {problem}")
    if as_json:
        output.print_json(
            {
                "error": "the config can't be used",
                "hint": None,
                "problems": [output.problem_json(problem) for problem in error.problems],
            }
        )


def _usage_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"try '{context.command_path} --help'" if context is not None else None


def _system_message(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{error.strerror or error}"


def warn(message: str, hint: str | None = None) -> None:
    """A line on stderr that changes no exit code."""
    output.complain(f"warning: {message}", hint)

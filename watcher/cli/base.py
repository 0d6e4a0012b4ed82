"""What all commands share: the global options, before the command as well as after it, the lazily
loading group, and the one place where an error becomes a line on stderr and an exit code (SPEC 8).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from watcher.cli.failure import report

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("console", "json")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Invocation:
    """The global options of one call, and its clock."""

    config: Path | None = None
    json: bool = False
    log_level: str = "info"
    log_format: str = "console"
    log_file: Path | None = None
    now: Callable[[], datetime] = field(default=_now)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and value is not False:
        setattr(context.find_object(Invocation), str(parameter.name), value)


def _global_options() -> list[click.Parameter]:
    shared: dict[str, Any] = {"expose_value": False, "is_eager": True, "callback": _remember}
    return [
        click.Option(
            ["-c", "--config"],
            type=click.Path(path_type=Path),
            help="Config file or directory [default: $WATCHER_CONFIG, ./config.yaml, "
            "/etc/registry-watcher/config.yaml].",
            **shared,
        ),
        click.Option(
            ["--json"], is_flag=True, help="Print one JSON value on stdout, nothing else.", **shared
        ),
        click.Option(
            ["--log-level"], type=click.Choice(LOG_LEVELS), help="How much is logged.", **shared
        ),
        click.Option(
            ["--log-format"], type=click.Choice(LOG_FORMATS), help="Shape of log lines.", **shared
        ),
        click.Option(
            ["--log-file"],
            type=click.Path(path_type=Path),
            help="Where the log goes [default: stderr]; a rotated file is opened anew.",
            **shared,
        ),
    ]


class Command(click.Command):
    """A command that takes the global options after its name too."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.extend(_global_options())


class Group(click.Group):
    """A group of such commands, which takes the global options itself too."""

    command_class = Command

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.extend(_global_options())


class LazyGroup(Group):
    """The root: `table` names for each command the module, and the attribute in it."""

    def __init__(self, *arguments: Any, table: Mapping[str, str], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self.table.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        found = getattr(import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name in self.table or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches

        near = get_close_matches(name, self.table, n=1)
        advice = f" Did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(f"No such command {name!r}.{advice}", ctx)

    def main(self, args: Sequence[str] | None = None, **settings: Any) -> Any:  # type: ignore[override]
        """Run, report what went wrong, and exit with the code of SPEC 8."""
        words = list(sys.argv[1:] if args is None else args)
        settings.setdefault("obj", Invocation())
        settings["standalone_mode"] = False
        try:
            code = super().main(args=words, **settings)
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            code = report(error, as_json=_wants_json(words))
        sys.exit(code if isinstance(code, int) else 0)


def _wants_json(words: Sequence[str]) -> bool:
    options = words[: words.index("--")] if "--" in words else words
    return "--json" in options


def command(name: str, **settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A top-level command with the global options."""
    return click.command(name, cls=Command, **settings)


def group(name: str, **settings: Any) -> Callable[[Callable[..., Any]], Group]:
    """A top-level group of commands with the global options."""
    return click.group(name, cls=Group, **settings)


pass_invocation = click.make_pass_decorator(Invocation)

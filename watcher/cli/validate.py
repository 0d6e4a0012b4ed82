"""`watcher validate`: the config's errors, and what is legal but looks like a mistake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.failure import FAILED, OK, USAGE
from watcher.cli.session import load_config
from watcher.cli.templates import check_expressions, manifest_findings
from watcher.errors import ConfigError

if TYPE_CHECKING:
    from watcher.cli.halyard import Finding
    from watcher.cli.kinds import Kind
    from watcher.config.load import Config


@command("validate", short_help="Check the config; --online asks registries and clusters.")
@click.option(
    "--online",
    is_flag=True,
    help="Log in, list each repository, match the triggers; ask clusters for the rights needed.",
)
@pass_invocation
def validate(invocation: Invocation, online: bool) -> int:
    """Check the config, and warn of what most likely is a mistake.

    Exit codes: 0 usable (there may be warnings), 1 a registry or a cluster refused or failed
    (--online), 2 the config can't be used.
    """
    try:
        config = load_config(invocation)
        check_expressions(config)
    except ConfigError as error:
        if not invocation.json:
            raise
        problems = [output.problem_json(problem) for problem in error.problems]
        output.print_json({"ok": False, "problems": problems, "findings": []})
        return USAGE
    findings, kinds = _findings(config, invocation.now, online=online)
    failed = any(finding.severity == "error" for finding in findings)
    if invocation.json:
        shape = {
            "ok": not failed,
            "problems": [],
            "findings": [finding.to_json() for finding in findings],
        }
        if online:
            shape["registries"] = [kind.to_json() for kind in kinds]
        output.print_json(shape)
    else:
        _print(config, findings, kinds)
    return FAILED if failed else OK


def _findings(
    config: Config, now: Callable[[], datetime], *, online: bool
) -> tuple[list[Finding], list[Kind]]:
    from watcher.cli.halyard import offline

    findings = [*offline(config), *manifest_findings(config, now, samples=not online)]
    if not online:
        return findings, []
    from watcher.cli.online import check
    from watcher.engine.repositories import RepositoryList

    total = sum(len(RepositoryList(a, config.triggers).names) for a in config.accounts)
    with output.progress("asking registries and clusters", total) as meter:
        report = asyncio.run(check(config, meter, now))
    return findings + report.findings, report.kinds


def _print(config: Config, findings: list[Finding], kinds: list[Kind]) -> None:
    for kind in kinds:
        output.say(f"info: account {kind.account}: {kind}")
        for note in kind.notes:
            output.say(f"  {note}")
    for finding in findings:
        place = "/".join(filter(None, (finding.account, finding.repository)))
        named = [("account", place), ("cluster", finding.cluster), ("trigger", finding.trigger)]
        where = ", ".join(f"{kind} {name}" for kind, name in named if name)
        prefix = f"{where}: " if where else ""
        output.say_lines(f"{finding.severity.value}: {prefix}{finding.message}", indent="  ")
        if finding.hint:
            output.say(f"  hint: {finding.hint}")
    output.say(
        f"{config.path}: {output.count(len(config.accounts), 'account')}, "
        f"{output.count(len(config.triggers), 'trigger')}, "
        f"{output.count(len(config.pipelines), 'pipeline')}; {_sum(findings)}"
    )


def _sum(findings: list[Finding]) -> str:
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    counts = [(errors, "error"), (warnings, "warning")]
    return ", ".join(output.count(n, noun) for n, noun in counts if n) or "all well"

"""`watcher run`: the daemon, or with `--once` one complete pass. Its start-up is measured: nothing
is imported here that a pass with nothing new does not need.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.failure import FAILED, OK, warn
from watcher.cli.session import load_config, open_log
from watcher.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from watcher.config.load import Config
    from watcher.daemon.once import PassReport
    from watcher.telemetry.log import Log


@command("run", short_help="Watch: as a daemon, or --once.")
@click.option("--once", is_flag=True, help="One complete pass, then exit (for cron).")
@click.option("--dry-run", is_flag=True, help="One pass that shows what would fire.")
@pass_invocation
def run(invocation: Invocation, once: bool, dry_run: bool) -> int:
    """Watch the registries and run the pipelines.

    --once polls every repository once and runs the executions to their end; it says nothing when
    nothing was new and nobody looks. --dry-run is such a pass that changes nothing. Exit codes:
    0 all well, 1 a poll or an execution failed, 2 bad config, 3 another instance runs.
    """
    if once or dry_run:
        return _once(invocation, dry_run=dry_run)
    if invocation.json:
        raise UsageError(
            "--json needs --once: the daemon has no result", hint="--log-format json for its log"
        )
    from watcher.cli.templates import check_expressions
    from watcher.daemon.service import run as serve

    log = open_log(invocation)

    def load() -> Config:
        config = load_config(invocation)
        check_expressions(config)
        _log_unheeded(config, log)
        return config

    return serve(
        load,
        log=log,
        clock=time.time,
        environment=os.environ,
        command="watcher run",
    )


def _once(invocation: Invocation, *, dry_run: bool) -> int:
    from watcher.cli.passes import one_pass
    from watcher.engine.poll_outcome import Purpose

    purpose = Purpose.DRY_RUN if dry_run else Purpose.DETECT
    config = load_config(invocation)
    report = one_pass(invocation, config, purpose=purpose, command="watcher run --once")
    _name_parked(report, config, invocation.now())
    is_said = _is_news(report) or dry_run or output.is_watched()
    if is_said:
        _warn_of_unheeded(config)
    if invocation.json:
        from watcher.cli.report import report_json

        output.print_json(report_json(report, config, dry_run=dry_run))
    elif is_said:
        from watcher.cli.report import print_report

        print_report(report, config, dry_run=dry_run)
    return OK if report.ok else FAILED


def _name_parked(report: PassReport, config: Config, now: datetime) -> None:
    polls = [poll for poll in report.polls if poll.result == "parked"]
    if polls:
        from watcher.cli.parked import tell_parked

        tell_parked(polls, config, now)


def _warn_of_unheeded(config: Config) -> None:
    """Where a pass has something to say: cron mails it."""
    from watcher.cli.unheeded import unheeded

    for key in unheeded(config.accounts):
        warn(f"account {key.account.name}: {key.message}", key.hint)


def _log_unheeded(config: Config, log: Log) -> None:
    """At the start of the daemon and with each reload, which must not wait for stderr."""
    from watcher.cli.unheeded import unheeded
    from watcher.telemetry.events import Event

    for key in unheeded(config.accounts):
        name = key.account.name
        log.warning(Event.CONFIG_UNHEEDED, account=name, message=key.message, hint=key.hint)


def _is_news(report: PassReport) -> bool:
    return (
        not report.ok
        or bool(report.executions)
        or any(poll.result != "unchanged" for poll in report.polls)
    )

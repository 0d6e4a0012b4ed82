"""What one pass found: for people as lines, for scripts as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watcher.cli import output
from watcher.cli.session import read_store
from watcher.config.lookup import find_account
from watcher.core.times import rfc3339
from watcher.core.verdict import Verdict
from watcher.views.executions import execution_json

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.core.pipeline import Execution
    from watcher.core.verdict import Decision
    from watcher.daemon.once import PassReport
    from watcher.engine.poll_outcome import PollOutcome
    from watcher.errors import WatcherError

WORTH_A_LINE = frozenset(Verdict) - {Verdict.NO_MATCH, Verdict.UNWANTED_CHANGE}


def report_json(report: PassReport, config: Config, *, dry_run: bool) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "dry_run": dry_run,
        "polls": [poll_json(poll) for poll in report.polls],
        "accounts": [
            {"account": name, "error": str(error), "hint": _catalog_hint(config, name, error)}
            for name, error in report.account_errors.items()
        ],
        "executions": [execution_json(e) for e in _executions(report, config)],
    }


def _catalog_hint(config: Config, name: str, error: WatcherError) -> str | None:
    from watcher.registry.refusals import catalog_hint

    return catalog_hint(find_account(config, name), error)


def poll_json(poll: PollOutcome) -> dict[str, Any]:
    return {
        "account": poll.account,
        "repository": poll.repository,
        "result": poll.result.value,
        "tags": poll.tags,
        "changes": [
            {"tag": change.tag, "change": change.kind.value, "digest": change.digest}
            for change in poll.changes
        ],
        "decisions": [decision_json(decision) for decision in poll.decisions],
        "executions": list(poll.executions),
        "error": str(poll.error) if poll.error else None,
        "hint": poll.hint,
        "parked_until": rfc3339(poll.until),
    }


def decision_json(decision: Decision) -> dict[str, Any]:
    return {
        "trigger": decision.trigger,
        "tag": decision.change.tag,
        "change": decision.change.kind.value,
        "outcome": decision.verdict.value,
        "reason": decision.reason,
    }


def print_report(report: PassReport, config: Config, *, dry_run: bool) -> None:
    """A line for each repository that has news, each run, and a sum. What is parked was told
    already; a hint is given after the first error that it is for."""
    given = set[str | None]()

    def advise(hint: str | None) -> None:
        if hint is not None and hint not in given:
            output.say(f"  hint: {hint}")
        given.add(hint)

    for poll in report.polls:
        if poll.result != "parked":
            _print_poll(poll, dry_run=dry_run)
            advise(poll.hint)
    for name, error in report.account_errors.items():
        output.say(f"{name}: {error}")
        advise(_catalog_hint(config, name, error))
    for execution in _executions(report, config):
        print_execution(execution)
    output.say(_sum(report, dry_run=dry_run))


def print_execution(execution: Execution) -> None:
    image = f"{execution.repository}:{execution.tag}" if execution.repository else ""
    wrong = (s for s in execution.stages if s.error and s.status != "SKIPPED")
    failed = next((f" ({s.name}: {s.error})" for s in wrong), "")
    if any(stage.undone is not None for stage in execution.stages):
        failed = f" ({execution.reason})"
    output.say_lines(
        f"execution {execution.id}  {execution.status.value}  "
        f"{execution.pipeline.name}  {image}{failed}",
        indent="  ",
    )


def _print_poll(poll: PollOutcome, *, dry_run: bool) -> None:
    place = f"{poll.account}/{poll.repository}"
    if poll.error is not None:
        output.say(f"{place}: {poll.result.value}: {poll.error}")
    elif poll.result == "baseline":
        verb = "would be recorded" if dry_run else "recorded"
        output.say(f"{place}: first sight, {output.count(poll.tags, 'tag')} {verb} as the baseline")
    elif poll.result == "quarantined":
        output.say(f"{place}: in quarantine: the registry lists far fewer tags than are known")
    for change in poll.changes:
        output.say(f"{place}:{change.tag}  {change.kind.value}")
    for decision in poll.decisions:
        if decision.verdict in WORTH_A_LINE:
            output.say(f"  {_verb(decision, dry_run=dry_run)}")


def _verb(decision: Decision, *, dry_run: bool) -> str:
    words = "would fire" if dry_run and decision.verdict is Verdict.FIRED else decision.verdict
    return f"{words}: {decision.trigger} for {decision.change.tag}: {decision.reason}"


def _executions(report: PassReport, config: Config) -> list[Execution]:
    if not report.executions:
        return []
    with read_store(config) as store:
        found = [store.execution(i) for i in report.executions] if store is not None else []
    return [execution for execution in found if execution is not None]


def _sum(report: PassReport, *, dry_run: bool) -> str:
    changes = sum(len(poll.changes) for poll in report.polls)
    failed = sum(poll.result == "failed" for poll in report.polls)
    parked = sum(poll.result == "parked" for poll in report.polls)
    parts = [f"{output.count(len(report.polls) - parked, 'repository')} checked"]
    parts.append(output.count(changes, "change") if changes else "nothing new")
    if dry_run:
        fired = sum(d.verdict is Verdict.FIRED for p in report.polls for d in p.decisions)
        parts.append(f"{fired} would fire; nothing was changed")
    elif report.executions:
        parts.append(output.count(len(report.executions), "execution"))
    if parked:
        parts.append(f"{parked} parked")
    if failed:
        parts.append(f"{failed} failed")
    return ", ".join(parts)

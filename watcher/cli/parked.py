"""What a pass left out because a registry asked for patience: once, host by host, on stderr.
Loaded only where something is parked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from watcher.cli import output

if TYPE_CHECKING:
    from watcher.config.load import Config
    from watcher.engine.poll_outcome import PollOutcome

NAMED = 10
"""Repositories of one host that are named."""

_TOGETHER = 1.0  # seconds; until moments so close to each other all is parked for one reason


def tell_parked(polls: Sequence[PollOutcome], config: Config, now: datetime) -> None:
    """Name what was not polled, until when, and what was answered where that was just now."""
    hosts = {account.name: account.registry.name for account in config.accounts}
    for host, group in _groups(polls, hosts):
        names = sorted(f"{poll.account}/{poll.repository}" for poll in group)
        until = f"parked until {output.moment(group[-1].until, now)}{_answer(group)}"
        if len(names) == 1:
            output.complain(f"skipped {names[0]}: {until}")
            continue
        more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
        title = f"skipped {output.count(len(names), 'repository')} of {host}: {until}"
        output.complain("\n".join([title, *names[:NAMED], *more]))


def _groups(
    polls: Sequence[PollOutcome], hosts: dict[str, str]
) -> Iterator[tuple[str, list[PollOutcome]]]:
    """By host, and where its accounts are parked apart from each other, by the moment."""
    by_host: dict[str, list[PollOutcome]] = {}
    for poll in polls:
        by_host.setdefault(hosts[poll.account], []).append(poll)
    for host, all_of_it in by_host.items():
        group: list[PollOutcome] = []
        for poll in sorted(all_of_it, key=_until):
            if group and _until(poll) - _until(group[-1]) > _TOGETHER:
                yield host, group
                group = []
            group.append(poll)
        yield host, group


def _until(poll: PollOutcome) -> float:
    return poll.until or 0.0


def _answer(group: Sequence[PollOutcome]) -> str:
    """What the registry said in this pass; what it had said before is told by that pass."""
    said = (poll.error for poll in group if getattr(poll.error, "status", None) is not None)
    error = next(said, None)
    return f": {error}" if error is not None else ""

"""What a command goes by while the config on disk is refused: the state file of a process that
read the same config when it was right, and goes on with that (SPEC 8).

Only such a process can vouch for the place of its state file, by the lock that it holds. Another
file, which a half-read config may name, is never opened. A pass does not load this.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watcher.cli.failure import warn
from watcher.cli.session import open_store, place_of_config
from watcher.errors import ConfigError, StateError, StateLocked, UnknownName

if TYPE_CHECKING:
    from watcher.cli.base import Invocation
    from watcher.config.load import Whereabouts
    from watcher.store.lock import Holder

PATIENCE_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StateInUse:
    """The state file, the process that holds it, and why the config on disk is refused."""

    state: Path
    held_by: Holder
    error: ConfigError

    def ask(self, kind: str, selection: str | None = None) -> list[dict[str, Any]]:
        """What that process knows by the config that it has, of ACCOUNT[/REPOSITORY] or of all.
        Raises ConfigError where it does not answer: a single pass takes no requests."""
        from watcher.cli.asking import ask

        account, _, repository = (selection or "").partition("/")
        try:
            answer = ask(
                self,
                kind,
                {"account": account or None, "repository": repository or None},
                seconds=PATIENCE_SECONDS,
                held=f"{self.state} is held by {self.held_by}",
                otherwise=self._unanswered,
            )
        except StateLocked as silent:
            warn(silent.message, silent.hint)
            raise self.error from silent
        rows: list[dict[str, Any]] = answer["rows"]
        return rows

    def select(self, text: str | None) -> tuple[str | None, str | None]:
        """ACCOUNT, ACCOUNT/REPOSITORY or nothing, as account and repository. Raises UnknownName
        for what the state file has nothing of."""
        if not text:
            return None, None
        with open_store(self) as store:
            known = {(each.account, each.repository) for each in store.repository_statuses()}
        account, _, repository = text.partition("/")
        if all(account != name or repository not in ("", place) for name, place in known):
            raise UnknownName(
                f"the state file has nothing of {text!r}",
                hint="`watcher status` shows how accounts and repositories are spelled",
            )
        return account, repository or None

    def _unanswered(self) -> dict[str, Any]:
        raise self.error


def state_in_use(invocation: Invocation, error: ConfigError) -> StateInUse | None:
    """The one state file that the refused config may mean, and that a process holds which read
    this config; None where there is none, or several. What is found is said on stderr."""
    found = vouched(_place(invocation))
    if len(found) != 1 or not found[0][0].exists():
        return None
    state, held_by = found[0]
    first, *more = error.problems
    others = f" (and {len(more)} more)" if more else ""
    warn(
        f"the config on disk can't be used: {first}{others}",
        f"{held_by} goes on with what it has read, and with {state}, which is used here; "
        "`watcher validate` lists what is wrong",
    )
    return StateInUse(state=state, held_by=held_by, error=error)


def vouched(place: Whereabouts | None) -> list[tuple[Path, Holder]]:
    """Of the files that may be the state file those that a process holds which read the config."""
    if place is None:
        return []
    held = ((state, _holder(state)) for state in place.states)
    return [(state, by) for state, by in held if by is not None and _read(by, place.config)]


def _place(invocation: Invocation) -> Whereabouts | None:
    from watcher.config.load import whereabouts

    try:
        path = place_of_config(invocation)
        return whereabouts(path, environment=os.environ) if path is not None else None
    except ConfigError:
        return None


def _holder(state: Path) -> Holder | None:
    from watcher.store.lock import holder

    try:
        return holder(state)
    except StateError:
        return None  # a lock that this user may not open vouches for nothing


def _read(held_by: Holder, config: Path) -> bool:
    """Whether the process reads this config, by whatever name. Anything may stand in its place."""
    try:
        return held_by.config is not None and held_by.config.samefile(config)
    except (OSError, ValueError):
        return False

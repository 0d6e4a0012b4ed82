"""What the daemon offers its HTTP side: the other end of `web.port`'s protocols, for one App."""

from __future__ import annotations

from collections.abc import Iterator

from watcher.core.health import Ailment, Complaint, HealthReport, is_overdue
from watcher.core.schedule import interval
from watcher.daemon.app import App


class Desk:
    """Answers what requests ask of this App."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._began = app.clock()

    def health(self) -> HealthReport:
        return HealthReport(ready=self._is_settled(), complaints=tuple(self._overdue()))

    def _is_settled(self) -> bool:
        """Whether each account was answered once, or refused for a reason that is shown."""
        heard = {
            status.account
            for status in self._app.board
            if status.last_check is not None or status.last_error is not None
        }
        return all(
            name in heard or not member.repositories.names
            for name, member in self._app.members.items()
        )

    def _overdue(self) -> Iterator[Complaint]:
        now = self._app.clock()
        for member in self._app.members.values():
            account = member.account
            for repository in member.repositories.names:
                status = self._app.board.get(account.name, repository)
                if is_overdue(
                    status,
                    now=now,
                    since=self._began,
                    interval=interval(account.poll, now),
                    stale_after=account.stale_after,
                ):
                    yield Complaint(
                        ailment=Ailment.STALE,
                        about=f"{account.name}/{repository}",
                        message=status.last_error or "no successful poll for too long",
                    )

"""`watcher health`: whether the daemon fares well, asked from outside and without a shell or curl,
as a container's HEALTHCHECK wants it.

Where the config has `http`, the daemon is asked there; else its lock and its state file tell.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import click

from watcher.cli import output
from watcher.cli.base import Invocation, command, pass_invocation
from watcher.cli.failure import FAILED, OK
from watcher.cli.refused import StateInUse, vouched
from watcher.cli.session import find_state, read_store
from watcher.core.health import BOOKKEEPING, Ailment, Complaint, is_overdue, stale_limit
from watcher.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from watcher.config.load import Config
    from watcher.core.serving import HttpSettings

PATIENCE_SECONDS = 5.0
SILENT_AFTER = BOOKKEEPING * 3
_MAXIMUM_BODY = 1024 * 1024
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


@command("health", short_help="Whether the daemon fares well.")
@click.option("--live", is_flag=True, help="Only what a restart would help: is it stuck, or gone?")
@click.option("--url", help="Where its HTTP side is, instead of the config's `http.listen`.")
@pass_invocation
def health(invocation: Invocation, live: bool, url: str | None) -> int:
    """Ask the running daemon whether it gets on: exit code 0 when all is well, else 1, with what is
    wrong.

    Without `http` in the config the state file is looked at: a daemon has to hold it, and to have
    done its bookkeeping within three minutes; without --live, no repository may be stale.
    """
    complaints = list(_from_outside(invocation, live=live, url=url))
    if invocation.json:
        rows = [{"ailment": c.ailment, "about": c.about, "message": c.message} for c in complaints]
        output.print_json({"well": not complaints, "complaints": rows})
    else:
        for complaint in complaints:
            output.say(f"{complaint.ailment}: {complaint.about}: {complaint.message}")
        if not complaints:
            output.say("well")
    return FAILED if complaints else OK


def _from_outside(invocation: Invocation, *, live: bool, url: str | None) -> Iterator[Complaint]:
    from watcher.config.load import whereabouts

    path = "/livez" if live else "/healthz"
    if url is not None:
        return _asked(_address_in(url), path)
    place = whereabouts(invocation.config, environment=os.environ)
    found = vouched(place)
    state = found[0][0] if len(found) == 1 else place.states[0]
    if place.http is not None:
        is_held = _is_held(state)
        token = _token(place.http) if not live and is_held else None
        gone = f"; nobody holds {state}: no daemon works on it" if is_held is False else ""
        return _asked(_address_of(place.http), path, token, gone)
    return _seen(invocation, state, live=live)


def _address_in(url: str) -> str:
    address = re.fullmatch(r"http://([^/@]+:[0-9]{1,5})/?", url)
    if address is None:
        raise UsageError(f"{url} is not http://ADDRESS:PORT")
    return address[1]


def _address_of(http: HttpSettings) -> str:
    """Where this machine reaches what listens on any address."""
    host = _ANY_ADDRESS.get(http.address, http.address)
    return f"[{host}]:{http.port}" if ":" in host else f"{host}:{http.port}"


def _token(http: HttpSettings) -> bytes | None:
    """Whoever may read it is told what is wrong, others only how much is. What no header can hold
    is none: it must not get into an error, either."""
    from watcher.core.serving import is_token

    try:
        token = http.token_file.read_bytes().strip() if http.token_file is not None else b""
    except OSError:
        return None
    return token if is_token(token) else None


def _is_held(state: Path) -> bool | None:
    """Whether a daemon can be there at all: a port that none holds may be anybody's, and must not
    be told the token. None where this user can't see it."""
    from watcher.errors import StateError
    from watcher.store.lock import holder

    try:
        return holder(state) is not None
    except StateError:
        return None


def _asked(
    address: str, path: str, token: bytes | None = None, gone: str = ""
) -> Iterator[Complaint]:
    """What the daemon itself answers; `gone` says more where it does not."""
    from http.client import HTTPConnection, HTTPException

    place = f"http://{address}{path}"
    try:
        with closing(HTTPConnection(address, timeout=PATIENCE_SECONDS)) as connection:
            headers = {"Authorization": b"Bearer " + token} if token else {}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            status, body = answer.status, answer.read(_MAXIMUM_BODY)
    except (OSError, HTTPException, UnicodeError) as error:
        yield _stuck(place, f"does not answer: {error or type(error).__name__}{gone}")
        return
    if status != 200:
        yield from _told(place, body) or [_stuck(place, f"answers with status {status}")]


def _told(place: str, body: bytes) -> list[Complaint]:
    """The complaints in an answer: each, or of each kind how many; none where it has another
    shape."""
    try:
        answer = json.loads(body)
        if "details" in answer:
            return [_complaint(**row) for row in answer["details"]]
        return [
            _complaint(ailment, place, output.count(number, "complaint"))
            for ailment, number in answer["complaints"].items()
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


def _complaint(ailment: str, about: str, message: str) -> Complaint:
    return Complaint(ailment=Ailment(ailment), about=str(about), message=str(message))


def _seen(invocation: Invocation, state: Path, *, live: bool) -> Iterator[Complaint]:
    """What the lock tells of the daemon, and the state file of its repositories."""
    from watcher.store.lock import holder

    now = invocation.now().timestamp()
    held_by = holder(state)
    if held_by is None:
        yield _stuck("the daemon", f"nobody holds {state}")
    elif now - held_by.seen > SILENT_AFTER.total_seconds():
        silent = output.length(now - held_by.seen)
        yield _stuck("the daemon", f"{held_by} has done no bookkeeping for {silent}")
    if live:
        return
    place = find_state(invocation)
    if isinstance(place, StateInUse):
        yield from (_complaint(**row) for row in place.ask("health"))
    else:
        yield from _stale(place, now)


def _stale(config: Config, now: float) -> Iterator[Complaint]:
    """Repositories without a success for too long. What was never polled yet is no complaint: it
    is not known since when that is so."""
    from watcher.cli.status import watched

    with read_store(config) as store:
        for account in config.accounts:
            limit = stale_limit(account, now) + BOOKKEEPING
            for status in watched(config, account, store):
                if status.last_success is not None and is_overdue(
                    status, now=now, since=0.0, limit=limit
                ):
                    about = f"{account.name}/{status.repository}"
                    ago = output.length(now - status.last_success)
                    yield Complaint(
                        ailment=Ailment.STALE,
                        about=about,
                        message=f"the last successful poll was {ago} ago",
                    )


def _stuck(about: str, message: str) -> Complaint:
    return Complaint(ailment=Ailment.STUCK, about=about, message=message)

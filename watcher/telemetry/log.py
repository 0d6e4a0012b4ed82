"""Log lines as events with keys, for the console or as JSON, on stderr or in a file.

structlog is loaded with the first line that is really written: a pass with nothing to say never
pays for it. Third-party lines (httpx, APScheduler) come through the standard library's logging and
leave in the same shape, as event `library`. Control characters are cut, so nothing remote can
forge a line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from watcher.telemetry.events import Event

if TYPE_CHECKING:
    from watcher.telemetry.sinks import BackgroundSink, Sink, Target

PRIVATE_THREAD = "private"
"""The name of threads whose libraries know secrets: what they log is not written."""
SECONDS_TO_END = 2.0
"""How long the end of the process waits for a log that takes its last lines slowly, or never."""

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log:
    """Writes events at or above a level; made once by the command line and handed down.

    `file` is opened at once, which may raise OSError; without one lines go to `stream`, or to
    stderr. From then on no line raises anything: what could not be written is counted, and said
    (`log_resumed`) as soon as something can be written again. Each waits until it is written, but
    `in_background`.
    """

    def __init__(
        self,
        level: str = "info",
        style: str = "console",
        stream: TextIO | None = None,
        file: Path | None = None,
    ) -> None:
        self._level = LEVELS[level]
        self._style = style
        self._stream = stream
        self._target = _file_target(file) if file is not None else None
        self._direct: Sink | None = None
        self._background: BackgroundSink | None = None
        self._renderer: Any = None

    def debug(self, event: Event, **keys: object) -> None:
        self._write(10, event, keys)

    def info(self, event: Event, **keys: object) -> None:
        self._write(20, event, keys)

    def warning(self, event: Event, **keys: object) -> None:
        self._write(30, event, keys)

    def error(self, event: Event, **keys: object) -> None:
        self._write(40, event, keys)

    def capture_libraries(self) -> None:
        """Send what libraries log through this log; for the daemon, since it costs imports."""
        root = logging.getLogger()
        root.handlers[:] = [_LibraryHandler(self)]
        root.setLevel(self._level)
        for chatty in ("httpx", "httpcore", "urllib3", "apscheduler"):
            logging.getLogger(chatty).setLevel(max(self._level, logging.WARNING))

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Let nobody who logs wait for where the lines go, inside the block: they are written by
        a thread, and at the end those that are left within SECONDS_TO_END. For the daemon."""
        from watcher.telemetry.sinks import BackgroundSink

        self._background = BackgroundSink(self._opened())
        try:
            yield
        finally:
            if self._background.end(SECONDS_TO_END):
                self._background = None

    @property
    def lost(self) -> int:
        """How many lines could not be written so far."""
        sink = self._background or self._direct
        return sink.lost if sink is not None else 0

    def _write(self, level: int, event: Event, keys: Mapping[str, object]) -> None:
        if level < self._level:
            return
        sink = self._background or self._opened()
        sink.put(self._line(level, event, keys))

    def _opened(self) -> Sink:
        from watcher.telemetry.sinks import Sink, target_of

        if self._direct is None:
            self._target = self._target or target_of(self._stream)
            self._direct = Sink(self._target, self._resumed)
        return self._direct

    def _resumed(self, lost: int, reason: str) -> str:
        return self._line(30, Event.LOG_RESUMED, {"lost": lost, "error": reason})

    def _line(self, level: int, event: Event, keys: Mapping[str, object]) -> str:
        if self._renderer is None:
            self._renderer = _renderer(self._style, self._target)
        said = {key: value for key, value in keys.items() if value is not None}
        return f"{self._renderer.log(level, event.value, **said)}\n"


class _LibraryHandler(logging.Handler):
    """One line of a library becomes one event of ours."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName == PRIVATE_THREAD:
            return
        error = record.exc_info[1] if record.exc_info else None
        self._log._write(
            record.levelno,
            Event.LIBRARY,
            {
                "library": record.name,
                "message": _message(record),
                "error": f"{type(error).__name__}: {error}" if error else None,
            },
        )


def _message(record: logging.LogRecord) -> str:
    """What the library says, without its values where it can't put them in: that is its fault, and
    must not become an error of what it does for us."""
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg) if isinstance(record.msg, str) else type(record.msg).__name__


def printable(text: str) -> str:
    """The text without control characters, which could forge lines or drive a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def _file_target(file: Path) -> Target:
    from watcher.telemetry.sinks import FileTarget

    return FileTarget(file)


def _renderer(style: str, target: Target | None) -> Any:
    """Makes lines of events, and returns them."""
    import structlog

    shape: Any
    if style == "json":
        shape = structlog.processors.JSONRenderer()
    else:
        colors = target is not None and target.isatty()
        shape = structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False)
    return structlog.wrap_logger(
        structlog.ReturnLogger(),
        wrapper_class=structlog.make_filtering_bound_logger(0),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _clean,
            shape,
        ],
    )


def _clean(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: printable(v) if isinstance(v, str) else v for key, v in line.items()}

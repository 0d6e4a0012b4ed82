"""Log lines as events with keys, for the console or as JSON, on stderr or in a file.

structlog is loaded with the first line that is really written: a pass with nothing to say never
pays for it. Third-party lines (httpx, APScheduler) come through the standard library's logging and
leave in the same shape, as event `library`. Control characters are cut, so nothing remote can
forge a line.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from watcher.telemetry.events import Event

if TYPE_CHECKING:
    from watcher.telemetry.sinks import Sink

PRIVATE_THREAD = "private"
"""The name of threads whose libraries know secrets: what they log is not written."""
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log:
    """Writes events at or above a level; made once by the command line and handed down.

    `file` is opened at once, which may raise OSError; without one lines go to `stream`, or to
    stderr. From then on no line raises anything: what could not be written is counted, and said
    (`log_resumed`) as soon as something can be written again.
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
        self._sink = _file_sink(file) if file is not None else None
        self._writer: Any = None

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

    def _write(self, level: int, event: Event, keys: Mapping[str, object]) -> None:
        if level < self._level:
            return
        sink = self._sink = self._sink or _stream_sink(self._stream)
        lost = sink.lost
        self._line(sink, level, event, keys)
        if lost and sink.lost == lost:
            sink.lost = 0
            self._line(sink, 30, Event.LOG_RESUMED, {"lost": lost, "error": sink.reason})

    def _line(self, sink: Sink, level: int, event: Event, keys: Mapping[str, object]) -> None:
        if self._writer is None:
            self._writer = _writer(self._style, sink)
        self._writer.log(level, event.value, **{k: v for k, v in keys.items() if v is not None})


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


def _file_sink(file: Path) -> Sink:
    from watcher.telemetry.sinks import FileTarget, Sink

    return Sink(FileTarget(file))


def _stream_sink(stream: TextIO | None) -> Sink:
    from watcher.telemetry.sinks import Sink, target_of

    return Sink(target_of(stream))


def _writer(style: str, sink: Sink) -> Any:
    import structlog

    renderer: Any
    if style == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sink.isatty(), sort_keys=False)
    return structlog.wrap_logger(
        structlog.PrintLogger(sink),  # type: ignore[arg-type]  # it writes and flushes, no more
        wrapper_class=structlog.make_filtering_bound_logger(0),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _clean,
            renderer,
        ],
    )


def _clean(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: printable(v) if isinstance(v, str) else v for key, v in line.items()}

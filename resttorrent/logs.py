"""
The log: one line an event, as text or as JSON, that no name of a stranger can forge.

Torrents, trackers and peers choose what stands in an event's values. In the text form whatever could end a
line or steer a terminal is escaped; the lines of a traceback are indented, so none looks like an event.
"""

import json
import math
import signal
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any, Literal

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    formatEvent,
    formatTime,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from twisted.python.reflect import safe_repr
from zope.interface import implementer, provider

from . import request_ids
from .printable import one_line, shortened

Format = Literal["text", "json"]
# Characters of an event's message, and of one of its values in JSON.
MESSAGE_LIMIT, VALUE_LIMIT = 4096, 512
# twistd.log is rotated at so many bytes, and so many old ones are kept.
ROTATE_AT, KEEP = 10_000_000, 9
# What log.msg and its kin put beside the values.
_LEGACY = frozenset({"message", "time", "isError", "system", "format", "failure", "why", "logLevel"})


def text_line(event: LogEvent) -> str | None:
    """
    Return ``time [system] message``, or ``time [system request n] message``; and an indented traceback.

    :return: ``None`` if the event is empty.
    """
    message, traceback = _message(event), _traceback(event)
    if not message and not traceback:
        return None
    when = formatTime(event.get("log_time"))
    system, request = one_line(shortened(_system(event), VALUE_LIMIT)), request_ids.current()
    if request is not None:
        system = f"{system} request {request}"
    lines = [f"{when} [{system}] {one_line(message)}"]
    lines += [f"\t{one_line(line)}" for line in traceback.split("\n") if line]
    return "\n".join(lines) + "\n"


def json_line(event: LogEvent) -> str | None:
    """
    Return ``{time, level, system, message[, request][, traceback], …its values}``.

    :return: ``None`` if the event is empty.
    """
    message, traceback = _message(event), _traceback(event)
    if not message and not traceback:
        return None
    values = {
        key: _plain(value)
        for key, value in event.items()
        if key not in _LEGACY and not key.startswith("log_")
    }
    own: dict[str, Any] = {
        "time": formatTime(event.get("log_time")),
        "level": _level(event),
        "system": shortened(_system(event), VALUE_LIMIT),
        "message": message,
    }
    request = request_ids.current()
    if request is not None:
        own["request"] = request
    if traceback:
        own["traceback"] = traceback
    return json.dumps({**values, **own}) + "\n"


@implementer(ILogFilterPredicate)
class LeastLevel:
    """
    Lets events pass from some level on, which may change while the daemon runs.

    :param name: of the level.
    """

    def __init__(self, name: str) -> None:
        self.set(name)

    def set(self, name: str) -> None:
        """Let events pass from this level on."""
        self._predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(name))

    def __call__(self, event: LogEvent) -> Any:
        return self._predicate(event)


def stream_observer(stream: IO[Any], level: str | LeastLevel, form: Format) -> ILogObserver:
    """
    Return an observer that writes to a stream.

    :param level: the name of the least level that is written; failures always are.
    """
    reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
    if reconfigure is not None:  # a name that the terminal's encoding lacks must not cost the event
        reconfigure(errors="backslashreplace")
    return _filtered(FileLogObserver(stream, _formatter(form)), level)


def twistd_observer(twistd: Mapping[str, Any], level: str | LeastLevel, form: Format) -> ILogObserver | None:
    """
    Return an observer that writes where twistd's would: ``--logfile``, ``--syslog``, stdout or twistd.log.

    :param twistd: twistd's options, before it forks.
    :return: ``None`` if ``--logger`` names another.
    :raises OSError: the log file can't be opened.
    :raises ValueError: a daemon can't log to stdout; the message says so.
    """
    foreground, path = twistd.get("nodaemon") or twistd.get("debug"), twistd.get("logfile")
    if twistd.get("logger"):
        return None
    if twistd.get("syslog"):
        return _filtered(_SyslogObserver(twistd.get("prefix", ""), form), level)
    if path == "-" and not foreground:
        raise ValueError("--logfile=-: a daemon cannot log to stdout")
    if path == "-" or (foreground and not path):
        return stream_observer(sys.stdout, level, form)
    file = LogFile.fromFullPath(path or "twistd.log", rotateLength=ROTATE_AT, maxRotatedFiles=KEEP)
    _rotate_on_signal(file)
    return stream_observer(file, level, form)


def _formatter(form: Format) -> Callable[[LogEvent], str | None]:
    return json_line if form == "json" else text_line


def _filtered(observer: ILogObserver, level: str | LeastLevel) -> ILogObserver:
    least = LeastLevel(level) if isinstance(level, str) else level
    return FilteringLogObserver(observer, [_failures_pass, least])


@provider(ILogFilterPredicate)
def _failures_pass(event: LogEvent) -> Any:
    failed = event.get("log_failure") is not None
    return PredicateResult.yes if failed else PredicateResult.maybe


@implementer(ILogObserver)
class _SyslogObserver:
    """Hands the finished line to twistd's syslog observer, which knows levels by the name of error or not."""

    def __init__(self, prefix: str, form: Format) -> None:
        from twisted.python.syslog import SyslogObserver

        self._emit: Callable[[LogEvent], None] = SyslogObserver(prefix).emit
        self._format = _formatter(form)

    def __call__(self, event: LogEvent) -> None:
        line = self._format(event)
        if line is not None:
            error = event.get("log_level") in (LogLevel.error, LogLevel.critical)
            self._emit({"message": (line.rstrip("\n"),), "isError": error, "system": _system(event)})


def _rotate_on_signal(file: LogFile) -> None:
    """Let SIGUSR1 begin a new file, as twistd does, unless someone uses it already."""
    if signal.getsignal(signal.SIGUSR1) in (None, signal.SIG_DFL):

        def rotate(*_: object) -> None:
            from twisted.internet import reactor

            reactor.callFromThread(file.rotate)  # type: ignore[attr-defined]

        signal.signal(signal.SIGUSR1, rotate)


def _message(event: LogEvent) -> str:
    return shortened(formatEvent(event), MESSAGE_LIMIT)


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    if not isinstance(failure, Failure):
        return ""
    try:
        return failure.getTraceback()
    except Exception as error:  # an exception whose str() raises
        return f"{safe_repr(failure.type)} (its traceback can't be had: {safe_repr(error)})"


def _level(event: LogEvent) -> str:
    level = event.get("log_level")
    return "info" if level is None else str(level.name)


def _system(event: LogEvent) -> str:
    return str(event.get("log_system") or f"{event.get('log_namespace', '-')}#{_level(event)}")


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return shortened(value if isinstance(value, str) else safe_repr(value), VALUE_LIMIT)

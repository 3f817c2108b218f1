"""
Says to whoever started the daemon how the start went: a line on stderr, and twistd's exit code.

A daemonised twistd is two processes: the first waits on a pipe (``_twistd_unix.daemonize``) until the second,
whose stderr is /dev/null, has come back from ``startService``. That is before the daemon is ready, an
exception is cut to 98 bytes, and the first, which holds both ends of the pipe, waits for ever when the second
is killed. So the first one waits here instead, on a pipe of ours, until the second is ready or gone.
"""

import os
from collections.abc import Callable

from twisted.logger import Logger

from .printable import one_line

_READY = b"\0"
_DIED = "the daemon died while it started; its log may say why"


class StartReport:
    """
    The way back to whoever started this process; made before twistd forks, used until the start is over.

    :param forks: whether twistd is going to fork.
    :param at_fork: as ``os.register_at_fork``; :param leave: as ``os._exit``; :param stderr: descriptor.
    """

    _log = Logger()

    def __init__(
        self,
        forks: bool,
        *,
        at_fork: Callable[..., None] = os.register_at_fork,
        leave: Callable[[int], object] = os._exit,
        stderr: int = 2,
    ) -> None:
        self._starter, self._leave, self._stderr = os.getpid(), leave, stderr
        self._reader: int | None = None
        self._writer: int | None = None
        if forks:
            self._reader, self._writer = os.pipe()
            at_fork(after_in_parent=self._wait)

    def say(self, message: str) -> None:
        """Let one line be printed, the program's name before it."""
        self._write(self._stderr if self._writer is None else self._writer, _line(message))

    def ready(self) -> None:
        """Let the process that waits end with 0; else it ends with 1, when this one has ended."""
        if self._writer is not None:
            self._write(self._writer, _READY)
            os.close(self._writer)
            self._writer = None

    def _wait(self) -> None:
        """Be the first process: wait for the second, and leave."""
        if os.getpid() != self._starter or self._reader is None or self._writer is None:
            return  # the second forks as well
        os.close(self._writer)
        heard = b""
        while part := os.read(self._reader, 65536):
            heard += part
        said, ready, _ = heard.partition(_READY)
        self._write(self._stderr, said if said or ready else _line(_DIED))
        self._leave(0 if ready else 1)

    def _write(self, descriptor: int, data: bytes) -> None:
        try:
            os.write(descriptor, data)
        except OSError as error:
            self._log.debug("nobody waits for this start any more: {error}", error=error)


def _line(message: str) -> bytes:
    return f"resttorrent: {one_line(message)}\n".encode()

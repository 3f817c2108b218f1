"""A running daemon between those who watch it: the service manager's notifications, and SIGHUP."""

import time
from collections.abc import Callable

from .systemd import Notifier, Watchdog


class Supervision:
    """
    What a daemon tells its service manager, and hears from it.

    :param watchdog: ``None`` if nobody waits for signs of life.
    :param reload: reads the settings again.
    :param monotonic: seconds of CLOCK_MONOTONIC.
    """

    def __init__(
        self,
        notifier: Notifier,
        watchdog: Watchdog | None,
        reload: Callable[[], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier, self._watchdog, self._reload = notifier, watchdog, reload
        self._monotonic = monotonic
        self._is_ready = self._is_stopping = False

    def ready(self) -> None:
        """Store and ports are up."""
        self._is_ready = True
        self._notifier.ready("serving")
        if self._watchdog is not None:
            self._watchdog.start()

    def reload(self) -> None:
        """Read the settings again; one that stops has no use for them."""
        if self._is_stopping:
            return
        if self._is_ready:
            self._notifier.reloading(self._monotonic())
        try:
            self._reload()
        finally:
            if self._is_ready:
                self._notifier.ready("serving")

    def stopping(self) -> None:
        """The stop begins; it may take longer than the watchdog waits."""
        self._is_stopping = True
        self._notifier.stopping()
        if self._watchdog is not None:
            self._watchdog.rest()

    def stopped(self) -> None:
        """All is closed."""
        if self._watchdog is not None:
            self._watchdog.stop()

"""A progress bar: drawn in place on a terminal, a line for each ten percent elsewhere."""

import shutil
from typing import TextIO

_TENTHS = 10


class Bar:
    """Draws one bar after the other in the same line of ``stream``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._in_place = stream.isatty()
        self._last_tenth = -1

    def show(self, progress: float, rate: float, state: str) -> None:
        """
        Draw it.

        :param progress: from 0 to 1; :param rate: bytes per second.
        """
        text = f"{progress:6.1%}  {rate / 2**20:6.1f} MiB/s  {state}"
        if self._in_place:
            width = max(shutil.get_terminal_size().columns - 48, 10)
            filled = round(progress * width)
            self._stream.write(f"\r[{'█' * filled}{'░' * (width - filled)}] {text}\x1b[K")
        elif int(progress * _TENTHS) != self._last_tenth:
            self._last_tenth = int(progress * _TENTHS)
            self._stream.write(text + "\n")
        self._stream.flush()

    def end(self) -> None:
        """Go on below it."""
        if self._in_place:
            self._stream.write("\n")

"""Made-up rows and revisions, for the parts of the engine that know no libtorrent."""

from typing import Any

from resttorrent.engine.fields import NAMES, Row


class Revisions:
    """A counter that starts somewhere."""

    def __init__(self, current: int = 1000) -> None:
        self.current = current

    def next(self) -> int:
        self.current += 1
        return self.current


def make_row(infohash: str, **values: Any) -> Row:
    """A row with these values; all others are absent."""
    unknown = values.keys() - set(NAMES)
    if unknown:
        raise KeyError(unknown)
    return tuple({"infohash": infohash, "state": "stopped", **values}.get(name) for name in NAMES)

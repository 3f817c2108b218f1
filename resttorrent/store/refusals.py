"""Why a store would not open. Each error's text is one line for the person who started the daemon."""

from pathlib import Path


class StoreRefusal(Exception):
    """The store can't be opened; nothing was changed in it."""


class StateDirInUse(StoreRefusal):
    """
    Another daemon holds the state directory.

    :ivar pid: the holder's process id, or ``None`` if its lock file didn't tell.
    """

    def __init__(self, directory: Path, pid: int | None) -> None:
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(f"The state directory {directory} is in use by {holder}.")
        self.directory = directory
        self.pid = pid


class StateDirUnusable(StoreRefusal):
    """The state directory can't be made, read or written, or others may write to it."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(f"The state directory {directory} can't be used: {reason}.")
        self.directory = directory


class DatabaseTooNew(StoreRefusal):
    """A newer RestTorrent has upgraded this database."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"The database {path} has schema version {found}, this RestTorrent knows versions up to {known}: "
            "start the newer RestTorrent, or choose another state directory."
        )
        self.path = path
        self.found = found
        self.known = known

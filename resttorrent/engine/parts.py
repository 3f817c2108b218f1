"""What the pieces of one session work on together."""

from dataclasses import dataclass

from .catalogue import Catalogue
from .confinement import Confinement
from .link import Link
from .log_entries import Level
from .shared import Shared
from .table import StatusTable
from .torrent import Torrent


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one session that its pieces have in common."""

    session_id: str
    shared: Shared
    link: Link
    confinement: Confinement
    table: StatusTable
    torrents: Catalogue


class Piece:
    """One concern of a session, with all its parts at hand."""

    def __init__(self, parts: Parts) -> None:
        self._session_id = parts.session_id
        self._shared = parts.shared
        self._link = parts.link
        self._confinement = parts.confinement
        self._table = parts.table
        self._torrents = parts.torrents

    def _note(self, event: str, torrent: Torrent, message: str, *, level: Level = "info") -> None:
        """Tell the event log what happened to a torrent."""
        self._shared.log.add_about(torrent, event, message, level=level, session_id=self._session_id)

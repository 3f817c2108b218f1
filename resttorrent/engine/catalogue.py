"""Which torrents a session has, found by any of their hashes or by libtorrent's handle."""

from collections.abc import Iterator

import libtorrent as lt

from ..errors import TorrentNotFound
from .infohash import EXPECTED, Identity, normalise
from .torrent import Torrent


class Catalogue:
    """The torrents of one session."""

    def __init__(self) -> None:
        self._by_key: dict[str, Torrent] = {}
        self._by_alias: dict[str, Torrent] = {}
        self._by_handle: dict[lt.torrent_handle, Torrent] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Torrent]:
        return iter(self._by_key.values())

    def __contains__(self, torrent: Torrent) -> bool:
        return self._by_key.get(torrent.infohash) is torrent

    def add(self, torrent: Torrent) -> None:
        """Enter a torrent, or the hashes that it has learned since."""
        self._by_key[torrent.infohash] = torrent
        for alias in torrent.identity.aliases:
            if alias != torrent.infohash:
                self._by_alias.setdefault(alias, torrent)

    def loaded(self, torrent: Torrent, handle: lt.torrent_handle) -> None:
        """libtorrent has it."""
        torrent.handle = handle
        self._by_handle[handle] = torrent

    def remove(self, torrent: Torrent) -> None:
        """Forget a torrent; its handle is known until ``forget_handle``."""
        if self._by_key.get(torrent.infohash) is torrent:
            del self._by_key[torrent.infohash]
        for alias in torrent.identity.aliases:
            if self._by_alias.get(alias) is torrent:
                del self._by_alias[alias]

    def forget_handle(self, handle: lt.torrent_handle) -> None:
        """libtorrent no longer has it."""
        self._by_handle.pop(handle, None)

    def clear(self) -> None:
        """Forget everything; no reference to libtorrent is left."""
        for torrent in self._by_key.values():
            torrent.handle = None
        self._by_key.clear()
        self._by_alias.clear()
        self._by_handle.clear()

    def of_handle(self, handle: lt.torrent_handle) -> Torrent | None:
        """The torrent of this handle, also while it is being removed."""
        return self._by_handle.get(handle)

    def of_identity(self, identity: Identity) -> Torrent | None:
        """The torrent that has one of these hashes."""
        for alias in identity.aliases:
            torrent = self._by_key.get(alias) or self._by_alias.get(alias)
            if torrent is not None:
                return torrent
        return None

    def named(self, infohash: str) -> Torrent:
        """
        The torrent with this info-hash, in whatever form it is written.

        :raises TorrentNotFound: if there is none.
        """
        torrent = self._by_key.get(infohash)
        if torrent is not None:
            return torrent
        try:
            key = normalise(infohash)
        except ValueError:
            raise TorrentNotFound(f"infohash: expected {EXPECTED}", field="infohash") from None
        torrent = self._by_key.get(key) or self._by_alias.get(key)
        if torrent is None:
            raise TorrentNotFound(f"this session has no torrent {key}", field="infohash")
        return torrent

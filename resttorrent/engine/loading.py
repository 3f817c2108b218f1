"""
Bringing stored torrents back into libtorrent after a start, beside everything else that goes on.

A torrent that somebody waits for moves to the front. What can't be loaded stays listed with the reason:
nothing is lost because of a blob that was torn.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

import libtorrent as lt
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..errors import CommandError, EngineError, Loading, NotATorrent
from ..store.records import TorrentBlobs
from .metainfo import drop_unwanted, explain, load_magnet, reload_file
from .pace import Pace
from .torrent import Torrent

CHUNK = 200
PATIENCE = 10.0
"""Seconds that a command waits for its torrent to be loaded."""


def parameters_of(
    torrent: Torrent, blobs: TorrentBlobs, *, recheck: bool, log: Logger
) -> lt.add_torrent_params:
    """
    What libtorrent is to be given for a stored torrent.

    :param recheck: leave out which pieces are there, so that libtorrent looks for itself.
    :raises NotATorrent: if what was stored is of no use.
    """
    params = _fresh_parameters(torrent, blobs)
    info = params.ti
    hashes = params.info_hashes if info is None else info.info_hashes()
    if info is not None:
        torrent.take_names(info)
    if blobs.resume is not None:
        try:
            resumed = lt.read_resume_data(blobs.resume)
            drop_unwanted(resumed)
        except (RuntimeError, UnicodeDecodeError) as error:
            log.warn(
                "resume data of {infohash} is of no use, its files will be checked: {error}",
                infohash=torrent.infohash,
                error=explain(error),
            )
        else:
            params = resumed
            params.ti = info
    # resume data from before a magnet's metadata came knows one hash of two
    params.info_hashes = hashes
    if recheck:
        params.have_pieces = []
        params.verified_pieces = []
        params.unfinished_pieces = {}
    torrent.configure(params)
    return params


def _fresh_parameters(torrent: Torrent, blobs: TorrentBlobs) -> lt.add_torrent_params:
    if blobs.metainfo is not None:
        return reload_file(blobs.metainfo)
    if torrent.magnet is None:
        raise NotATorrent("its metainfo is missing from the state database")
    params = load_magnet(torrent.magnet).params
    if blobs.info is not None:
        params.ti = reload_file(b"d4:info" + blobs.info + b"e").ti
    return params


class Loader:
    """
    Loads one session's stored torrents.

    :param fetch_blobs: reads the blobs of some torrents from the store.
    :param start: hands one torrent to libtorrent, and fires when libtorrent has it.
    """

    log = Logger()

    def __init__(
        self,
        pace: Pace,
        fetch_blobs: Callable[[Sequence[str]], Awaitable[dict[str, TorrentBlobs]]],
        start: Callable[[Torrent, TorrentBlobs], Awaitable[None]],
        failed: Callable[[Torrent, CommandError], None],
    ) -> None:
        self._pace = pace
        self._fetch_blobs = fetch_blobs
        self._start = start
        self._failed = failed
        self._queue: dict[Torrent, None] = {}
        self._under_way: set[Torrent] = set()
        self._first: deque[Torrent] = deque()
        self._waiting: dict[Torrent, list[Deferred[None]]] = {}
        self._stopped = False

    def __len__(self) -> int:
        return len(self._queue) + len(self._under_way)

    def __contains__(self, torrent: Torrent) -> bool:
        return torrent in self._queue or torrent in self._under_way

    def add(self, torrent: Torrent) -> None:
        """Have a torrent loaded by ``run``."""
        if not self._stopped:
            self._queue[torrent] = None

    def drop(self, torrent: Torrent) -> None:
        """It need not be loaded any more."""
        self._queue.pop(torrent, None)
        self._under_way.discard(torrent)
        for waiter in self._waiting.pop(torrent, ()):
            if not waiter.called:
                waiter.callback(None)

    def stop(self) -> None:
        """Load no more."""
        self._stopped = True
        for torrent in [*self._queue, *self._under_way]:
            self.drop(torrent)

    async def wait_for(self, torrent: Torrent) -> None:
        """
        Wait until a queued torrent is loaded, ahead of the others.

        :raises Loading: if that takes more than ``PATIENCE`` seconds.
        """
        if torrent not in self:
            return
        self._first.append(torrent)
        waiter: Deferred[None] = Deferred()
        self._waiting.setdefault(torrent, []).append(waiter)
        timer = self._pace.clock.callLater(PATIENCE, self._lose_patience, waiter)
        try:
            await waiter
        finally:
            if timer.active():
                timer.cancel()

    @staticmethod
    def _lose_patience(waiter: "Deferred[None]") -> None:
        if not waiter.called:
            waiter.errback(Loading("the daemon is still loading its torrents, try again"))

    async def run(self) -> None:
        """Load all that is queued; may run more than once at a time."""
        while self._queue and not self._stopped:
            chunk = self._take_chunk()
            try:
                blobs = await self._fetch_blobs([torrent.infohash for torrent in chunk])
            except CommandError as error:
                for torrent in chunk:
                    self._end(torrent, error)
                continue
            started = []
            for torrent in chunk:
                if torrent in self._under_way:
                    started.append(Deferred.fromCoroutine(self._load(torrent, blobs.get(torrent.infohash))))
                    await self._pace.breathe("loading torrents")
            for loaded in started:
                await loaded

    def _take_chunk(self) -> list[Torrent]:
        wanted = [torrent for torrent in self._first if torrent in self._queue]
        self._first.clear()
        chunk = list(dict.fromkeys([*wanted, *islice(self._queue, CHUNK)]))
        for torrent in chunk:
            del self._queue[torrent]
        self._under_way.update(chunk)
        return chunk

    async def _load(self, torrent: Torrent, blobs: TorrentBlobs | None) -> None:
        failed: CommandError | None = None
        try:
            await self._start(torrent, blobs or TorrentBlobs(None, None, None))
        except CommandError as error:
            failed = error
        except Exception as error:
            self.log.failure("{infohash} could not be loaded", infohash=torrent.infohash)
            failed = EngineError(f"could not be loaded: {error}")
        self._end(torrent, failed)

    def _end(self, torrent: Torrent, failed: CommandError | None) -> None:
        # what the end of the session cut short is no fault of the torrent's
        if failed is not None and not self._stopped:
            self._failed(torrent, failed)
        self.drop(torrent)

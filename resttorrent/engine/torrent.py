"""One torrent of one session: what we know of it, and its libtorrent handle once it is loaded."""

from collections.abc import Iterator
from contextlib import contextmanager

import libtorrent as lt

from ..errors import CommandError, TorrentNotFound
from ..store.records import TorrentRecord
from .infohash import Identity
from .metainfo import file_paths, top_name

_INVALID_HANDLE = "[libtorrent:20]"

_PAUSED = lt.torrent_flags.paused
_AUTO_MANAGED = lt.torrent_flags.auto_managed
_UPLOAD_MODE = lt.torrent_flags.upload_mode


class Torrent:
    """
    A torrent, loaded or not.

    :ivar infohash: its key, fixed when it was added.
    :ivar handle: libtorrent's, or ``None`` while it is not loaded.
    :ivar stopped: it is not to run until told so.
    :ivar done: all that was wanted was here when its resume data was last saved.
    :ivar finished: it had all that was wanted when that was last looked at, which need not be told again.
    :ivar has_trackers: it was given at least one.
    :ivar fault: why it can't be loaded, or ``None``.
    :ivar files_missing: it was complete, but its files are not there (a disk that is not mounted, say): it
        waits until somebody lets it run.
    :ivar away: why its save root is missing, for as long as that is; it is held meanwhile.
    :ivar unwritable: why its files can't be written, until libtorrent tries again.
    :ivar suspect: what libtorrent believes to have of it may be wrong: it is checked when the root is back.
    """

    __slots__ = (
        "added_time",
        "away",
        "done",
        "fault",
        "files_missing",
        "finished",
        "handle",
        "has_trackers",
        "infohash",
        "infohash_v1",
        "infohash_v2",
        "magnet",
        "memory_only",
        "name",
        "save_path",
        "stopped",
        "storage_mode",
        "suspect",
        "top",
        "unwritable",
    )

    def __init__(
        self,
        infohash: str,
        identity: Identity,
        *,
        save_path: str,
        storage_mode: str,
        stopped: bool,
        memory_only: bool,
        added_time: int,
        magnet: str | None,
        name: str | None = None,
        top: str | None = None,
        done: bool = False,
    ) -> None:
        self.infohash = infohash
        self.infohash_v1 = identity.v1
        self.infohash_v2 = identity.v2
        self.save_path = save_path
        self.storage_mode = storage_mode
        self.stopped = stopped
        self.memory_only = memory_only
        self.added_time = added_time
        self.magnet = magnet
        self.name = name
        self.top = top
        self.done = self.finished = done
        self.handle: lt.torrent_handle | None = None
        self.has_trackers = False
        self.fault: CommandError | None = None
        self.files_missing = False
        self.away: str | None = None
        self.suspect = False
        self.unwritable: str | None = None

    @classmethod
    def from_record(cls, record: TorrentRecord) -> "Torrent":
        """A torrent as the store remembers it."""
        return cls(
            record.infohash,
            Identity(record.infohash_v1, record.infohash_v2),
            save_path=record.save_path,
            storage_mode=record.storage_mode,
            stopped=record.stopped,
            memory_only=False,
            added_time=record.added_time,
            magnet=record.magnet,
            done=record.done,
        )

    def record(self, session_id: str, row: bytes) -> TorrentRecord:
        """What the store is to remember."""
        return TorrentRecord(
            session_id=session_id,
            infohash=self.infohash,
            infohash_v1=self.infohash_v1,
            infohash_v2=self.infohash_v2,
            magnet=self.magnet,
            save_path=self.save_path,
            storage_mode="allocate" if self.storage_mode == "allocate" else "sparse",
            stopped=self.stopped,
            done=self.done,
            added_time=self.added_time,
            row=row,
        )

    @property
    def identity(self) -> Identity:
        return Identity(self.infohash_v1, self.infohash_v2)

    @property
    def content_path(self) -> str | None:
        """The torrent's only file or its top folder; ``None`` until that is known."""
        return None if self.top is None else f"{self.save_path.rstrip('/')}/{self.top}"

    def configure(self, params: lt.add_torrent_params) -> None:
        """Set in ``params`` all that this torrent decides itself."""
        self.has_trackers = bool(params.trackers)
        params.save_path = self.save_path
        params.storage_mode = (
            lt.storage_mode_t.storage_mode_allocate
            if self.storage_mode == "allocate"
            else lt.storage_mode_t.storage_mode_sparse
        )
        params.added_time = self.added_time
        flags = int(params.flags) | int(lt.torrent_flags.duplicate_is_error)
        flags |= int(lt.torrent_flags.update_subscribe)
        if self.stopped:
            flags = (flags | int(_PAUSED)) & ~int(_AUTO_MANAGED)
        else:
            flags = (flags | int(_AUTO_MANAGED)) & ~int(_PAUSED)
        params.flags = flags

    @property
    def live(self) -> lt.torrent_handle:
        """
        The handle.

        :raises TorrentNotFound: if libtorrent does not have the torrent.
        """
        if self.handle is None:
            raise TorrentNotFound(f"torrent {self.infohash} is not loaded")
        return self.handle

    def apply_stopped(self) -> None:
        """Tell libtorrent whether to run it; none of these calls blocks."""
        handle = self.live
        if self.stopped:
            self.hold()
        else:
            handle.clear_error()
            if self.unwritable is not None:
                handle.unset_flags(_UPLOAD_MODE)
                self.write_again()
            if self.files_missing:
                # they may be back
                handle.force_recheck()
                self.files_missing = False
            handle.set_flags(_AUTO_MANAGED)
            handle.resume()

    @property
    def unsure(self) -> bool:
        """
        Whether parts of it that libtorrent says it has may not be in its files.

        Seen with libtorrent 2.1.1: pieces of v2 torrents count as downloaded that could not be written.
        """
        return self.unwritable is not None and not self.done

    def write_again(self) -> None:
        """Suppose that its files can be written again; a check finds what was not."""
        if self.unsure:
            self.live.force_recheck()
        self.unwritable = None

    def hold(self) -> None:
        """Keep libtorrent from running it, whatever it is meant to do."""
        handle = self.live
        handle.unset_flags(_AUTO_MANAGED)
        handle.pause()

    def info(self) -> lt.torrent_info | None:
        """The info dictionary, ``None`` until it is known (no round trip to libtorrent's thread)."""
        info = self.handle.torrent_file() if self.handle is not None else None
        return info if info is not None and info.is_valid() else None

    def files(self) -> list[str]:
        """Paths of its files below the save path; empty while the metadata is not known. Slow for 10,000s."""
        info = self.info()
        return [] if info is None else list(file_paths(info))

    def take_content_path(self, path: str | None) -> None:
        """Learn from a stored row what its file or folder is called, before the info dictionary is read."""
        below = f"{self.save_path.rstrip('/')}/"
        if path is not None and path.startswith(below):
            self.top = path.removeprefix(below)

    def take_names(self, info: lt.torrent_info) -> None:
        """Learn from the info dictionary what the torrent and its file or folder are called."""
        self.name = info.name()
        top = top_name(info)
        # the same text need not be kept twice
        self.top = self.name if top == self.name else top

    def learn_metadata(self) -> bytes | None:
        """Take over what a magnet's metadata tells; return the bencoded info dictionary."""
        info = self.info()
        if info is None:
            return None
        identity = Identity.of(info.info_hashes())
        self.infohash_v1, self.infohash_v2 = identity.v1, identity.v2
        self.take_names(info)
        return bytes(info.info_section())


@contextmanager
def not_gone(torrent: Torrent) -> Iterator[None]:
    """
    What is done with a handle inside this may find that the torrent was removed meanwhile.

    :raises TorrentNotFound: then.
    """
    try:
        yield
    except RuntimeError as error:
        if _INVALID_HANDLE not in str(error):
            raise
        raise TorrentNotFound(f"this session has no torrent {torrent.infohash}", field="infohash") from None

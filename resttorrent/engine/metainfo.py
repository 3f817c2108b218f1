"""
From bytes or a magnet link that a stranger wrote to parameters that libtorrent may be given.

libtorrent cleans file names itself; what it does not clean makes its bindings raise later, at every look, so
it is cleaned or refused here. A torrent's DHT nodes are dropped (they cause name look-ups even with DHT off),
trackers and web seeds of unknown schemes too.

Source: BEP 3, BEP 9, BEP 52; https://libtorrent.org/reference-Add_Torrent.html
"""

import urllib.parse
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice

import libtorrent as lt

from ..errors import BadParameter, NotATorrent
from .infohash import Identity

# libtorrent parses with the GIL held. Each of these bounds takes it about 50 ms to reach.
MAX_BYTES = 16 * 1024 * 1024
"""A .torrent file's size."""
MAX_PIECES = 500_000
MAX_PIECES_V2 = 65_536
"""Fewer: their hashes are hashed on, up to the root of each file."""
MAX_FILES = 20_000
"""Entries: those that only pad count, and both halves of a hybrid."""
MAX_ADDRESSES = 10_000
"""Trackers and web seeds that a file may name."""
MAX_TOKENS = 400_000
"""Bencoded values and ends of lists and dictionaries; a file's entry has about ten."""
MAX_TRACKERS = 100
"""Kept of those; hundreds of dead ones on one torrent keep a core busy (arvidn/libtorrent#8888)."""
MAX_WEB_SEEDS = 100
MAX_ADDRESS = 2048
"""Characters of a tracker's or web seed's address."""
MAX_MAGNET_FIELDS = 500

_COUNTED = ((b"6:lengthi", MAX_FILES, "files"), (b"://", MAX_ADDRESSES, "addresses"))
"""What each of them has in its bencoded form, so that they are counted before the work is done."""
_META_VERSION_2 = b"12:meta versioni2e"
_TRACKER_SCHEMES = frozenset({"http", "https", "udp", "ws", "wss"})
_WEB_SEED_SCHEMES = frozenset({"http", "https"})
_PAD_FILE = 1


@dataclass(slots=True)
class Metainfo:
    """
    A torrent that may be added.

    :ivar params: for libtorrent; save path, flags and the like are still to be set.
    :ivar data: the .torrent file, or ``None``; :ivar magnet: the cleaned magnet link, or ``None``.
    :ivar total: bytes, 0 while not known.
    :ivar top: name of its file or top folder on disk, ``None`` while not known.
    """

    params: lt.add_torrent_params
    identity: Identity
    data: bytes | None
    magnet: str | None
    name: str | None
    total: int
    top: str | None


def load_file(data: bytes) -> Metainfo:
    """
    Read a .torrent file.

    :raises NotATorrent: if it is none, or beyond the limits above.
    """
    try:
        params, info = _parse(data)
        name, total, top = info.name(), info.total_size(), top_name(info)
        identity = Identity.of(params.info_hashes)
    except UnicodeDecodeError:
        raise NotATorrent("not a torrent: a name or address in it is no UTF-8", field="file") from None
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise NotATorrent(f"not a torrent: {explain(error)}", field="file") from None
    return Metainfo(params, identity, data, None, name, total, top)


def reload_file(data: bytes) -> lt.add_torrent_params:
    """
    The parameters of a .torrent file that ``load_file`` has taken before.

    :raises NotATorrent: if it is none any more.
    """
    try:
        return _parse(data)[0]
    except (RuntimeError, ValueError) as error:
        raise NotATorrent(f"not a torrent: {explain(error)}", field="file") from None


def _parse(data: bytes) -> tuple[lt.add_torrent_params, lt.torrent_info]:
    _check_size(data)
    params = lt.load_torrent_buffer(data, _limits(data))  # type: ignore[call-overload]
    drop_unwanted(params)
    info = params.ti
    if info is None or not info.is_valid():
        raise ValueError("no info dictionary")
    return params, info


def check_info(info: lt.torrent_info) -> None:
    """
    Look whether an info dictionary that libtorrent has already would be taken from a file.

    :raises NotATorrent: if not.
    """
    data = b"d4:info" + info.info_section() + b"e"
    _check_size(data)
    most = _limits(data)["max_pieces"]
    if info.num_pieces() > most:
        raise NotATorrent(f"a torrent may have {most} pieces at most", field="file")


def _check_size(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise NotATorrent(f"a .torrent file may have {MAX_BYTES} bytes at most", field="file")
    # libtorrent takes 2 ms a MiB to see this
    if not data.startswith(b"d"):
        raise NotATorrent("not a torrent: it does not begin with a bencoded dictionary", field="file")
    for mark, most, what in _COUNTED:
        if data.count(mark) > most:
            raise NotATorrent(f"a torrent may have {most} {what} at most", field="file")


def _limits(data: bytes) -> dict[str, int]:
    return {
        "max_pieces": MAX_PIECES_V2 if _META_VERSION_2 in data else MAX_PIECES,
        "max_decode_depth": 100,
        "max_decode_tokens": MAX_TOKENS,
    }


def load_magnet(uri: str) -> Metainfo:
    """
    Read a magnet link.

    :raises BadParameter: if it is none.
    """
    try:
        cleaned = clean_magnet(uri)
        params = lt.parse_magnet_uri(cleaned)
        drop_unwanted(params)
        identity = Identity.of(params.info_hashes)
    except (RuntimeError, ValueError) as error:
        raise BadParameter(
            f"magnet: expected a magnet link with an info-hash ({explain(error)})", field="magnet"
        ) from None
    return Metainfo(params, identity, None, cleaned, params.name or None, 0, None)


def clean_magnet(uri: str) -> str:
    """The link with everything that libtorrent decodes made valid UTF-8 without NUL."""
    scheme, _, query = uri.partition("?")
    if scheme.lower() != "magnet:":
        raise ValueError("it does not begin with magnet:?")
    if query.count("&") >= MAX_MAGNET_FIELDS:
        raise ValueError(f"it has more than {MAX_MAGNET_FIELDS} fields")
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, errors="replace")
    return "magnet:?" + "&".join(f"{_quote(k)}={_quote(_clean_value(k, v))}" for k, v in pairs)


def _quote(text: str) -> str:
    return urllib.parse.quote(text.replace("\0", ""), safe=":/,[]", errors="replace")


def _clean_value(key: str, value: str) -> str:
    field = key.partition(".")[0].lower()
    if field == "xt":
        # libtorrent takes urn:btih: in small letters only; all of it may be written in any case (RFC 8141)
        return value.lower()
    # a display name is a name: libtorrent does not clean this one
    return value[:255] if field == "dn" else value


def drop_unwanted(params: lt.add_torrent_params) -> None:
    """Keep a bounded number of fit trackers and web seeds, and no DHT nodes."""
    if trackers := params.trackers:
        tiered = zip(trackers, _tiers(params, len(trackers)), strict=True)
        wanted = list(islice((t for t in tiered if _is_wanted(t[0], _TRACKER_SCHEMES)), MAX_TRACKERS))
        params.trackers = [address for address, _ in wanted]
        params.tracker_tiers = [tier for _, tier in wanted]
    # set even where none is seen: one that is no UTF-8 hides them all
    seeds = (address for address in _web_seeds(params) if _is_wanted(address, _WEB_SEED_SCHEMES))
    params.url_seeds = list(islice(seeds, MAX_WEB_SEEDS))
    params.dht_nodes = []


def _tiers(params: lt.add_torrent_params, given: int) -> list[int]:
    tiers = list(params.tracker_tiers)[:given]
    return tiers + [tiers[-1] if tiers else 0] * (given - len(tiers))


def _web_seeds(params: lt.add_torrent_params) -> list[str]:
    try:
        return params.url_seeds
    except UnicodeDecodeError:
        # one that is no UTF-8 hides the others; they are an extra
        return []


def _is_wanted(address: str, schemes: frozenset[str]) -> bool:
    scheme = address.partition("://")[0].lower()
    return scheme in schemes and len(address) <= MAX_ADDRESS and address.isprintable()


def top_name(info: lt.torrent_info) -> str:
    """The name of the torrent's only file, or of the folder that holds all its files."""
    return info.layout().file_path(0).partition("/")[0]


def file_paths(info: lt.torrent_info) -> Sequence[str]:
    """
    Paths of all files below the save path, as they are on disk; those that only pad are never written, and
    left out.
    """
    layout = info.layout()
    if layout.num_files() == 1:
        return [layout.file_path(0)]
    paths = {
        index: layout.file_path(index)
        for index in range(layout.num_files())
        if not layout.file_flags(index) & _PAD_FILE
    }
    if _clash(paths.values()):
        # libtorrent gives some of them other names, and tells when it reads the torrent
        paths |= lt.load_torrent_buffer(b"d4:info" + info.info_section() + b"e").renamed_files
    return list(paths.values())


def _clash(paths: Collection[str]) -> bool:
    """Whether two files, or a file and a folder, have the same name, in whatever case."""
    names = {path.lower() for path in paths}
    folders = {path.rpartition("/")[0] for path in names}
    above = {folder[:end] for folder in folders for end, sign in enumerate(folder) if sign == "/"}
    return len(names) < len(paths) or not names.isdisjoint(folders | above)


def explain(error: Exception) -> str:
    """What a libtorrent error says, without the category and number at its end."""
    return str(error).rpartition(" [")[0] or str(error)

"""
From bytes or a magnet link that a stranger wrote to parameters that libtorrent may be given.

libtorrent cleans file names itself; what it does not clean makes its bindings raise later, at every look, so
it is cleaned or refused here. A torrent's DHT nodes are dropped (they cause name look-ups even with DHT off),
trackers and web seeds of unknown schemes too.

Source: BEP 3, BEP 9, BEP 52; https://libtorrent.org/reference-Add_Torrent.html
"""

import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass

import libtorrent as lt

from ..errors import BadParameter, NotATorrent
from .infohash import Identity

MAX_BYTES = 32 * 1024 * 1024
"""A .torrent file's size."""
MAX_PIECES = 500_000
MAX_FILES = 50_000
"""More would hold the reactor for longer than 50 ms: libtorrent parses with the GIL held."""
MAX_TRACKERS = 100
"""Hundreds of dead trackers on one torrent keep a core busy (arvidn/libtorrent#8888)."""

_LIMITS = {"max_pieces": MAX_PIECES, "max_decode_depth": 100, "max_decode_tokens": 2_000_000}
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
    if len(data) > MAX_BYTES:
        raise NotATorrent(f"a .torrent file may have {MAX_BYTES} bytes at most", field="file")
    # every file's entry has this key, so the count bounds the work before it is done
    if data.count(b"6:lengthi") > MAX_FILES + 1:
        raise NotATorrent(f"a torrent may have {MAX_FILES} files at most", field="file")
    try:
        params = lt.load_torrent_buffer(data, _LIMITS)  # type: ignore[call-overload]
        _drop_unwanted(params)
        info = params.ti
        if info is None or not info.is_valid():
            raise ValueError("no info dictionary")
        name, total, top = info.name(), info.total_size(), top_name(info)
        identity = Identity.of(params.info_hashes)
    except UnicodeDecodeError:
        raise NotATorrent("not a torrent: a name or address in it is no UTF-8", field="file") from None
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise NotATorrent(f"not a torrent: {explain(error)}", field="file") from None
    return Metainfo(params, identity, data, None, name, total, top)


def load_magnet(uri: str) -> Metainfo:
    """
    Read a magnet link.

    :raises BadParameter: if it is none.
    """
    try:
        cleaned = clean_magnet(uri)
        params = lt.parse_magnet_uri(cleaned)
        _drop_unwanted(params)
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
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, errors="replace", max_num_fields=500)
    return "magnet:?" + "&".join(f"{_quote(k)}={_clean_value(k, v)}" for k, v in pairs)


def _quote(text: str) -> str:
    return urllib.parse.quote(text.replace("\0", ""), safe=":/,[]", errors="replace")


def _clean_value(key: str, value: str) -> str:
    # a display name is a name: libtorrent does not clean this one
    return _quote(value[:255] if key == "dn" else value)


def _drop_unwanted(params: lt.add_torrent_params) -> None:
    trackers = list(zip(params.trackers, _tiers(params), strict=True))
    wanted = [(url, tier) for url, tier in trackers if _scheme(url) in _TRACKER_SCHEMES][:MAX_TRACKERS]
    params.trackers = [url for url, _ in wanted]
    params.tracker_tiers = [tier for _, tier in wanted]
    params.url_seeds = [url for url in params.url_seeds if _scheme(url) in _WEB_SEED_SCHEMES]
    params.dht_nodes = []


def _tiers(params: lt.add_torrent_params) -> list[int]:
    tiers = list(params.tracker_tiers)[: len(params.trackers)]
    return tiers + [tiers[-1] if tiers else 0] * (len(params.trackers) - len(tiers))


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def top_name(info: lt.torrent_info) -> str:
    """The name of the torrent's only file, or of the folder that holds all its files."""
    return info.layout().file_path(0).partition("/")[0]


def file_paths(info: lt.torrent_info) -> Sequence[str]:
    """Paths of all files below the save path; those that only pad are never written, and left out."""
    layout = info.layout()
    flags = [layout.file_flags(i) for i in range(layout.num_files())]
    return [layout.file_path(i) for i, flag in enumerate(flags) if not flag & _PAD_FILE]


def explain(error: Exception) -> str:
    """What a libtorrent error says, without the category and number at its end."""
    return str(error).rpartition(" [")[0] or str(error)

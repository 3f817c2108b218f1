"""
The peers of a torrent as plain values.

Source: https://libtorrent.org/reference-Core.html#peer_info
"""

from typing import Any

import libtorrent as lt
from msgspec import Struct

_FLAGS: tuple[tuple[str, int], ...] = tuple(
    (name, int(getattr(lt.peer_info, name)))
    for name in (
        "interesting",
        "choked",
        "remote_interested",
        "remote_choked",
        "supports_extensions",
        "outgoing_connection",
        "handshake",
        "connecting",
        "on_parole",
        "seed",
        "optimistic_unchoke",
        "snubbed",
        "upload_only",
        "endgame_mode",
        "holepunched",
        "rc4_encrypted",
        "plaintext_encrypted",
    )
    if hasattr(lt.peer_info, name)
)
_SOURCES: tuple[tuple[str, int], ...] = tuple(
    (name, int(getattr(lt.peer_info, name)))
    for name in ("tracker", "dht", "pex", "lsd", "resume_data", "incoming")
    if hasattr(lt.peer_info, name)
)


class Peer(Struct):
    """
    One connected peer.

    Rates are payload bytes per second, totals payload bytes of this connection, ``progress`` is 0 to 1,
    ``client`` what the peer says it is. ``flags`` and ``source`` hold libtorrent's names.
    """

    ip: str
    port: int
    client: str
    progress: float
    download_payload_rate: int
    upload_payload_rate: int
    total_download: int
    total_upload: int
    flags: list[str]
    source: list[str]


def peers_of(handle: lt.torrent_handle) -> list[Peer]:
    """The torrent's peers. Waits for libtorrent's thread: call it in a worker thread."""
    return [_peer(info) for info in handle.get_peer_info()]


def _peer(info: Any) -> Peer:
    flags, source = int(info.flags), int(info.source)
    client: bytes = info.client
    return Peer(
        ip=info.ip[0],
        port=info.ip[1],
        client=client.decode(errors="replace"),
        progress=info.progress_ppm / 1e6,
        download_payload_rate=info.payload_down_speed,
        upload_payload_rate=info.payload_up_speed,
        total_download=info.total_download,
        total_upload=info.total_upload,
        flags=[name for name, mask in _FLAGS if flags & mask],
        source=[name for name, mask in _SOURCES if source & mask],
    )

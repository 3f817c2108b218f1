"""Making a daemon seed a file that lies in its root."""

from pathlib import Path

import libtorrent as lt

from tests.harness import Client, make_torrent, until

_PIECE = 1 << 18


def start_seeding(client: Client, content: Path) -> str:
    """Create a torrent of a file in the daemon's root and seed it; its magnet link, the daemon as a peer."""
    torrent = make_torrent(content, piece_size=_PIECE)
    session_id = client.session()
    torrents = f"/v1/sessions/{session_id}/torrents"
    added = client.upload(torrents, torrent, save_path=".")
    if added.status != 201:
        raise RuntimeError(f"the torrent was not added: {added.body!r}")
    path = f"{torrents}/{added.json['torrent']['infohash']}"
    until(lambda: client.ok("GET", path, fields="state")["torrent"]["state"] == "seeding", "its files' check")
    port = client.ok("GET", f"/v1/sessions/{session_id}")["port"]
    magnet = lt.make_magnet_uri(lt.load_torrent_buffer(torrent))
    return f"{magnet}&x.pe=127.0.0.1:{port}"

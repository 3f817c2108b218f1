"""What a loopback swarm needs beside peers: free ports, an HTTP server of .torrent files, a tracker."""

import http.server
import secrets
import socket
import sys
import threading
import urllib.parse
from collections.abc import Mapping
from typing import Any

import libtorrent as lt

_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


def hold(port: int, *kinds: socket.SocketKind) -> list[socket.socket]:
    """Sockets that keep a port of loopback: TCP ones listen."""
    held = []
    for kind in kinds or _KINDS:
        holder = socket.socket(socket.AF_INET, kind)
        held.append(holder)
        if kind == socket.SOCK_STREAM:
            # as libtorrent binds: connections in TIME_WAIT do not hold a port
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", port))
            if kind == socket.SOCK_STREAM:
                holder.listen()
        except OSError:
            release(held)
            raise
    return held


def release(held: list[socket.socket]) -> None:
    for holder in held:
        holder.close()


def is_free(port: int) -> bool:
    """Whether a port of loopback can be bound now, for TCP and UDP."""
    try:
        release(hold(port))
    except OSError:
        return False
    return True


def free_ports(count: int) -> int:
    """The first of so many neighbouring free ports, where neither the system nor other tests look for one."""
    while True:
        first = 10_000 + secrets.randbelow(9_000)
        if all(is_free(first + i) for i in range(count)):
            return first


class _Server(http.server.ThreadingHTTPServer):
    """An HTTP server on loopback, each request in a thread; ``answer`` gets the request's handler."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, request: "_Handler") -> bytes | None:
        """The body that answers, or ``None`` for 404."""
        raise NotImplementedError

    def handle_error(self, request: Any, client_address: Any) -> None:
        # a client may hang up while it is answered
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        body = self.server.answer(self)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:
        pass


class TorrentSite(_Server):
    """
    Serves .torrent files by path.

    :ivar requested: the paths that were asked for.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self.requested: list[str] = []
        super().__init__()

    def answer(self, request: _Handler) -> bytes | None:
        self.requested.append(request.path)
        return self._files.get(request.path)


class Tracker(_Server):
    """
    A tracker at ``/announce``, with compact peers (BEP 23); it tells each peer of all others.

    :ivar mute: while true, announces are taken and never answered: each ends when the other side hangs up.
    :ivar open: the events of announces that wait in vain now; :ivar hung_up: of those that ended so.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, *, mute: bool = False) -> None:
        self.mute = mute
        self.events: list[str] = []
        self.open: list[str] = []
        self.hung_up: list[str] = []
        self._peers: dict[bytes, set[int]] = {}
        super().__init__()

    @property
    def url(self) -> str:
        return f"{self.base}/announce"

    def swarms_of(self, port: int) -> int:
        """How many torrents (a hybrid is two) a peer has announced."""
        return sum(port in peers for peers in list(self._peers.values()))

    def answer(self, request: _Handler) -> bytes | None:
        path, _, query = request.path.partition("?")
        if path != "/announce":
            return None
        # hashes are raw bytes, escaped
        given = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, encoding="latin-1"))
        event = given.get("event", "")
        self.events.append(event)
        if self.mute:
            self._wait_in_vain(request, event)
        peers = self._peers.setdefault(given["info_hash"].encode("latin-1"), set())
        port = int(given["port"])
        if event == "stopped":
            peers.discard(port)
        else:
            peers.add(port)
        others = sorted(peers - {port})
        compact = b"".join(socket.inet_aton("127.0.0.1") + other.to_bytes(2, "big") for other in others)
        answer: Any = {b"interval": 60, b"min interval": 5, b"peers": compact}
        return bytes(lt.bencode(answer))

    def _wait_in_vain(self, request: _Handler, event: str) -> None:
        self.open.append(event)
        request.connection.recv(1)
        self.open.remove(event)
        self.hung_up.append(event)

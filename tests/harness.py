"""
What tests on the whole daemon share: a real process, a small client, torrents and peers on loopback.

The client is blocking (``http.client``): these tests have no reactor, the daemon is another process.
"""

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libtorrent as lt

LOOPBACK: dict[str, Any] = {
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True,
    "enable_outgoing_utp": False,
}
FIRST_PORT = 20000 + os.getpid() * 97 % 12000
"""Where this process begins to look for ports: what one has freed, others that run beside it leave alone."""
PORTS = f"{FIRST_PORT},40000"
"""A port range in which some port is always free."""


def until(condition: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
    """The first true value of ``condition``, looked at 50 times a second."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(0.02)


@dataclass(frozen=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A keep-alive client of one daemon."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        self._connection.request(method, path, body, dict(headers or {}))
        answer = self._connection.getresponse()
        return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def send(self, method: str, path: str, **parameters: Any) -> None:
        """Ask with a JSON body and don't wait: ``receive`` waits for the answer, ``close`` hangs up."""
        body = json.dumps(parameters).encode()
        self._connection.request(method, path, body, {"Content-Type": "application/json"})

    def receive(self) -> Response:
        """The answer to what was sent."""
        answer = self._connection.getresponse()
        return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def call(self, method: str, path: str, **parameters: Any) -> Response:
        """A request with parameters: in the query of a GET, else as a JSON body."""
        if method in ("GET", "HEAD"):
            query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
            return self.request(method, path + query)
        body = json.dumps(parameters).encode()
        return self.request(method, path, body, {"Content-Type": "application/json"})

    def ok(self, method: str, path: str, **parameters: Any) -> Any:
        """The JSON of an answer that must be a success."""
        response = self.call(method, path, **parameters)
        assert response.status in (200, 201), (response.status, response.body[:500])
        assert response.json["status"] == "success"
        return response.json

    def upload(self, path: str, torrent: bytes, **parameters: str) -> Response:
        """A multipart POST as ``curl -F file=@…`` sends it."""
        boundary = "5f3c1c0a7e"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in parameters.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.torrent"\r\n'
            f"Content-Type: application/x-bittorrent\r\n\r\n".encode()
            + torrent
            + b"\r\n"
        )
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        return self.request("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def session(self, **parameters: Any) -> str:
        """The id of a new session on some free port."""
        answer = self.ok("POST", "/v1/sessions", **{"port_range": PORTS, **parameters})
        return str(answer["session"]["id"])

    def close(self) -> None:
        self._connection.close()


class Daemon:
    """
    A real daemon in a process of its own, on loopback alone.

    :param home: a folder for its state (``state``), its payload (``root``) and its log.
    :param outer: a command that its own is put behind: ``nsenter``, ``prlimit``, ``strace``.
    :param before: Python that runs before the daemon.
    :param seen: the path from here to what the daemon has at a path, if it lives in another mount namespace.
    """

    def __init__(
        self,
        home: Path,
        *options: str,
        outer: Sequence[str] = (),
        before: str = "",
        seen: Callable[[Path], Path] = lambda path: path,
    ) -> None:
        self.home = home
        self.root = home / "root"
        self.state = home / "state"
        self.log = home / "daemon.log"
        self._options = options
        self._outer = outer
        self._program = f"{before}\nfrom twisted.scripts.twistd import run; run()"
        self.seen = seen
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.root.mkdir(parents=True, exist_ok=True)

    def start(self) -> "Daemon":
        """Start it and wait until it answers."""
        self.launch()
        self.port = until(self._announced_port, "the daemon to listen", 30)
        return self

    def launch(self, port: int = 0) -> None:
        """Start it, the API at ``port`` (0: any), and wait for nothing."""
        self._announcement.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._outer,
                    sys.executable, "-c", self._program,
                    "-n", "--pidfile=", "resttorrent",
                    "--port", str(port), "--state-dir", str(self.state), "--root", str(self.root),
                    "--peer-interface", "127.0.0.1", "--discovery", "off", *self._options,
                ],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    @property
    def _announcement(self) -> Path:
        return self.seen(self.state) / "listening.json"

    def _announced_port(self) -> int:
        assert self.process.poll() is None, self.log_text()
        try:
            announced = json.loads(self._announcement.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return 0
        # the process that was started may be another one's parent
        is_its = bool(self._outer) or announced["pid"] == self.process.pid
        return int(announced["addresses"][0]["port"]) if is_its else 0

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def client(self) -> Client:
        return Client(self.port)

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def tracebacks(self) -> list[str]:
        """Lines of the log that begin a traceback."""
        return [line for line in self.log_text().splitlines() if "Traceback" in line]


def write_files(folder: Path, files: Mapping[str, int]) -> None:
    """Files of these sizes (bytes) with random content, made with their folders."""
    for name, size in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))


def make_torrent(content: Path, kind: str = "hybrid", *, piece_size: int = 16384, tracker: str = "") -> bytes:
    """A .torrent of a file or folder; ``kind`` is v1, v2 or hybrid."""
    flags = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}[kind]
    creation = lt.create_torrent(lt.list_files(str(content)), piece_size, flags)
    if tracker:
        creation.add_tracker(tracker)
    lt.set_piece_hashes(creation, str(content.parent))
    return bytes(lt.bencode(creation.generate()))


def tiny_torrent(number: int) -> bytes:
    """A v1 torrent of one small file that nobody has, different for each number."""
    info: dict[bytes, Any] = {
        b"name": b"tiny %d" % number,
        b"piece length": 16384,
        b"pieces": number.to_bytes(20, "big"),
        b"length": 1000,
    }
    return bytes(lt.bencode({b"info": info}))  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, str]:
    """What lies below a folder: the SHA-256 of each file by its relative path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


class RawPeer:
    """
    A plain libtorrent session with one torrent, on loopback.

    :param flags: libtorrent's ``torrent_flags`` of the torrent, none of the defaults with them.
    """

    def __init__(self, torrent: bytes, save_path: Path, flags: int = 0) -> None:
        self._session = lt.session(LOOPBACK)  # type: ignore[call-overload]
        params = lt.load_torrent_buffer(torrent)
        params.save_path = str(save_path)
        params.flags = flags
        self._handle = self._session.add_torrent(params)
        until(self._session.listen_port, "the peer to listen")

    @property
    def endpoint(self) -> tuple[str, int]:
        return "127.0.0.1", int(self._session.listen_port())

    @property
    def address(self) -> str:
        return "{}:{}".format(*self.endpoint)

    @property
    def num_peers(self) -> int:
        return int(self._handle.status().num_peers)

    @property
    def is_seeding(self) -> bool:
        return bool(self._handle.status().is_seeding)

    def connect(self, endpoint: tuple[str, int]) -> None:
        """Connect to another peer, which may not be there yet."""
        self._handle.connect_peer(endpoint)

    def limit_upload(self, rate: int) -> None:
        """Bytes per second, 0 for no limit."""
        self._handle.set_upload_limit(rate)

    def close(self) -> None:
        # without a last announce: a tracker in this process could not answer while the session ends
        self._session.apply_settings({"stop_tracker_timeout": 0})
        self._session.pause()
        del self._handle, self._session


class Seed(RawPeer):
    """A peer that has everything, and does not look whether that is so."""

    def __init__(self, torrent: bytes, save_path: Path, *, upload_limit: int = 0) -> None:
        super().__init__(torrent, save_path, int(lt.torrent_flags.seed_mode))
        self.limit_upload(upload_limit)
        until(lambda: self.is_seeding, "the seed to seed")

    @property
    def magnet(self) -> str:
        """Its magnet link, with itself as a peer."""
        return f"{lt.make_magnet_uri(self._handle)}&x.pe={self.address}"

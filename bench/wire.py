"""
A keep-alive HTTP client that costs little, so that what is timed is the daemon.

Requests are bytes made beforehand; an answer's body stays where it was received.
"""

import base64
import json
import re
import select
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
_BOUNDARY = "5f3c1c0a7e9d"
_LARGEST_HEAD = 16_384


def get(path: str, *headers: str) -> bytes:
    """A GET request."""
    return _request("GET", path, headers, b"")


def send_json(method: str, path: str, value: Any) -> bytes:
    """A request with a JSON body."""
    return _request(method, path, ("Content-Type: application/json",), json.dumps(value).encode())


def multipart(path: str, fields: dict[str, str], files: Iterable[bytes]) -> bytes:
    """A POST as ``curl -F`` sends it, each torrent a part called ``file``."""
    parts = [_part(f'name="{name}"', value.encode()) for name, value in fields.items()]
    parts += [_part('name="file"; filename="a.torrent"', data) for data in files]
    body = b"".join((*parts, f"--{_BOUNDARY}--\r\n".encode()))
    return _request("POST", path, (f"Content-Type: multipart/form-data; boundary={_BOUNDARY}",), body)


def encoded_file(torrent: bytes) -> dict[str, dict[str, str]]:
    """One item of a JSON batch."""
    return {"file": {"base64": base64.b64encode(torrent).decode()}}


def _part(disposition: str, data: bytes) -> bytes:
    return f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + data + b"\r\n"


def _request(method: str, path: str, headers: Sequence[str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One answer.

    :ivar body: valid until the next answer is received on the same wire.
    """

    status: int
    head: bytes
    body: memoryview

    def json(self) -> Any:
        return json.loads(bytes(self.body))

    def header(self, name: str) -> str:
        """
        A header's value.

        :raises KeyError: if there is none.
        """
        found = re.search(rb"\r\n%s: *([^\r]*)" % re.escape(name.encode()), self.head, re.IGNORECASE)
        if found is None:
            raise KeyError(name)
        return found[1].decode()


def connect(port: int, *, receive_buffer: int = 0) -> socket.socket:
    """
    A connection to a daemon on loopback.

    :param receive_buffer: bytes that the kernel keeps for it (SO_RCVBUF); 0 leaves that to the kernel.
    """
    made = socket.socket()
    if receive_buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    made.settimeout(120)
    made.connect(("127.0.0.1", port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class Wire:
    """
    One connection to a daemon on loopback.

    :param room: bytes that are there for answers from the start.
    """

    def __init__(self, port: int, *, room: int = 1 << 22) -> None:
        self._socket = connect(port)
        self._buffer = bytearray(room)
        self._begin = self._end = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def receive(self) -> Answer:
        """
        The next answer, whole.

        :raises ConnectionError: the daemon closed the connection.
        """
        while (head_end := self._buffer.find(b"\r\n\r\n", self._begin, self._end)) < 0:
            self._fill(_LARGEST_HEAD)
        head = bytes(self._buffer[self._begin : head_end])
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        self._begin = head_end + 4
        while self._end - self._begin < size:
            self._fill(size)
        body = memoryview(self._buffer)[self._begin : self._begin + size]
        self._begin += size
        return Answer(int(head[9:12]), head, body)

    def _fill(self, wanted: int) -> None:
        if self._begin and self._begin + wanted > len(self._buffer):
            # what was handed out is no longer valid now: a new buffer leaves it as it was all the same
            rest = self._buffer[self._begin : self._end]
            self._buffer = bytearray(max(len(self._buffer), wanted + _LARGEST_HEAD))
            self._buffer[: len(rest)] = rest
            self._begin, self._end = 0, len(rest)
        elif wanted > len(self._buffer) - self._begin:
            self._buffer = self._buffer + bytes(wanted)
        got = self._socket.recv_into(memoryview(self._buffer)[self._end :])
        if not got:
            raise ConnectionError("the daemon closed the connection")
        self._end += got

    def ask(self, request: bytes) -> Answer:
        self.send(request)
        return self.receive()

    def json(self, request: bytes) -> Any:
        """The JSON of an answer that must be a success."""
        answer = self.ask(request)
        check(answer)
        return answer.json()

    def timed(self, request: bytes) -> tuple[float, Answer]:
        """An answer and the seconds from the first byte sent to the last one received."""
        began = time.perf_counter()
        self._socket.sendall(request)
        answer = self.receive()
        return time.perf_counter() - began, answer

    def close(self) -> None:
        self._socket.close()


def check(answer: Answer) -> None:
    """Refuse to go on with anything but a success."""
    if answer.status not in (200, 201):
        raise RuntimeError(f"answered {answer.status}: {bytes(answer.body[:300])!r}")


def drive(wires: Sequence[Wire], requests: Sequence[bytes]) -> float:
    """Work off all requests, one at a time on each wire; the seconds it took."""
    waiting = iter(requests)
    busy = {}
    began = time.perf_counter()
    for wire, request in zip(wires, waiting, strict=False):
        wire.send(request)
        busy[wire.fileno()] = wire
    while busy:
        for number in select.select(list(busy), (), ())[0]:
            wire = busy[number]
            check(wire.receive())
            following = next(waiting, None)
            if following is None:
                del busy[number]
            else:
                wire.send(following)
    return time.perf_counter() - began

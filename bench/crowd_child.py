"""
Clients that misbehave, in a process of their own that answers each line of JSON with one, until its end.

Some only stay connected. In a siege some drip a request's head, some drip a body, and some ask for much and
read nothing; who is cut off comes again at once.
"""

import json
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from resttorrent.descriptors import raise_limit

from .wire import Wire, check, connect, get

_PACED = 100
_DRIP = 1.0
"""Seconds between two bytes of each client."""
_RECEIVE_BUFFER = 4096
_ARRIVAL = 10.0
"""Seconds in which all come: who reads nothing asks for much, which is work before it is a siege."""
_ASKED = 100
"""Answers that each of those wants that read nothing."""


class Bad:
    """
    One client of a siege.

    :ivar kind: ``head``, ``body`` or ``unread``.
    """

    def __init__(self, port: int, kind: str, path: str) -> None:
        self.kind = kind
        receive_buffer = _RECEIVE_BUFFER if kind == "unread" else 0
        self.socket = connect(port, receive_buffer=receive_buffer)
        self.began = self.dripped = time.monotonic()
        if kind == "unread":
            self.socket.sendall(get(path) * _ASKED)
        elif kind == "body":
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            self.socket.sendall(f"{head}Content-Length: 5000\r\n\r\n".encode())
        else:
            self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ".encode())

    def drip(self, now: float) -> None:
        """One more byte, if it is time; spread over the second as the connections were."""
        if self.kind != "unread" and now - self.dripped >= _DRIP:
            self.dripped = now
            try:
                self.socket.send(b" " if self.kind == "body" else b"x")
            except OSError:
                # it was cut off: the loop hears of that
                return

    def hears(self) -> bool:
        """Whether the daemon has anything to say but goodbye."""
        try:
            return bool(self.socket.recv(4096))
        except OSError:
            return False


class Crowd:
    """All clients, and what is asked of them."""

    def __init__(self) -> None:
        self._silent: list[socket.socket] = []

    def connect(self, port: int, count: int) -> dict[str, Any]:
        """So many connections that send nothing; the seconds it took."""
        wire = Wire(port, room=65536)
        began = time.perf_counter()
        for number in range(count):
            if number % _PACED == 0:
                # else the kernel's queue would be full before the daemon has looked, and TCP wait a second
                check(wire.ask(get("/v1")))
            self._silent.append(connect(port))
        check(wire.ask(get("/v1")))
        seconds = time.perf_counter() - began
        wire.close()
        return {"seconds": seconds}

    def open(self) -> dict[str, Any]:
        """How many of these connections are still there."""
        poll = select.epoll()
        for one in self._silent:
            poll.register(one.fileno(), select.EPOLLIN)
        closed = len(poll.poll(0))
        poll.close()
        return {"open": len(self._silent) - closed}

    def besiege(self, port: int, path: str, count: int, seconds: float) -> dict[str, Any]:
        """
        So many clients of each kind, for some seconds.

        :param path: of a long list.
        :return: by kind: ``lives``, seconds from each connection to its end, and ``left``, seconds that each
            of the others has lived.
        """
        poll = select.epoll()
        clients: dict[int, Bad] = {}
        lives: dict[str, list[float]] = {"head": [], "body": [], "unread": []}

        def begin(kind: str) -> None:
            client = Bad(port, kind, path)
            clients[client.socket.fileno()] = client
            # a reset is always told
            poll.register(client.socket.fileno(), 0 if kind == "unread" else select.EPOLLIN)

        began, come = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            while come < 3 * count * min((now - began) / _ARRIVAL, 1):
                begin(("head", "body", "unread")[come % 3])
                come += 1
            for descriptor, _ in poll.poll(0.02):
                client = clients[descriptor]
                if client.kind != "unread" and client.hears():
                    continue
                lives[client.kind].append(now - client.began)
                del clients[descriptor]
                client.socket.close()
                begin(client.kind)
            for client in clients.values():
                client.drip(now)
        left: dict[str, list[float]] = {kind: [] for kind in lives}
        for client in clients.values():
            left[client.kind].append(now - client.began)
            client.socket.close()
        return {kind: {"lives": lives[kind], "left": left[kind]} for kind in lives}


def main() -> None:
    """Serve until standard input ends."""
    raise_limit()
    crowd = Crowd()
    for line in sys.stdin:
        arguments = json.loads(line)
        method: Callable[..., dict[str, Any]] = getattr(crowd, arguments.pop("do"))
        print(json.dumps(method(**arguments)), flush=True)


if __name__ == "__main__":
    main()

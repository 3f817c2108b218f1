"""A relay in front of a daemon, whose connections can be cut."""

import contextlib
import socket
import threading
from collections.abc import Callable


class Relay:
    """Passes TCP connections on to a port of 127.0.0.1; ``port`` is its own."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._passing = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)

    def cut(self) -> None:
        """Break all connections, and each new one, until ``mend``."""
        with self._lock:
            self._passing = False
            for end in self._sockets:
                _shut(end)

    def mend(self) -> None:
        with self._lock:
            self._passing = True

    def close(self) -> None:
        self.cut()
        _shut(self._listener)
        self._listener.close()
        for thread in self._threads:
            thread.join()
        for end in self._sockets:
            end.close()

    def _start(self, target: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if not self._passing:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets |= {client, server}
            self._start(self._pass_on, client, server)
            self._start(self._pass_on, server, client)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        # the other direction may end them both
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        _shut(source)
        _shut(sink)


def _shut(end: socket.socket) -> None:
    # it may be shut already
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)

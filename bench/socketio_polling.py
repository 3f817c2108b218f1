"""A Socket.IO client by long-polling, EIO4, on one connection; a poll is always open."""

import re

from .socketio_wire import PING, LiveWire

_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
_SID = re.compile(rb'"sid":"([^"]+)"')
_PATH = b"/socket.io/?EIO=4&transport=polling"
_SEPARATOR = b"\x1e"
_PONG, _JOIN = b"3", b"40"


class PollingWire(LiveWire):
    """One client that has joined the main namespace, and only listens."""

    _path = _PATH

    def _join(self) -> None:
        sid = _SID.search(self._ask(self._get()))
        assert sid is not None
        self._path += b"&sid=" + sid[1]
        self._ask(self._post(_JOIN))
        welcome = self._ask(self._get())
        if not welcome.startswith(_JOIN):
            raise RuntimeError(f"not let in: {welcome[:200]!r}")
        self.send(self._get())

    def _cut(self, data: bytes) -> list[bytes]:
        self._rest += data
        packets: list[bytes] = []
        while (body := self._body()) is not None:
            if body == b"ok":
                continue
            came = body.split(_SEPARATOR)
            # a pong and the next poll in one go
            self.send((self._post(_PONG) if PING in came else b"") + self._get())
            packets += (packet for packet in came if packet != PING)
        return packets

    def _get(self) -> bytes:
        return b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % self._path

    def _post(self, packet: bytes) -> bytes:
        head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
        return head % (self._path, len(packet)) + packet

    def _ask(self, request: bytes) -> bytes:
        self.send(request)
        while (body := self._body()) is None:
            self._rest += self._received()
        return body

    def _body(self) -> bytes | None:
        """The body of an answer that is there whole."""
        head, separator, rest = self._rest.partition(b"\r\n\r\n")
        if not separator:
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"answered {head[:100]!r}")
        found = _LENGTH.search(head)
        assert found is not None
        size = int(found[1])
        if len(rest) < size:
            return None
        self._rest = rest[size:]
        return rest[:size]

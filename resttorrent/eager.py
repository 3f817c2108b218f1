"""
Connections that can write at once.

Twisted keeps what is written until the reactor polls: two calls to have the socket watched and one to poll,
before a byte goes. Where one push goes to a thousand clients, that is most of what it costs.
``write_at_once`` tries the socket first and leaves what the kernel does not take to ``write``. Answers to
requests, written in pieces that are better sent together, gain nothing by it: ``write`` stays as it is.
"""

from twisted.internet import tcp
from twisted.internet.interfaces import IListeningPort, IProtocolFactory


class EagerServer(tcp.Server):
    """A TCP connection that was accepted."""

    def write_at_once(self, data: bytes) -> None:
        """As ``write``; what the kernel takes is out when this returns."""
        # what waits goes first; and a pull producer is told to go on only by what waited
        waits = self._tempDataLen or self.dataBuffer or self.TLS
        if not waits and self.connected and not self._writeDisconnected and self._only_pushed():
            data = self._sent(data)
        if data:
            self.write(data)  # type: ignore[no-untyped-call]

    def _only_pushed(self) -> bool:
        return self.producer is None or self.streamingProducer

    def _sent(self, data: bytes) -> bytes:
        """What is left to be sent."""
        try:
            return data[self.socket.send(data) :]
        except OSError:
            # a full buffer, or a lost connection: the reactor finds that out by itself
            return data


def make_eager(port: IListeningPort, factory: IProtocolFactory) -> None:
    """
    Have a port make such connections, if it is one of plain TCP.

    :param factory: what the port was made with. Below TLS stands another one, which writes as it must.
    """
    if type(port) is tcp.Port and port.factory is factory:
        port.transport = EagerServer

"""The access log: a line a request at debug level, and nothing that costs anything at others."""

from collections.abc import Callable

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import Logger
from twisted.web.http import Request

from .printable import shortened
from .request_ids import RequestIds

LONGEST_PATH = 512


class AccessLog:
    """
    Logs requests when they have been answered: client, method, path, status, bytes, milliseconds.

    The query is left out: a token may stand there. So is what the client calls itself.

    :param seconds: a monotonic clock.
    :ivar on: whether anything is logged.
    :ivar ids: gives the requests their numbers, logged or not.
    """

    _log = Logger()

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.seconds = seconds
        self.on = False
        self.ids = RequestIds()

    def began(self) -> float | None:
        """When a request begins, if that is to be logged."""
        return self.seconds() if self.on else None

    def request(self, request: Request, began: float | None) -> None:
        """
        An HTTP request was answered.

        :param began: when it had been read; ``None`` if that was not noted.
        """
        self._log.debug(
            '{client} "{method} {path}" {status} {sent} bytes, {duration}',
            client=_client(request),
            method=request.method.decode("latin-1"),
            path=shortened(request.uri.partition(b"?")[0].decode("latin-1"), LONGEST_PATH),
            status=request.code,
            sent=request.sentLength,
            duration=self._since(began),
        )

    def taken_over(self, request: Request) -> None:
        """A connection became a WebSocket by this request: HTTP has no part in it any more."""
        self._log.debug(
            '{client} "{method} {path}" became a WebSocket',
            client=_client(request),
            method=request.method.decode("latin-1"),
            path=shortened(request.uri.partition(b"?")[0].decode("latin-1"), LONGEST_PATH),
        )

    def command(self, name: str, outcome: str, began: float | None) -> None:
        """A command of a Socket.IO client was answered; ``outcome`` is ``success`` or the error's code."""
        self._log.debug(
            "socketio {name} {outcome}, {duration}",
            name=name,
            outcome=outcome,
            duration=self._since(began),
        )

    def _since(self, began: float | None) -> str:
        return "unknown time" if began is None else f"{(self.seconds() - began) * 1000:.1f} ms"


def _client(request: Request) -> str:
    address = request.getClientAddress()
    return address.host if isinstance(address, IPv4Address | IPv6Address) else "unix"

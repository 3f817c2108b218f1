"""The way to a server: nowhere but to addresses that were judged, with an eye on what comes back."""

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from .addresses import Address

CONNECT_TIMEOUT = 10.0
"""Seconds for one address; another may still be tried within the fetch's deadline."""

MAX_ADDRESSES = 4
"""A name may have hundreds, and each silent one costs its timeout."""

MAX_HEAD = 128 * 1024
"""Bytes that may arrive before the end of the headers (Twisted bounds a line, not their number)."""


class NoConnection(Exception):
    """No address took the connection."""


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class Connector:
    """
    Endpoint of one request, whatever host the request names.

    :param tls: options that verify the original name, or ``None`` for plain TCP.
    """

    def __init__(self, reactor: Any, addresses: Sequence[Address], port: int, tls: Any) -> None:
        self._reactor = reactor
        self._addresses = addresses[:MAX_ADDRESSES]
        self._port = port
        self._tls = tls
        self._meter: _Meter | None = None

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Ourselves: the URI's host is for the Host header, not for us."""
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Try the addresses one after the other."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        last: ConnectError | None = None
        for address in self._addresses:
            try:
                self._meter = await self._endpoint(address).connect(_metered(factory))
                return self._meter.wrappedProtocol
            except ConnectError as error:
                last = error
        raise NoConnection from last

    def _endpoint(self, address: Address) -> Any:
        kind = TCP4ClientEndpoint if isinstance(address, IPv4Address) else TCP6ClientEndpoint
        endpoint = kind(self._reactor, str(address), self._port, timeout=CONNECT_TIMEOUT)
        return endpoint if self._tls is None else wrapClientTLS(self._tls, endpoint, self._reactor)

    @property
    def head_too_long(self) -> bool:
        """Whether the connection was cut because the headers never ended."""
        return self._meter is not None and self._meter.overflowed

    def head_received(self) -> None:
        """From now on the body's limit holds."""
        if self._meter is not None:
            self._meter.budget = None

    def abort(self) -> None:
        """Cut the connection, if there is one."""
        if self._meter is not None:
            self._meter.abort()


class _Meter(ProtocolWrapper):
    """Count what arrives (after TLS, if any) until the headers are complete."""

    def __init__(self, factory: "WrappingFactory[_Meter]", wrapped: IProtocol) -> None:
        super().__init__(factory, wrapped)
        self.budget: int | None = MAX_HEAD
        self.overflowed = False
        self._lost = False

    def dataReceived(self, data: bytes) -> None:
        if self.budget is not None:
            self.budget -= len(data)
            if self.budget < 0:
                self.overflowed = True
                self.abort()
                return
        ProtocolWrapper.dataReceived(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        ProtocolWrapper.connectionLost(self, reason)

    def abort(self) -> None:
        transport: Any = self.transport
        if not self._lost:
            transport.abortConnection()


def _metered(factory: IProtocolFactory) -> WrappingFactory[_Meter]:
    metered: WrappingFactory[_Meter] = WrappingFactory(factory)
    metered.protocol = _Meter
    metered.noisy = False
    return metered

"""
One HTTP request to a server whose addresses have been judged.

Heavy to import (Twisted's HTTP client and TLS): whoever wants it imports it when first needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from OpenSSL.SSL import Error as TLSError
from service_identity.exceptions import VerificationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError, ConnectionLost
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IPolicyForHTTPS, IResponse

from .._version import __version__
from ..errors import FetchFailed, TooLarge
from .addresses import Address
from .connector import Connector, NoConnection
from .targets import Target

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Redirect:
    """An answer that sends us elsewhere; its body was not read."""

    location: bytes


async def get(
    reactor: Any,
    target: Target,
    addresses: Sequence[Address],
    *,
    limit: int,
    tls: IPolicyForHTTPS | None = None,
) -> bytes | Redirect:
    """
    GET ``target`` from the first of ``addresses`` that takes the connection, which is gone afterwards.

    :param limit: largest body, in bytes.
    :raises FetchFailed: for whatever goes wrong, :raises TooLarge: for a longer body.
    """
    connector = Connector(reactor, addresses, target.port, _tls_options(target, tls))
    agent = Agent.usingEndpointFactory(reactor, connector)
    headers = Headers(
        {
            b"User-Agent": [b"RestTorrent/" + __version__.encode()],
            b"Accept": [b"*/*"],
            b"Accept-Encoding": [b"identity"],
        }
    )
    try:
        response: IResponse = await agent.request(b"GET", target.url.encode(), headers)
        connector.head_received()
        return await _content(response, limit)
    except (FetchFailed, TooLarge):
        raise
    except Exception as error:
        if _is_cancellation(error):
            raise CancelledError from None
        raise FetchFailed(f"url: {_explanation(error, connector, target)}", field="url") from error
    finally:
        connector.abort()


def _tls_options(target: Target, policy: IPolicyForHTTPS | None) -> Any:
    if target.scheme != "https":
        return None
    policy = BrowserLikePolicyForHTTPS() if policy is None else policy
    try:
        return policy.creatorForNetloc(target.host.encode(), target.port)
    except UnicodeError:  # a name that no certificate can hold, such as one with an underscore
        raise FetchFailed(f"url: {target.host} can't be reached by https", field="url") from None


async def _content(response: IResponse, limit: int) -> bytes | Redirect:
    if response.code in _REDIRECTS:
        locations = response.headers.getRawHeaders(b"Location", [])
        if len(locations) != 1:
            raise FetchFailed(f"url: the server answered {response.code} without one Location", field="url")
        return Redirect(locations[0])
    if response.code != 200:
        raise FetchFailed(f"url: the server answered {response.code}", field="url")
    encodings = response.headers.getRawHeaders(b"Content-Encoding", [])
    if any(encoding.strip().lower() not in (b"", b"identity") for encoding in encodings):
        raise FetchFailed("url: the server compressed its answer though asked not to", field="url")
    if response.length is not UNKNOWN_LENGTH and response.length > limit:
        raise _too_large(limit)
    collector = _Collector(limit)
    response.deliverBody(collector)
    return await collector.body


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"url: leads to more than {limit} bytes", field="url")


class _Collector(Protocol):
    """Keep a body up to a limit; whoever awaits ``body`` aborts the connection at its end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self.body: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        if self.body.called:
            return
        self._size += len(data)
        if self._size > self._limit:
            self._pieces.clear()
            self.body.errback(_too_large(self._limit))
        else:
            self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.body.called:
            return
        # without Content-Length or chunks the end of the connection is the end of the body (RFC 9112 §6.3)
        if reason.check(ResponseDone, PotentialDataLoss):
            self.body.callback(b"".join(self._pieces))
        else:
            self.body.errback(reason)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and those that Twisted's client wrapped in it."""
    reasons = getattr(error, "reasons", None)
    if not reasons:
        return [error]
    return [cause for reason in reasons if reason is not None for cause in _causes(reason.value)]


def _is_cancellation(error: BaseException) -> bool:
    return any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in _causes(error))


def _explanation(error: BaseException, connector: Connector, target: Target) -> str:
    if connector.head_too_long:
        return f"{target.host} sent headers without end"
    causes = _causes(error)
    if any(isinstance(cause, NoConnection) for cause in causes):
        return f"{target.host} takes no connection at port {target.port}"
    if any(isinstance(cause, TLSError | VerificationError) for cause in causes):
        return f"{target.host} could not be verified, or speaks no TLS"
    if any(isinstance(cause, ConnectionLost) for cause in causes):
        return f"{target.host} broke the connection"
    return f"{target.host} gave no complete HTTP answer"

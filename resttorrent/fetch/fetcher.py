"""One fetch: hops, judgement and deadline."""

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IHostnameResolver
from twisted.web.iweb import IPolicyForHTTPS

from ..errors import AddressRefused, BadParameter, FetchFailed, FetchTimeout
from .addresses import Address, Network, is_admitted
from .lookup import Lookup
from .targets import Target, parse_target, redirect_target

DEADLINE = 30.0
"""Seconds for all hops together, name lookups included."""

MAX_REDIRECTS = 5

CONCURRENT_FETCHES = 8
"""More wait for their turn (their deadline begins with it): each may hold a whole body in memory."""


class Fetcher:
    """
    Gets what lies at a URL that somebody else chose.

    Only http and https are spoken. Each host is looked up once per hop, **every** address it has must be
    public or allowed, and the connection goes to an address that was judged: a name that changes its mind in
    between gains nothing. Redirects carry neither credentials nor Referer and can't lead from https to http.
    A URL with a user name or password is an error: sent without them, it would be refused for no visible
    reason. No proxy of the environment is used, no connection is kept.

    :param reactor: for connections, time and (unless ``resolver`` is given) names.
    :param allow: networks that may be reached although they are not public.
    :param resolver: what looks names up; default: the reactor's.
    :param tls: how servers are verified; default: against the system's certificates.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        allow: Sequence[Network] = (),
        resolver: IHostnameResolver | None = None,
        tls: IPolicyForHTTPS | None = None,
    ) -> None:
        self._reactor = reactor
        self._allow = tuple(allow)
        self._lookup = Lookup(reactor.nameResolver if resolver is None else resolver)
        self._tls = tls
        self._slots = DeferredSemaphore(CONCURRENT_FETCHES)

    def admit(self, allow: Sequence[Network]) -> None:
        """Let these networks be reached from now on although they are not public, and no others."""
        self._allow = tuple(allow)

    async def fetch(self, url: str, *, limit: int) -> bytes:
        """
        The body that a GET of ``url`` answers with; cancelling aborts the connection.

        :param limit: largest body, in bytes.
        :raises BadParameter: ``url`` can't be fetched by anyone.
        :raises AddressRefused: a hop leads to an address that is not public.
        :raises FetchFailed: no such host, no connection, no trust, no HTTP, or a status other than 200.
        :raises FetchTimeout: it took longer than ``DEADLINE``.
        :raises TooLarge: the body is longer than ``limit``.
        """
        try:
            target = parse_target(url)
        except ValueError as error:
            raise BadParameter(f"url: expected {error}", field="url") from None
        await self._slots.acquire()
        try:
            return await self._in_time(target, limit)
        finally:
            self._slots.release()

    async def _in_time(self, target: Target, limit: int) -> bytes:
        work = Deferred.fromCoroutine(self._follow(target, limit))
        deadline = self._reactor.callLater(DEADLINE, work.cancel)
        try:
            return await work
        except CancelledError:
            if deadline.active():
                raise
            raise FetchTimeout(f"url: took longer than {DEADLINE:.0f} seconds", field="url") from None
        finally:
            if deadline.active():
                deadline.cancel()

    async def _follow(self, target: Target, limit: int) -> bytes:
        # brings in the HTTP client, which a start without fetches need not wait for
        from .exchange import Redirect, get

        for _ in range(MAX_REDIRECTS + 1):
            addresses = await self._judged_addresses(target)
            answer = await get(self._reactor, target, addresses, limit=limit, tls=self._tls)
            if not isinstance(answer, Redirect):
                return answer
            target = _next_target(target, answer.location)
        raise FetchFailed(f"url: more than {MAX_REDIRECTS} redirects", field="url")

    async def _judged_addresses(self, target: Target) -> Sequence[Address]:
        if target.literal is not None:
            addresses: Sequence[Address] = [target.literal]
        else:
            addresses = await self._lookup.addresses(target.host, target.port)
        if not addresses:
            raise FetchFailed(f"url: {target.host} has no address", field="url")
        if not all(is_admitted(address, self._allow) for address in addresses):
            raise AddressRefused(
                f"url: {target.host} is not on the public internet (see --fetch-allow)",
                field="url",
            )
        return addresses


def _next_target(base: Target, location: bytes) -> Target:
    try:
        target = redirect_target(base, location)
    except ValueError as error:
        raise FetchFailed(f"url: redirected, but not to {error}", field="url") from None
    if base.scheme == "https" and target.scheme != "https":
        raise FetchFailed("url: redirected from https to http", field="url")
    return target

"""
Who asks, as the policy says; a token that was good is known again by its header, while its connection lives.

A dashboard that asks many times a second is judged whole once: afterwards it is only seen whether its token
is still good. What the connection keeps is the header as it came, which is in its buffers anyway.
"""

from collections.abc import Callable
from typing import Any

from twisted.web.server import Request

from ..access.policy import bearer_of
from ..access.principals import Principal
from ..access.requests import Facts, facts_of
from ..errors import CommandError

Judge = Callable[[Facts], Principal]
Check = Callable[[Principal], None]


class Judging:
    """
    :param judge: says who asks; :param check: fails if one who was let in no longer may be. Without it
        everybody is judged every time. See ``access.policy``.
    """

    def __init__(self, judge: Judge, check: Check | None) -> None:
        self._judge = judge
        self._check = check

    def who_asks(self, request: Request) -> Principal:
        """
        Who asks.

        :raises CommandError: as the policy does.
        """
        given = request.requestHeaders.getRawHeaders(b"authorization")
        channel: Any = request.channel
        # a WSGI server's connections are not ours
        if self._check is None or given is None or len(given) != 1 or not hasattr(channel, "known"):
            return self._judge(facts_of(request))
        header = given[0]
        known: tuple[bytes, Principal] | None = channel.known
        if known is not None and known[0] == header:
            try:
                self._check(known[1])
            except CommandError:
                # told, and counted, as the first time
                channel.known = None
            else:
                return known[1]
        principal = self._judge(facts_of(request))
        # by another scheme it was not the header that said who asks
        if principal.grant is not None and bearer_of(header) is not None:
            channel.known = header, principal
        return principal

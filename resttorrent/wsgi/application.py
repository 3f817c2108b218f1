"""The callable that a WSGI server is given."""

import os
from collections.abc import Callable
from typing import Any

from ..errors import CommandError
from .channel import Outgoing, refusal
from .host import Host
from .incoming import Environ, Incoming, body_of

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Application:
    """
    A WSGI application; many threads may call it at once, each waits for its own answer.

    That a client is gone can't be seen through WSGI: its request runs to its end.

    :param host: where the daemon runs; by default in this process, configured by its environment.
    """

    def __init__(self, host: Host | None = None) -> None:
        self._host = Host(os.environ) if host is None else host

    def start(self) -> None:
        """Begin to start the daemon and don't wait; should that fail, the log and all requests say so."""
        self._host.begin()

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        incoming = Incoming.of(environ)
        try:
            outgoing = self._answer(environ, incoming)
        except CommandError as error:
            outgoing = refusal(error, incoming)
        start_response(outgoing.status, outgoing.headers)
        return [outgoing.body] if outgoing.body else []

    def _answer(self, environ: Environ, incoming: Incoming) -> Outgoing:
        site = self._host.site()
        # only now: a body that nobody will take isn't read
        body = body_of(environ, site.body_limit)
        return self._host.ask(site, incoming, body)

# mypy: disallow-untyped-calls=False
# (twisted.web's methods)
"""
Engine.IO by long-polling, on twisted.web: GETs wait for packets, POSTs bring some.

Source: the Engine.IO protocol, versions 3 and 4, *HTTP long-polling*.
"""

import json

from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from .connection import Connection
from .eio_packet import MalformedPacket
from .eio_payload import BINARY
from .eio_server import Refused
from .eio_socket import NotPolling, Overlap
from .handshake import Handshake, headers_of, query_of
from .server import SocketServer


def handshake_of(request: Request) -> Handshake:
    """What an HTTP request says of its client."""
    peer = request.getClientAddress()
    return Handshake(
        query_of(request.uri),
        headers_of(request.requestHeaders.getAllRawHeaders()),
        getattr(peer, "host", None) or str(peer),
        peer,
    )


class Polling:
    """
    The HTTP side of a server.

    :param allow_origin: pages of which origin may ask (``*`` for all); ``None`` for those of our own alone.
    """

    def __init__(self, server: SocketServer, *, allow_origin: str | None = None) -> None:
        self._server = server
        self._allow_origin = allow_origin
        self._begun: dict[Request, Connection] = {}

    def render(self, request: Request) -> int:
        """Answer a request, now or later."""
        if request.method == b"OPTIONS":
            _answer(request, 204, b"", b"text/plain", self._cors(preflight=True))
            return NOT_DONE_YET
        try:
            connection = self._server.check(
                handshake_of(request), method=request.method.decode("latin-1"), websocket=False
            )
            if connection is None:
                connection = self._server.open(handshake_of(request))
            if request.method == b"GET":
                self._get(request, connection)
            elif request.method == b"POST":
                self._post(request, connection)
            else:
                raise Refused(3, "Bad request")
        except Refused as refused:
            self._refuse(request, refused)
        return NOT_DONE_YET

    def body_limit(self, uri: bytes) -> int:
        """Bytes that the body of a request may have."""
        connection = self._server.named(query_of(uri))
        return self._server.engines.body_limit(None if connection is None else connection.engine)

    def begin_body(self, request: Request) -> None:
        """
        A POST's head came, its body follows; the request may end before ``render`` sees it.

        For sites that tell of it. ``render`` alone does as well, but can't see two POSTs at once.
        """
        connection = self._server.named(query_of(request.uri))
        if connection is None or request.method != b"POST":
            return
        try:
            connection.begin_post()
        except (NotPolling, Overlap):
            # render refuses it when it is there
            return
        self._begun[request] = connection
        request.notifyFinish().addBoth(self._post_over, request)

    def _post_over(self, _: object, request: Request) -> None:
        connection = self._begun.pop(request, None)
        if connection is not None:
            connection.break_post()

    def refuse_body(self, request: Request) -> None:
        """A POST's body is too long, and is not read: its session ends."""
        connection = self._server.named(query_of(request.uri))
        if connection is not None:
            self._too_long(connection)

    def _too_long(self, connection: Connection) -> None:
        self._server.refusals["too_long"] += 1
        connection.abort("a body was too long")

    def _get(self, request: Request, connection: Connection) -> None:
        finished = request.notifyFinish()

        def respond(content_type: bytes, body: bytes) -> None:
            # the client left and nobody heard of it yet, if it is called already
            if not finished.called:
                _answer(request, 200, body, content_type, self._cors())

        def gone(_: Failure) -> None:
            connection.poll_gone()

        try:
            connection.poll(respond)
        except (NotPolling, Overlap):
            raise Refused(3, "Bad request") from None
        finished.addErrback(gone)

    def _post(self, request: Request, connection: Connection) -> None:
        assert request.content is not None
        body = request.content.read()
        if len(body) > self._server.engines.body_limit(connection.engine):
            self._too_long(connection)
            _answer(request, 413, b"", b"text/plain", self._cors())
            return
        content_type = request.getHeader(b"Content-Type") or b""
        try:
            if self._begun.pop(request, None) is None:
                connection.begin_post()
            connection.post(body, binary=content_type.partition(b";")[0].strip().lower() == BINARY)
        except (NotPolling, Overlap, MalformedPacket):
            raise Refused(3, "Bad request") from None
        # a page shown in its place would be inert
        _answer(request, 200, b"ok", b"text/html", self._cors())

    def _refuse(self, request: Request, refused: Refused) -> None:
        body = json.dumps(refused.body()).encode()
        _answer(request, refused.status, body, b"application/json", self._cors())

    def _cors(self, *, preflight: bool = False) -> dict[bytes, bytes]:
        if self._allow_origin is None:
            return {}
        headers = {b"Access-Control-Allow-Origin": self._allow_origin.encode()}
        if preflight:
            headers[b"Access-Control-Allow-Methods"] = b"GET, POST"
            headers[b"Access-Control-Allow-Headers"] = b"Authorization, Content-Type"
        return headers


def _answer(
    request: Request, status: int, body: bytes, content_type: bytes, headers: dict[bytes, bytes]
) -> None:
    request.setResponseCode(status)
    for name, value in headers.items():
        request.setHeader(name, value)
    if status != 204:
        request.setHeader(b"Content-Type", content_type)
        request.setHeader(b"Content-Length", b"%d" % len(body))
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    request.write(body)
    request.finish()

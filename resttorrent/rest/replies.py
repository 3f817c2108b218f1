"""What becomes of a command's result: an HTTP status, headers and bytes, in the one shape of all answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Formatter
from urllib.parse import quote

from twisted.web.server import Request

from ..commands.answers import Answer, Cookie, Tagged
from ..commands.envelope import TransactionId, encoded, failure_of
from ..commands.registry import Command
from ..errors import CommandError, MethodNotAllowed, TokenNeeded, TooMany

Headers = tuple[tuple[bytes, bytes], ...]

NOT_STORED: Headers = ((b"Cache-Control", b"no-store"),)


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What goes over the wire.

    :ivar headers: beside those that every reply has.
    :ivar opaque_tag: the entity tag between its quotes, or ``None``.
    """

    status: int
    body: bytes
    headers: Headers = NOT_STORED
    opaque_tag: bytes | None = None

    def not_modified(self) -> "Reply":
        """The reply to a client that has this one already (RFC 9110 §15.4.5)."""
        return Reply(304, b"", self.headers, self.opaque_tag)

    def gzipped(self, body: bytes) -> "Reply":
        """The same with its body compressed."""
        return Reply(self.status, body, (*self.headers, (b"Content-Encoding", b"gzip")), self.opaque_tag)

    def closing(self) -> "Reply":
        """The same as the connection's last."""
        return Reply(self.status, self.body, (*self.headers, (b"Connection", b"close")), self.opaque_tag)

    def write_to(self, request: Request) -> None:
        """Write status, headers and (but for HEAD) body to ``request``, which is not finished yet."""
        request.setResponseCode(self.status)
        if self.body:
            request.setHeader(b"Content-Type", b"application/json")
            request.setHeader(b"X-Content-Type-Options", b"nosniff")
        if self.status != 204:
            request.setHeader(b"Vary", b"Accept-Encoding")
        for name, value in self.headers:
            request.setHeader(name, value)
        if self.status not in (204, 304):
            request.setHeader(b"Content-Length", b"%d" % len(self.body))
        request.write(self.body)


class _Paths(Formatter):
    """Fills in segments of a path."""

    def format_field(self, value: object, format_spec: str) -> str:
        return quote(str(value), safe="")


_PATHS = _Paths()


def of_result(
    result: Answer | Tagged[Answer], command: Command, variables: Mapping[str, str], t_id: TransactionId
) -> Reply:
    """
    The reply of a command that succeeded.

    :param variables: of the request's path; ``command.location`` may name them, and ``answer``.
    """
    if isinstance(result, Tagged):
        opaque_tag = result.etag.encode("ascii")
        tagged = ((b"Cache-Control", b"no-cache"), (b"ETag", b'W/"%s"' % opaque_tag))
        return Reply(command.status, encoded(result.answer, t_id), tagged, opaque_tag)
    headers = NOT_STORED
    if command.location is not None:
        location = _PATHS.format(command.location, answer=result, **variables)
        headers = (*headers, (b"Location", location.encode("ascii")))
    return Reply(command.status, encoded(result, t_id), headers)


def of_error(error: CommandError, t_id: TransactionId = None) -> Reply:
    """The reply of a command that failed, or never began."""
    headers = NOT_STORED
    if isinstance(error, MethodNotAllowed):
        headers = (*headers, (b"Allow", ", ".join(error.allowed).encode("ascii")))
    elif isinstance(error, TokenNeeded):
        headers = (*headers, (b"WWW-Authenticate", b'Bearer realm="RestTorrent"'))
    elif isinstance(error, TooMany) and error.retry_after is not None:
        headers = (*headers, (b"Retry-After", b"%d" % error.retry_after))
    return Reply(error.http_status, encoded(failure_of(error), t_id), headers)


def set_cookies(request: Request, cookies: Iterable[Cookie]) -> None:
    """Have a browser keep, or forget, cookies of this site (RFC 6265 §4.1; SameSite: RFC 6265bis §5.6.7)."""
    for cookie in cookies:
        line = b"%s=%s; Path=/; SameSite=Strict" % (cookie.name.encode(), (cookie.value or "").encode())
        if cookie.hidden:
            line += b"; HttpOnly"
        if request.isSecure():
            line += b"; Secure"
        if cookie.value is None:
            line += b"; Max-Age=0"
        request.cookies.append(line)


def of_options(allowed: tuple[str, ...]) -> Reply:
    """What OPTIONS answers."""
    return Reply(204, b"", ((b"Allow", ", ".join(allowed).encode("ascii")),))

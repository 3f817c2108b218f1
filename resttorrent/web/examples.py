"""
The examples that the daemon serves itself, from its own origin: ``/examples/<name>``.

They are read once, at the start. A name is looked up, never made into a path.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from ..errors import CommandError, MethodNotAllowed, NotFound
from ..rest import replies
from ..rest.negotiation import matches_tag
from ..rest.replies import Headers, Reply
from ..rest.routes import normal

METHODS = ("GET", "HEAD", "OPTIONS")
# Not the system's table: that differs from machine to machine.
CONTENT_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".png": b"image/png",
    ".py": b"text/plain; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
}
OTHER_CONTENT_TYPE = b"application/octet-stream"
CONTENT_SECURITY_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"connect-src 'self'"
)


@dataclass(frozen=True, slots=True)
class Page:
    """
    One file.

    :ivar opaque_tag: its entity tag, between the quotes.
    """

    content: bytes
    content_type: bytes
    opaque_tag: bytes

    @classmethod
    def of(cls, name: str, content: bytes) -> "Page":
        content_type = CONTENT_TYPES.get(PurePosixPath(name).suffix, OTHER_CONTENT_TYPE)
        return cls(content, content_type, hashlib.sha256(content).hexdigest()[:32].encode("ascii"))

    @property
    def caching(self) -> Headers:
        return ((b"Cache-Control", b"no-cache"), (b"ETag", b'"%s"' % self.opaque_tag))


def packaged_examples() -> Traversable:
    """The directory of examples that came with the package."""
    return files(__package__) / "static" / "examples"


def pages_in(directory: Traversable) -> dict[str, Page]:
    """The files of a directory by name, without what lies deeper; none, if there is no such directory."""
    if not directory.is_dir():
        return {}
    return {
        file.name: Page.of(file.name, file.read_bytes()) for file in directory.iterdir() if file.is_file()
    }


class Examples(Resource):
    """
    The resource below ``/examples``.

    :param pages: by name.
    :ivar body_limit: bytes; for the site, which reads a body before the method is refused.
    """

    isLeaf = True
    body_limit = 64 * 1024

    def __init__(self, pages: Mapping[str, Page]) -> None:
        Resource.__init__(self)
        self._pages = pages

    def render(self, request: Request) -> int:
        try:
            reply = self._reply(request)
        except CommandError as error:
            reply = replies.of_error(error)
        reply.write_to(request)
        request.finish()
        return NOT_DONE_YET

    def _reply(self, request: Request) -> Reply:
        page = self._pages.get(normal(b"/".join(request.postpath or ())))
        if page is None:
            raise NotFound("there is nothing at this path")
        if request.method == b"OPTIONS":
            return replies.of_options(METHODS)
        if request.method.decode("latin-1") not in METHODS:
            raise MethodNotAllowed(f"this path takes {', '.join(METHODS)}", allowed=METHODS)
        known = b",".join(request.requestHeaders.getRawHeaders(b"If-None-Match") or ())
        if matches_tag(known, page.opaque_tag):
            return Reply(304, b"", page.caching)
        headers = (
            *page.caching,
            (b"Content-Type", page.content_type),
            (b"Content-Security-Policy", CONTENT_SECURITY_POLICY),
            (b"X-Content-Type-Options", b"nosniff"),
            (b"Referrer-Policy", b"no-referrer"),
            (b"X-Frame-Options", b"DENY"),
        )
        return Reply(200, page.content, headers)


def build_examples() -> Examples:
    """The examples that came with the package."""
    return Examples(pages_in(packaged_examples()))

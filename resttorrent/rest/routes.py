"""
From a request's method and path to a handler: Klein holds the routes, werkzeug matches.

Klein's own resource matches the decoded path, in which an encoded slash has become a separator. Here the path
is matched as it was sent, normalised (RFC 3986 §6.2.2.2), and each variable decoded by itself.
"""

import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.web.server import Request
from werkzeug import exceptions

from .. import errors
from .urlencoded import parameter_text

Handler = Callable[..., Coroutine[Deferred[Any], Any, Any]]
"""Called with a request, whatever ``run`` was given, and the path's variables by name."""

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Routes:
    """
    Which handler serves which method and path.

    :param routes: endpoint names with HTTP methods, paths with ``{variables}``, and handlers.
    """

    def __init__(self, routes: Iterable[tuple[str, str, str, Handler]]) -> None:
        self._klein = Klein()
        for name, method, path, handler in routes:
            rule = re.sub(r"{(\w+)}", r"<\1>", path)
            self._klein.route(rule, methods=[method], endpoint=name)(handler)
        self._matcher = self._klein.url_map.bind("")

    def match(self, method: bytes, path: bytes) -> tuple[str, dict[str, str]]:
        """
        The name of the route for a request, and the path's variables, decoded.

        :param path: as in the request line, without the query.
        :raises NotFound: for a path that no route has, :raises MethodNotAllowed: for the wrong method,
            :raises BadParameter: for a variable that is not percent-encoded UTF-8.
        """
        try:
            name, variables = self._matcher.match(normal(path), method.decode("latin-1"))
        except exceptions.MethodNotAllowed:
            allowed = self.allowed(path)
            raise errors.MethodNotAllowed(f"this path takes {', '.join(allowed)}", allowed=allowed) from None
        except exceptions.HTTPException:
            raise errors.NotFound("there is nothing at this path") from None
        return name, {n: parameter_text(n, v.encode("latin-1")) for n, v in variables.items()}

    def run(self, name: str, request: Request, /, *arguments: object, **variables: str) -> Deferred[Any]:
        """Start the handler of the route ``name``, which is given all the rest."""
        started = self._klein.execute_endpoint(name, request, *arguments, **variables)
        assert isinstance(started, Deferred)  # Klein makes one of a coroutine
        return started

    def allowed(self, path: bytes) -> tuple[str, ...]:
        """
        The methods that a path takes; for ``*``, those that any takes.

        :raises NotFound: for a path that no route has.
        """
        if path == b"*":
            every = {method for rule in self._klein.url_map.iter_rules() for method in rule.methods or ()}
            return tuple(sorted({*every, "OPTIONS"}))
        methods = set(self._matcher.allowed_methods(normal(path)))
        if not methods:
            raise errors.NotFound("there is nothing at this path")
        return tuple(sorted({*methods, "OPTIONS"}))


def normal(path: bytes) -> str:
    """A path, or a segment of one, with needless escapes undone: one character for each byte."""
    if b"%" in path:
        path = _ESCAPE.sub(_without_needless_escape, path)
    return path.decode("latin-1")


def _without_needless_escape(escape: re.Match[bytes]) -> bytes:
    byte = int(escape[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else escape[0]

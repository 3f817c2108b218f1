"""What answers which path: other resources by the first segment, the door all else."""

from collections.abc import Mapping

from twisted.web.resource import IResource, getChildForRequest
from twisted.web.server import Request

from .app import Door
from .routes import normal


class Front:
    """
    The resources of a site.

    A resource beside the door may have ``body_limit``, the bytes of body that its requests may have (less
    than the site's), or ``body_limit_at(target)``, which tells them; ``body_refused(request)``, called when
    one has more, before 413 is sent, and ``body_begun(request)``, called when a body is about to be read. The
    request's ``method``, ``uri``, ``path``, ``args`` and headers are known then.

    :param beside: resources by the first segment of their paths, without slashes.
    """

    def __init__(self, door: Door, beside: Mapping[bytes, IResource]) -> None:
        self.door = door
        self._beside = dict(beside)

    def beside(self, target: bytes) -> IResource | None:
        """
        The resource for a request's target, or ``None`` for the door.

        :param target: path and query as in the request line.
        """
        return self._at(target.partition(b"?")[0][1:].partition(b"/")[0])

    def resource_for(self, request: Request) -> IResource:
        """What is to answer; ``prepath`` and ``postpath`` are left as twisted.web's resources expect them."""
        segments = request.postpath or []
        resource = self._at(segments[0])
        if resource is None:
            return self.door
        request.prepath = [segments.pop(0)]
        found: IResource = getChildForRequest(resource, request)
        return found

    def _at(self, segment: bytes) -> IResource | None:
        if b"%" in segment:
            segment = normal(segment).encode("latin-1")
        return self._beside.get(segment)

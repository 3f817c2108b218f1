"""
What can go wrong, each with the stable word that programs read.

An error carries a sentence for people (``message``), a word for programs (``code``) and, where one parameter
is to blame, its name (``field``). ``http_status`` belongs to the contract as well: a batch answers it item by
item.
"""

from typing import ClassVar


class StartFailed(Exception):
    """The daemon can't start; the message is one line for people, without the program's name."""


class CommandError(Exception):
    """A command that could not be done; nothing was changed."""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class BadRequest(CommandError):
    """What came is no HTTP request, or can be read in two ways."""

    code = "bad_request"
    http_status = 400


class BadParameter(CommandError):
    code = "bad_parameter"
    http_status = 400


class UnknownParameter(CommandError):
    code = "unknown_parameter"
    http_status = 400


class ParameterConflict(CommandError):
    code = "parameter_conflict"
    http_status = 400


class TokenNeeded(CommandError):
    """Nobody who is known asks."""

    code = "token_needed"
    http_status = 401


class WrongPassword(TokenNeeded):
    """Nobody has this name and this password; which of them is wrong is not told."""

    code = "wrong_password"


class NotAllowed(CommandError):
    """Whoever asks may not."""

    code = "not_allowed"
    http_status = 403


class PathOutsideRoots(CommandError):
    code = "path_outside_roots"
    http_status = 403


class AddressRefused(CommandError):
    code = "address_refused"
    http_status = 403


class NotFound(CommandError):
    code = "not_found"
    http_status = 404


class SessionNotFound(NotFound):
    code = "session_not_found"


class TorrentNotFound(NotFound):
    code = "torrent_not_found"


class MethodNotAllowed(CommandError):
    code = "method_not_allowed"
    http_status = 405

    def __init__(self, message: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class PortInUse(CommandError):
    code = "port_in_use"
    http_status = 409

    def __init__(self) -> None:
        super().__init__("bind failed address already in use", field="port_range")


class TorrentExists(CommandError):
    code = "torrent_exists"
    http_status = 409


class UserExists(CommandError):
    code = "user_exists"
    http_status = 409


class SessionIsMemoryOnly(CommandError):
    code = "session_is_memory_only"
    http_status = 409


class StateIsMemoryOnly(CommandError):
    code = "state_is_memory_only"
    http_status = 409


class NoMetadata(CommandError):
    code = "no_metadata"
    http_status = 409


class FilesInUse(CommandError):
    code = "files_in_use"
    http_status = 409


class TooLarge(CommandError):
    code = "too_large"
    http_status = 413


class UnsupportedMediaType(CommandError):
    code = "unsupported_media_type"
    http_status = 415


class WrongHost(CommandError):
    """The request was meant for another site."""

    code = "wrong_host"
    http_status = 421


class NotATorrent(CommandError):
    code = "not_a_torrent"
    http_status = 422


class TooMany(CommandError):
    """
    :ivar retry_after: seconds after which it may be tried again, if that is known.
    """

    code = "too_many"
    http_status = 429

    def __init__(self, message: str, *, field: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message, field=field)
        self.retry_after = retry_after


class Busy(CommandError):
    """There is no room for one more client, whoever it is."""

    code = "busy"
    http_status = 503


class EngineError(CommandError):
    """libtorrent, or the disk below it, refused what was asked."""

    code = "engine_error"
    http_status = 500


class FetchFailed(CommandError):
    code = "fetch_failed"
    http_status = 502


class Loading(CommandError):
    code = "loading"
    http_status = 503


class Stopping(CommandError):
    code = "stopping"
    http_status = 503


class FetchTimeout(CommandError):
    code = "fetch_timeout"
    http_status = 504


class EngineTimeout(CommandError):
    code = "engine_timeout"
    http_status = 504


class StateDiskFull(CommandError):
    code = "state_disk_full"
    http_status = 507


class Unhealthy(CommandError):
    """The daemon serves no requests: it starts, stops or is stuck."""

    code = "unhealthy"
    http_status = 503

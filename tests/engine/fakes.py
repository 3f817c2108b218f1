"""Stand-ins for libtorrent's objects that refuse names which the real ones lack."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import libtorrent as lt

from resttorrent.engine.infohash import Identity
from resttorrent.engine.torrent import Torrent

V1, V2 = "ab" * 20, "cd" * 32


def fake_handle() -> Any:
    return create_autospec(lt.torrent_handle, instance=True)


def fake_session() -> Any:
    return create_autospec(lt.session, instance=True)


def torrent(number: int = 1, *, identity: Identity | None = None, **changes: Any) -> Torrent:
    identity = identity or Identity(f"{number:040x}", None)
    values: dict[str, Any] = {
        "save_path": "/d",
        "storage_mode": "sparse",
        "stopped": True,
        "memory_only": False,
        "added_time": 5,
        "magnet": None,
    }
    return Torrent(identity.key, identity, **(values | changes))


def gone(handle: Any) -> None:
    """From now on this handle is one whose torrent was removed."""
    error = RuntimeError("invalid torrent handle used [libtorrent:20]")
    for name in ("save_resume_data", "pause", "resume", "unset_flags", "set_flags", "clear_error", "status"):
        getattr(handle, name).side_effect = error
    handle.is_valid.return_value = False


def error_code(value: int, message: str = "no") -> Any:
    return SimpleNamespace(value=lambda: value, message=lambda: message)

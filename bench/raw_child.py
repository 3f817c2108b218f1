"""
Raw libtorrent from Python, for comparison: a process that answers each line of JSON with one, until its end.

It has the settings of the daemon's sessions, and hears alerts as the daemon does, by an alert descriptor.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import libtorrent as lt

from resttorrent.engine.profile import LOOPBACK_SETTINGS, session_settings
from tests.harness import tiny_torrent

from .machine import settled_kib

_WINDOW = 200
_STOPPED = lt.torrent_flags.paused | lt.torrent_flags.duplicate_is_error | lt.torrent_flags.update_subscribe


class RawSession:
    """One libtorrent session and what is asked of it."""

    def __init__(self) -> None:
        settings: Any = {
            **session_settings(discovery=False),
            **LOOPBACK_SETTINGS,
            "listen_interfaces": "127.0.0.1:0",
        }
        params = lt.session_params()
        params.settings = settings
        self._session = lt.session(params)
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK)
        self._session.set_alert_fd(self._write_end)
        self._handles: list[lt.torrent_handle] = []

    def adds(self, first: int, count: int) -> dict[str, Any]:
        """Add torrents one by one, each awaited; the seconds it took."""
        torrents = [tiny_torrent(number) for number in range(first, first + count)]
        began = time.perf_counter()
        for torrent in torrents:
            self._add_stopped(torrent)
            self._handles += self._heard(lt.add_torrent_alert, 1)
        return {"seconds": time.perf_counter() - began}

    def memory(self, warm: int, count: int) -> dict[str, Any]:
        """Resident KiB before and after ``count`` torrents are added, ``warm`` ones being there already."""
        self._add_all(0, warm)
        before = settled_kib(os.getpid())
        self._add_all(warm, count)
        return {"before": before, "after": settled_kib(os.getpid())}

    def seed(self, torrent: str, save_path: str) -> dict[str, Any]:
        """Check and seed a torrent; the port that peers can connect to."""
        self._session.async_add_torrent(_running(torrent, save_path))
        self._handles += self._heard(lt.torrent_finished_alert, 1)
        return {"port": self._session.listen_port()}

    def seed_slowly(self, torrents: list[str], save_path: str, rate: int) -> dict[str, Any]:
        """Seed torrents that nobody checks, each at so many bytes per second at most; the port."""
        settings: Any = {"unchoke_slots_limit": -1, "connections_limit": 2 * len(torrents)}
        self._session.apply_settings(settings)
        for torrent in torrents:
            params = _running(torrent, save_path)
            params.flags |= lt.torrent_flags.seed_mode
            params.upload_limit = rate
            self._session.async_add_torrent(params)
        self._handles += self._heard(lt.add_torrent_alert, len(torrents))
        return {"port": self._session.listen_port()}

    def download(self, torrent: str, save_path: str, port: int) -> dict[str, Any]:
        """Download a torrent from one peer; the seconds from the add to the last piece."""
        began = time.perf_counter()
        self._session.async_add_torrent(_running(torrent, save_path))
        self._handles = self._heard(lt.add_torrent_alert, 1)
        self._handles[0].connect_peer(("127.0.0.1", port))
        self._heard(lt.torrent_finished_alert, 1)
        return {"seconds": time.perf_counter() - began}

    def remove(self) -> dict[str, Any]:
        """Remove the torrent that was downloaded, and its file."""
        self._session.remove_torrent(self._handles.pop(), lt.session.delete_files)
        self._heard(lt.torrent_deleted_alert, 1)
        return {}

    def _add_all(self, first: int, count: int) -> None:
        for begin in range(first, first + count, _WINDOW):
            numbers = range(begin, min(begin + _WINDOW, first + count))
            for number in numbers:
                self._add_stopped(tiny_torrent(number))
            self._handles += self._heard(lt.add_torrent_alert, len(numbers))

    def _add_stopped(self, torrent: bytes) -> None:
        params = lt.load_torrent_buffer(torrent)
        params.save_path = "/nonexistent"
        params.flags = _STOPPED
        self._session.async_add_torrent(params)

    def _heard(self, kind: type[Any], count: int) -> list[lt.torrent_handle]:
        """The handles of ``count`` alerts of a kind, waited for."""
        handles: list[lt.torrent_handle] = []
        while len(handles) < count:
            select.select([self._read_end], (), ())
            with suppress(BlockingIOError):
                os.read(self._read_end, 4096)
            handles += [alert.handle for alert in self._session.pop_alerts() if isinstance(alert, kind)]
        return handles


def _running(torrent: str, save_path: str) -> lt.add_torrent_params:
    params = lt.load_torrent_buffer(Path(torrent).read_bytes())
    params.save_path = save_path
    params.flags = (params.flags | lt.torrent_flags.auto_managed) & ~lt.torrent_flags.paused
    return params


def main() -> None:
    """Serve until standard input ends."""
    session = RawSession()
    for line in sys.stdin:
        arguments = json.loads(line)
        method: Callable[..., dict[str, Any]] = getattr(session, arguments.pop("do"))
        print(json.dumps(method(**arguments)), flush=True)


if __name__ == "__main__":
    main()

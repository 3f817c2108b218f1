"""
Whether a torrent's files stay inside the save roots, looked at whenever libtorrent may begin to open them.

Source: ``paths.Roots``, which follows links as the kernel would.
"""

import libtorrent as lt

from ..paths import Roots
from .metainfo import file_paths
from .worker import Worker

FEW = 100
"""Files that are looked at in the reactor's thread: below 1 ms. More go to the worker."""


class Confinement:
    """Checks the files of one session's torrents."""

    def __init__(self, roots: Roots, worker: Worker) -> None:
        self._roots = roots
        self._worker = worker

    async def check(self, save_path: str, info: lt.torrent_info | None) -> None:
        """
        Look at the files below ``save_path``; at that folder alone while they are not known.

        :raises PathOutsideRoots: if a link leads them out.
        """
        if info is None or info.num_files() <= FEW:
            self._check(save_path, info)
        else:
            await self._worker.call(self._check, save_path, info)

    def _check(self, save_path: str, info: lt.torrent_info | None) -> None:
        self._roots.check_files(save_path, () if info is None else file_paths(info))

"""
Takes away twistd's pid file when the process it names is not this daemon.

twistd refuses to start while any process has the number in the file: after a reboot or in a container that
is often another program, or twistd itself. The lock in the state folder, not this, keeps two daemons apart.
"""

import os
from pathlib import Path

from twisted.logger import Logger

PROC = Path("/proc")


def remove_if_stale(pid_file: Path, proc: Path = PROC) -> bool:
    """
    Remove a pid file that names no running ``twistd resttorrent``.

    A file that is no pid file is left for twistd to refuse, and so is every file where there is no procfs.

    :return: whether it was removed.
    """
    try:
        content = pid_file.read_bytes().strip(b"\0 \t\r\n")
    except OSError:
        return False
    # A power cut leaves an empty file, or one of NULs.
    if content and (not content.isdigit() or not (proc / "self").exists() or _is_ours(int(content), proc)):
        return False
    pid_file.unlink(missing_ok=True)
    Logger().info("removed the stale pid file {path}", path=str(pid_file))
    return True


def _is_ours(pid: int, proc: Path) -> bool:
    if pid == os.getpid():
        return False
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"resttorrent" in words and any(b"twistd" in word for word in words)

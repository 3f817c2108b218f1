"""
File descriptors, of which each client, peer and open file is one.

Systems start processes with a soft limit of 1,024, for the sake of programs that use ``select``, and let them
raise it to the hard one, which is usually far higher. Nothing here uses ``select``.
"""

import resource

from twisted.logger import Logger

WANTED = 65_536
"""Enough for 10,000 clients and as many peers; each libtorrent session goes by the limit as well."""

_log = Logger()


def raise_limit() -> int:
    """
    Raise the soft limit of this process to ``WANTED``, or the hard limit; never lower it.

    :return: the soft limit that holds now, ``resource.RLIM_INFINITY`` for none.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        _log.warn("the limit of open files stays at {soft}: {error}", soft=soft, error=error)
        return soft
    return wanted

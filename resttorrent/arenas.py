"""
How many heaps the C library keeps.

glibc gives threads heaps of their own ("arenas"), up to eight for each core, and returns little of what is
free in them. libtorrent's threads come and go with their sessions, and each heap stays as large as it ever
was: a daemon of many months is smaller with few. Source: mallopt(3).
"""

import ctypes
import os
from collections.abc import Mapping

MOST = 2
_M_ARENA_MAX = -8


def limit_arenas(environment: Mapping[str, str] = os.environ) -> bool:
    """
    Have ``MOST`` at most, those that are there already included.

    :return: whether it was done: not where ``MALLOC_ARENA_MAX`` says how many, nor without glibc.
    """
    if "MALLOC_ARENA_MAX" in environment:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_ARENA_MAX, MOST))

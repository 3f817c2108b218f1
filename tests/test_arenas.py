"""The C library's heaps: few, however many threads there are."""

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.arenas import MOST, limit_arenas

# each thread takes memory while all the others are there; malloc_info(3) names the heaps
CHILD = """
import ctypes, sys, threading
from resttorrent.arenas import limit_arenas
if sys.argv[1:]:
    assert limit_arenas({})
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(24)
def work():
    libc.malloc(ctypes.c_size_t(1000))
    together.wait()
threads = [threading.Thread(target=work) for _ in range(24)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


class ArenaTests(SynchronousTestCase):
    def heaps(self, *limited: str) -> int:
        command = [sys.executable, "-c", CHILD, *limited]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.count("<heap nr=")

    def test_few(self) -> None:
        self.assertGreater(self.heaps(), MOST)
        self.assertLessEqual(self.heaps("limited"), MOST)

    def test_what_the_environment_says(self) -> None:
        self.assertFalse(limit_arenas({"MALLOC_ARENA_MAX": "8"}))

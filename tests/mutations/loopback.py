"""``python -m tests.mutations.loopback command…``: brings up ``lo``, all that a new network namespace has."""

import fcntl
import os
import socket
import struct
import sys

_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_UP = 1


def bring_up() -> None:
    """
    Set IFF_UP on ``lo``; netdevice(7).

    :raises OSError: it can't be done.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _GET_FLAGS, request))
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


if __name__ == "__main__":
    bring_up()
    os.execvp(sys.argv[1], sys.argv[1:])

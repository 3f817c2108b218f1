"""Stand in for systemd's notification socket: ``notified.py SOCKET DONE STATE…`` ends when all were told."""

import socket
import sys
from pathlib import Path

name, done, *expected = sys.argv[1:]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
    listener.bind(name)
    listener.settimeout(60)
    told: list[str] = []
    while not set(expected) <= set(told):
        told += listener.recv(4096).decode().splitlines()
if [state for state in told if state in expected] != expected:
    sys.exit(f"in another order: {told}")
Path(done).write_text("\n".join(told))

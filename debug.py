"""
RestTorrent for its developers: in the foreground, on 127.0.0.1:8080, with a debug log and nothing kept.

Options of ``twistd resttorrent`` may follow and win: ``python debug.py --port 0 --state-dir /tmp/state``.
"""

import sys

from twisted.scripts.twistd import run

DEBUG = ["--nodaemon", "--pidfile=", "resttorrent", "--state-dir=:memory:", "--log-level=debug"]

if __name__ == "__main__":
    sys.argv[1:] = [*DEBUG, *sys.argv[1:]]
    run()

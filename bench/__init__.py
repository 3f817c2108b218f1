"""What ``make bench`` and ``make demo`` run: figures of the real daemon on loopback, raw libtorrent beside it."""

"""What ``make bench`` and ``make demo`` run: the real daemon on loopback, and raw libtorrent."""

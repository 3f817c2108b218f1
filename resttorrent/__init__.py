"""RestTorrent: a Twisted daemon that drives libtorrent over REST."""

from ._version import __version__

__all__ = ["__version__"]

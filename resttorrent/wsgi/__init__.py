"""
``resttorrent.wsgi:application``: the REST API under a WSGI server, one process of it (PEP 3333).

Importing this starts nothing and installs no reactor, since servers import first and fork afterwards. The
first request starts the daemon, or ``application.start()`` in a hook that runs in the forked process.
"""

from .application import Application

__all__ = ["Application", "application"]

application = Application()

"""Where the API listens: binding every endpoint or none, and telling others the addresses."""

import json
import os
import re
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.failure import Failure

from .eager import make_eager
from .errors import StartFailed

LISTENING = "listening.json"
_ALLOW = "--allow-unauthenticated-network"
# Who may connect is the owner; Twisted's default lets every user of the machine.
_UNIX_MODE = ":mode=600"
BACKLOG = 1024
"""Connections that the kernel holds until the reactor accepts them; others wait for TCP's next try."""


class CannotListen(StartFailed):
    """An endpoint could not be bound; those bound before it are closed again."""


def listen_all(
    reactor: object, descriptions: Sequence[str], factory: IProtocolFactory
) -> list[IListeningPort]:
    """
    Bind all endpoints, or none.

    :param descriptions: Twisted server endpoint strings.
    :raises CannotListen: one could not be bound at once; its message names it and says why.
    """
    ports: list[IListeningPort] = []
    for description in descriptions:
        try:
            ports.append(_listen(reactor, description, factory))
        except Exception as error:  # an endpoint's parser and its listen raise what they like
            for port in ports:
                port.stopListening()
            raise CannotListen(f"cannot listen on {description}: {_reason(error)}") from error
    return ports


def require_loopback(ports: Sequence[IListeningPort]) -> None:
    """
    See that nobody beyond this machine reaches these ports.

    :raises StartFailed: somebody does; or, with no ports, perhaps, for another's server listens.
    """
    if not ports:
        raise StartFailed(f"--auth never below another server needs {_ALLOW}")
    for port in ports:
        address = port.getHost()
        if isinstance(address, UNIXAddress):
            continue
        if not isinstance(address, IPv4Address | IPv6Address) or not ip_address(address.host).is_loopback:
            raise StartFailed(
                f"--auth never serves {describe(port)} to everyone: give {_ALLOW} if that is meant"
            )


def describe(port: IListeningPort) -> dict[str, str | int]:
    """Return ``{"host": address, "port": number}`` or ``{"unix": path}``; an odd transport gives its repr."""
    address = port.getHost()
    if isinstance(address, IPv4Address | IPv6Address):
        return {"host": address.host, "port": address.port}
    if isinstance(address, UNIXAddress):
        return {"unix": os.fsdecode(address.name or b"")}
    return {"other": repr(address)}


def write_listening_json(state_dir: Path, ports: Sequence[IListeningPort]) -> None:
    """
    Say in ``<state_dir>/listening.json`` where this process listens.

    Its content is ``{"addresses": [as describe], "pid": number}``. Readers see the old file or the new one,
    never half of it; only the owner may read it.
    """
    document = {"addresses": [describe(port) for port in ports], "pid": os.getpid()}
    target = state_dir / LISTENING
    beside = target.with_suffix(".json.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)  # whatever the umask took away
        json.dump(document, file)
        file.write("\n")
    beside.replace(target)


def remove_listening_json(state_dir: Path) -> None:
    """Forget where this process listened."""
    (state_dir / LISTENING).unlink(missing_ok=True)


def _listen(reactor: object, description: str, factory: IProtocolFactory) -> IListeningPort:
    outcome: list[Any] = []
    if description.startswith("unix:") and not re.search(r"(?<!\\):mode=", description):
        description += _UNIX_MODE
    if re.match(r"(tcp6?|ssl|unix):", description) and not re.search(r"(?<!\\):backlog=", description):
        description += f":backlog={BACKLOG}"
    bound: Deferred[IListeningPort] = serverFromString(reactor, description).listen(factory)
    bound.addBoth(outcome.append)
    if not outcome:
        bound.cancel()
        raise RuntimeError("its address is not known at once, which this daemon needs")
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    port: IListeningPort = outcome[0]
    make_eager(port, factory)
    return port


def _reason(error: Exception) -> str:
    cause = error.socketError if isinstance(error, CannotListenError) else error
    if isinstance(cause, OSError) and cause.errno is not None:
        # Resolver errors carry codes of their own, which strerror(3) would misread.
        text = cause.strerror or os.strerror(cause.errno)
        return text[:1].lower() + text[1:]
    return " ".join(str(cause).split()) or type(cause).__name__

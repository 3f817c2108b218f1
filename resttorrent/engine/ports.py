"""
Binding a session to the first free port of a range, for TCP and uTP both.

libtorrent binds each address of each interface by itself and replaces a taken port silently; so ports are
tried one by one, quickly with plain sockets first, and only libtorrent's own alerts say that one is bound.
"""

import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import libtorrent as lt
from twisted.internet.defer import Deferred

from ..errors import BadParameter, PortInUse
from .alerts import Handlers

ANY = ("0.0.0.0", "::")

_TCP = lt.socket_type_t.tcp
_UTP = lt.socket_type_t.utp


def is_address(interface: str) -> bool:
    """Whether this is an IP literal (else it is a device's name)."""
    try:
        ipaddress.ip_address(interface)
    except ValueError:
        return False
    return True


def listen_interfaces(interfaces: Sequence[str], port: int) -> str:
    """libtorrent's way to write it: ``0.0.0.0:6881,[::]:6881``."""
    hosts = interfaces or ANY
    return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts)


def seems_free(interfaces: Sequence[str], port: int) -> bool:
    """
    Whether plain sockets can be bound there now.

    A first look that spares libtorrent the taken ports of a long range; a device's name is left to
    libtorrent.
    """
    return all(
        _can_bind(host, port, kind)
        for host in (interfaces or ANY)
        if is_address(host)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    )


def _can_bind(host: str, port: int, kind: socket.SocketKind) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == socket.SOCK_STREAM:
                # as libtorrent does: connections in TIME_WAIT do not hold the port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        # an address that this machine lacks is not a taken port
        return error.errno not in (errno.EADDRINUSE, errno.EACCES)
    return True


class PortBinder:
    """
    Binds one session's ports and hears how it went.

    :param apply: gives settings to the session.
    :param barrier: a Deferred that fires when libtorrent has done all that was asked of it before.
    """

    def __init__(
        self, apply: Callable[[dict[str, Any]], None], barrier: Callable[[], "Deferred[None]"]
    ) -> None:
        self._apply = apply
        self._barrier = barrier
        self._succeeded: set[tuple[str, Any]] = set()
        self._in_use = False

    @property
    def handlers(self) -> Handlers:
        """What the session's alert poller must bring here."""
        return {lt.listen_succeeded_alert: self._on_succeeded, lt.listen_failed_alert: self._on_failed}

    def _on_succeeded(self, alert: lt.listen_succeeded_alert) -> None:
        self._succeeded.add((str(alert.address), alert.socket_type))

    def _on_failed(self, alert: lt.listen_failed_alert) -> None:
        # an interface that went away, or IPv6 where there is none, is no taken port
        if alert.error.value() in (errno.EADDRINUSE, errno.EACCES):
            self._in_use = True

    async def bind(self, interfaces: Sequence[str], ports: Iterator[int]) -> int:
        """
        Bind the first of these ports that is free on all interfaces.

        :raises PortInUse: if none is.
        :raises BadParameter: if an interface is not of this machine.
        """
        for port in ports:
            if seems_free(interfaces, port) and await self._try(interfaces, port):
                return port
        await self.release()
        raise PortInUse

    async def _try(self, interfaces: Sequence[str], port: int) -> bool:
        self._succeeded.clear()
        self._in_use = False
        self._apply({"listen_interfaces": listen_interfaces(interfaces, port)})
        await self._barrier()
        if self._in_use:
            return False
        kinds = {kind for _, kind in self._succeeded}
        if not kinds:
            await self.release()
            raise BadParameter(
                "interface: expected addresses or devices of this machine that are up", field="interface"
            )
        return {_TCP, _UTP} <= kinds

    async def release(self) -> None:
        """Listen nowhere."""
        self._apply({"listen_interfaces": ""})
        await self._barrier()

"""Connections to the made-up site of ``tests.rest.wire``, from anywhere and to anywhere."""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress

from resttorrent.access.hosts import Host, Hosts
from resttorrent.access.origins import Origin, Origins
from resttorrent.rest.screen import Screen
from resttorrent.rest.site import DoorSite
from tests.rest.wire import CLIENT, SERVER, Response, Transport, Wire, World


class Door(Wire):
    """One connection to ``site``, which came to ``local`` from ``peer``."""

    def __init__(self, site: DoorSite, local: IAddress = SERVER, peer: IAddress = CLIENT) -> None:
        self.transport = Transport(hostAddress=local, peerAddress=peer)
        protocol: Any = site.buildProtocol(peer)
        assert protocol is not None
        self.protocol = protocol
        self.protocol.makeConnection(self.transport)


def lan(last: int, port: int = 8080) -> IPv4Address:
    """An address that is not this machine's own."""
    return IPv4Address("TCP", f"192.0.2.{last}", port)


def screen(hosts: tuple[str, ...] = (), origins: tuple[str, ...] = ()) -> Screen:
    """As the options would make it."""
    return Screen(Hosts(map(Host.parse, hosts)), Origins(map(Origin.parse, origins)))


def asked(world: World, raw: bytes, local: IAddress = SERVER, peer: IAddress = CLIENT) -> Response:
    """The answer to one request on a connection of its own."""
    wire = Door(world.site, local, peer)
    wire.send(raw)
    answer = wire.answer()
    wire.lose()
    return answer


def request(method: str = "GET", target: str = "/v1/things", *headers: str, version: str = "1.1") -> bytes:
    """A request with these header lines and no others."""
    return "\r\n".join((f"{method} {target} HTTP/{version}", *headers, "", "")).encode("latin-1")

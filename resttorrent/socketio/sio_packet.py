"""
Socket.IO packets, as they stand in an Engine.IO message.

::

    <type>[<attachments>-][<namespace>,][<ack id>][<JSON>]

    0{"token":"…"}                          CONNECT to /, with a payload (SIO5)
    0/admin?token=1,                        CONNECT to /admin, with a query (SIO3, SIO4)
    2["v1",{"t_id":"1"}]                    EVENT
    212["v1",{}]                            EVENT that wants the acknowledgement 12
    312[{}]                                 ACK 12
    51-["add",{"_placeholder":true,"num":0}]   BINARY_EVENT, one binary message follows

Source: the Socket.IO protocol, versions 4 and 5.
"""

import re
from typing import Any

import msgspec

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)
MOST_ATTACHMENTS = 10
MOST_VALUES = 500_000
"""Values in one packet: an empty list is 2 bytes sent, but 64 bytes held."""
MOST_DEPTH = 100
"""Levels of JSON in one packet; what walks through it may call itself for each."""
RESERVED = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
"""Names of events that come from the library itself: a client must not feign them."""

_HEAD = re.compile(
    rb"([0-6])"
    rb"(?:([0-9]{1,4})-)?"
    rb"(?:(/[^,]*)(?:,|\Z))?"
    rb"([0-9]{1,18})?"
)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class MalformedMessage(ValueError):
    """What came is no Socket.IO packet."""


class SioPacket(msgspec.Struct, frozen=True):
    """
    One packet.

    :ivar data: the JSON value; ``None`` where there is none.
    :ivar id: the acknowledgement's.
    :ivar attachments: how many binary messages belong to it.
    :ivar query: what followed the namespace's ``?``.
    """

    type: int
    namespace: str = "/"
    data: Any = None
    id: int | None = None
    attachments: int = 0
    query: str = ""


def encode(packet: SioPacket) -> bytes:
    """The packet's text; ``msgspec.Raw`` inside its data goes as it is."""
    head = b"%d" % packet.type
    if packet.type in (BINARY_EVENT, BINARY_ACK):
        head += b"%d-" % packet.attachments
    if packet.namespace != "/":
        head += packet.namespace.encode() + b","
    if packet.id is not None:
        head += b"%d" % packet.id
    return head if packet.data is None else head + _encode(packet.data)


def decode(text: bytes) -> SioPacket:
    """
    Read a packet, and hold it to what its type may carry.

    :raises MalformedMessage: if it may not come from a client.
    """
    found = _HEAD.match(text)
    if found is None:
        raise MalformedMessage("a packet begins with a type from 0 to 6")
    digit, attachments, namespace, number = found.groups()
    rest = text[found.end() :]
    path, _, query = _text(namespace).partition("?") if namespace else ("/", "", "")
    packet = SioPacket(
        int(digit),
        path,
        _json(rest) if rest else None,
        None if number is None else int(number),
        int(attachments or 0),
        query,
    )
    if (attachments is not None) != (packet.type in (BINARY_EVENT, BINARY_ACK)):
        raise MalformedMessage("a binary packet, and no other, counts its attachments")
    if packet.attachments > MOST_ATTACHMENTS:
        raise MalformedMessage(f"a packet has at most {MOST_ATTACHMENTS} attachments")
    _check(packet)
    return packet


def _check(packet: SioPacket) -> None:
    data, kind = packet.data, packet.type
    if kind in (EVENT, BINARY_EVENT):
        # bool is an int to Python, but no name
        if not isinstance(data, list) or not data or type(data[0]) not in (str, int):
            raise MalformedMessage("an event is an array that begins with its name")
        if data[0] in RESERVED:
            raise MalformedMessage("the name of this event is reserved")
    elif kind in (ACK, BINARY_ACK):
        if not isinstance(data, list) or packet.id is None:
            raise MalformedMessage("an acknowledgement is an array with an id")
    elif kind == CONNECT:
        if packet.id is not None or not isinstance(data, dict | None):
            raise MalformedMessage("a connection carries an object, or nothing")
    elif kind == DISCONNECT:
        if packet.id is not None or data is not None:
            raise MalformedMessage("a disconnection carries nothing")
    else:
        raise MalformedMessage("clients send no errors")


def _json(raw: bytes) -> Any:
    # those inside of strings count too: the bounds leave room for them
    openings = raw.count(b"[") + raw.count(b"{")
    if openings + raw.count(b",") > MOST_VALUES:
        raise MalformedMessage("a packet's data has too many values")
    try:
        data = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedMessage("a packet's data is JSON") from None
    if openings > MOST_DEPTH and _is_deeper(data):
        raise MalformedMessage("a packet's data is nested too deeply")
    return data


def _is_deeper(data: Any) -> bool:
    level = [data]
    for _ in range(MOST_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, list | dict)
            for child in (item if isinstance(item, list) else item.values())
        ]
        if not level:
            return False
    return True


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise MalformedMessage("a namespace is UTF-8") from None

"""
Engine.IO packets, and how one is written down.

::

    on a WebSocket, text     4hello            a digit, then UTF-8
    on a WebSocket, binary   04 01 02 (EIO3)   the type as a byte, then the data
                             01 02    (EIO4)   the data alone: always a message
    in a text payload        b4AQI= (EIO3)     base64 of a binary message
                             bAQI=  (EIO4)

Text is kept as UTF-8 bytes all the way: what JSON encoders give and sockets take.

Source: the Engine.IO protocol, versions 3 and 4.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Literal

import msgspec

EioVersion = Literal[3, 4]

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = range(7)
_DIGITS = b"0123456"


class MalformedPacket(ValueError):
    """What came is no packet."""


class Packet(msgspec.Struct, frozen=True):
    """
    One packet.

    :ivar type: ``OPEN`` to ``NOOP``.
    :ivar data: UTF-8 text, or anything if ``binary``, which only a message is.
    """

    type: int
    data: bytes = b""
    binary: bool = False


def encode_text(packet: Packet) -> bytes:
    """A text packet as a digit and its data."""
    return b"%d%b" % (packet.type, packet.data)


def decode_text(raw: bytes) -> Packet:
    """
    Read a digit and its data; whether the data is UTF-8 is for its reader to say.

    :raises MalformedPacket: for anything else.
    """
    kind = _DIGITS.find(raw[:1]) if raw else -1
    if kind < 0:
        raise MalformedPacket("a packet begins with a digit from 0 to 6")
    return Packet(kind, raw[1:])


def encode_binary(data: bytes, eio: EioVersion) -> bytes:
    """A binary message as a WebSocket frame's payload."""
    return b"\x04" + data if eio == 3 else data


def decode_binary(raw: bytes, eio: EioVersion) -> Packet:
    """
    Read a WebSocket's binary frame.

    :raises MalformedPacket: if it is no message.
    """
    if eio == 4:
        return Packet(MESSAGE, raw, binary=True)
    if raw[:1] != b"\x04":
        raise MalformedPacket("a binary packet begins with the byte 4")
    return Packet(MESSAGE, raw[1:], binary=True)


def encode_base64(data: bytes, eio: EioVersion) -> bytes:
    """A binary message as text."""
    return (b"b4" if eio == 3 else b"b") + b64encode(data)


def decode_inline(raw: bytes, eio: EioVersion) -> Packet:
    """
    Read a packet out of a text payload, where a binary message is base64.

    :raises MalformedPacket: if it is none.
    """
    if raw[:1] != b"b":
        return decode_text(raw)
    if eio == 3 and raw[1:2] != b"4":
        raise MalformedPacket("a binary packet is a message")
    try:
        data = b64decode(raw[2 if eio == 3 else 1 :], validate=True)
    except Base64Error:
        raise MalformedPacket("a binary packet is not base64") from None
    return Packet(MESSAGE, data, binary=True)

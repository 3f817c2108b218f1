r"""
Engine.IO payloads: the packets of one HTTP body, when a client polls.

::

    EIO4           4hello\x1ebAQI=\x1e2       packets, joined by the record separator
    EIO3, text     6:4hello3:b4AQ…            each after its length in UTF-16 code units
    EIO3, binary   00 06 ff '4hello'          text: 0, the length in bytes a digit a byte, 255, the packet
                   01 03 ff 04 01 02          binary: 1, …

Source: the Engine.IO protocol, versions 3 (*Payload*) and 4 (*HTTP long-polling*).
"""

from collections.abc import Iterator, Sequence

from .eio_packet import (
    EioVersion,
    MalformedPacket,
    Packet,
    decode_binary,
    decode_inline,
    decode_text,
    encode_base64,
    encode_binary,
    encode_text,
)

TEXT = b"text/plain; charset=UTF-8"
BINARY = b"application/octet-stream"
MOST_PACKETS = 4096
"""Packets in one body. A client that called often while it could not send posts all of it at once."""
MOST_ANSWERED = 16
"""Packets in an answer to a GET: python-engineio's clients end the session at one more."""

_SEPARATOR = b"\x1e"
_LONGEST_LENGTH = 10
_DIGITS = frozenset("0123456789")


def encode(packets: Sequence[Packet], eio: EioVersion, *, base64: bool = False) -> tuple[bytes, bytes]:
    """
    The content type and the body for some packets.

    :param base64: an EIO3 client that takes no binary bodies.
    """
    if eio == 4:
        return TEXT, _SEPARATOR.join([_inline(packet, eio) for packet in packets])
    # clients of Socket.IO 1 take text bodies for UTF-8 that was encoded twice; bytes are read by all alike
    if not base64 and any(packet.binary or not packet.data.isascii() for packet in packets):
        return BINARY, b"".join([_counted_bytes(packet) for packet in packets])
    return TEXT, b"".join([_counted_text(_inline(packet, eio)) for packet in packets])


def overhead(packet: Packet) -> int:
    """Bytes that a packet takes in a body beside its data, at most."""
    return 16 + (len(packet.data) // 2 if packet.binary else 0)


def decode(body: bytes, eio: EioVersion, *, binary: bool = False, base64: bool = False) -> list[Packet]:
    """
    Read a body's packets.

    :param binary: its content type is ``application/octet-stream``, which only EIO3 has.
    :param base64: the client takes no binary bodies, and may be one of Socket.IO 1, which encode text twice.
    :raises MalformedPacket: if it can't be read, or holds more than ``MOST_PACKETS``.
    """
    if eio == 4:
        if body.count(_SEPARATOR) >= MOST_PACKETS:
            raise _too_many()
        _utf8(body)
        return [decode_inline(raw, eio) for raw in body.split(_SEPARATOR)]
    packets: list[Packet] = []
    for packet in _read_bytes(body) if binary else _read_text(body):
        if len(packets) == MOST_PACKETS:
            raise _too_many()
        packets.append(_encoded_once(packet) if base64 and not binary else packet)
    if not packets:
        raise MalformedPacket("a payload has at least one packet")
    return packets


def _too_many() -> MalformedPacket:
    return MalformedPacket(f"a payload has at most {MOST_PACKETS} packets")


def _utf8(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise MalformedPacket("a text payload is UTF-8") from None


def _inline(packet: Packet, eio: EioVersion) -> bytes:
    return encode_base64(packet.data, eio) if packet.binary else encode_text(packet)


# -- EIO3, as text --------------------------------------------------------


def utf16_length(text: bytes) -> int:
    """
    UTF-16 code units of UTF-8 text: one for each character, two beyond the Basic Multilingual Plane.
    """
    return len(text) if text.isascii() else len(text.decode().encode("utf-16-le")) // 2


def _counted_text(raw: bytes) -> bytes:
    return b"%d:%b" % (utf16_length(raw), raw)


def _read_text(body: bytes) -> Iterator[Packet]:
    text = _utf8(body)
    if not text.isascii() and max(text) > "\uffff":
        yield from _read_units(text)
        return
    # no character counts twice: positions are code units
    position = 0
    while position < len(text):
        start, end = _length(text, position)
        if end > len(text):
            raise MalformedPacket("a packet is longer than its payload")
        yield decode_inline(text[start:end].encode(), 3)
        position = end


def _read_units(text: str) -> Iterator[Packet]:
    units = text.encode("utf-16-le")
    position, total = 0, len(units) // 2
    while position < total:
        # the digits and their colon are ASCII, one unit each
        head = units[position * 2 : (position + _LONGEST_LENGTH + 1) * 2].decode("utf-16-le", "replace")
        start, end = _length(head, 0)
        start, end = position + start, position + end
        if end > total:
            raise MalformedPacket("a packet is longer than its payload")
        try:
            raw = units[start * 2 : end * 2].decode("utf-16-le")
        except UnicodeDecodeError:
            raise MalformedPacket("a packet ends inside a character") from None
        yield decode_inline(raw.encode(), 3)
        position = end


def _length(text: str, position: int) -> tuple[int, int]:
    """Where the packet begins and ends whose length stands at ``position``."""
    colon = text.find(":", position, position + _LONGEST_LENGTH)
    digits = text[position:colon] if colon > position else ""
    if not digits or not _DIGITS.issuperset(digits):
        raise MalformedPacket("a packet begins with its length and a colon")
    return colon + 1, colon + 1 + int(digits)


def _encoded_once(packet: Packet) -> Packet:
    """
    The packet, without the second encoding that a client of Socket.IO 1 gives it.

    Such text has no character above U+00FF, and these make UTF-8: nobody writes that.
    """
    if packet.binary or packet.data.isascii():
        return packet
    try:
        data = packet.data.decode().encode("latin-1")
        data.decode()
    except UnicodeError:
        return packet
    return Packet(packet.type, data)


# -- EIO3, as bytes -------------------------------------------------------


def _counted_bytes(packet: Packet) -> bytes:
    raw = encode_binary(packet.data, 3) if packet.binary else encode_text(packet)
    digits = bytes(int(digit) for digit in str(len(raw)))
    return b"%b%b\xff%b" % (b"\x01" if packet.binary else b"\x00", digits, raw)


def _read_bytes(body: bytes) -> Iterator[Packet]:
    position = 0
    while position < len(body):
        kind = body[position]
        end_of_length = body.find(b"\xff", position, position + _LONGEST_LENGTH + 2)
        digits = body[position + 1 : end_of_length] if end_of_length > position + 1 else b""
        if kind > 1 or not digits or max(digits) > 9:
            raise MalformedPacket("a packet begins with its kind, its length and 255")
        start = end_of_length + 1
        end = start + int("".join(map(str, digits)))
        if end > len(body):
            raise MalformedPacket("a packet is longer than its payload")
        raw = body[start:end]
        if kind == 0:
            _utf8(raw)
        yield decode_binary(raw, 3) if kind == 1 else decode_text(raw)
        position = end

"""
Packets on their way out, each with its WebSocket frame.

A server's frames are not masked (RFC 6455 §5.1), so one frame serves all who get the same packet: whoever
sends one to many makes one ``Outgoing`` and shares it.
"""

from .eio_packet import EioVersion, Packet, encode_binary, encode_text

_TEXT, _BINARY = 0x81, 0x82


class Outgoing:
    """One packet, whose frame is built when first needed, once for each way of writing it down."""

    __slots__ = ("_frame3", "_frame4", "packet", "size")

    def __init__(self, packet: Packet) -> None:
        self.packet = packet
        self.size = len(packet.data) + 1
        self._frame3: bytes | None = None
        self._frame4: bytes | None = None

    def frame(self, eio: EioVersion) -> bytes:
        """The whole WebSocket frame, header and payload."""
        if eio == 4 or not self.packet.binary:
            if self._frame4 is None:
                self._frame4 = self._build(4)
            return self._frame4
        if self._frame3 is None:
            self._frame3 = self._build(3)
        return self._frame3

    def _build(self, eio: EioVersion) -> bytes:
        packet = self.packet
        if packet.binary:
            return frame(encode_binary(packet.data, eio), opcode=_BINARY)
        return frame(encode_text(packet), opcode=_TEXT)


def frame(payload: bytes, *, opcode: int) -> bytes:
    """
    An unmasked, final frame around a payload.

    Source: RFC 6455 §5.2.
    """
    length = len(payload)
    if length < 126:
        return bytes((opcode, length)) + payload
    if length < 1 << 16:
        return bytes((opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + length.to_bytes(8, "big") + payload

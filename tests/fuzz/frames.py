"""
WebSocket frames, as they should be and as they should not.

Source: RFC 6455 §5.2 (framing), §5.4 (fragments), §5.5 (control frames); RFC 7692 (compression).
"""

import random
import zlib

from tests.fuzz.mutate import mutated
from tests.socketio.wire import BINARY, CLOSE, PING, PONG, TEXT, masked_frame

CONTINUATION = 0
_NOT_UTF8 = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82")
_LENGTHS = (0, 1, 125, 126, 127, 65535, 65536, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


def bomb(size: int) -> bytes:
    """A compressed text frame that inflates to ``size`` bytes."""
    press = zlib.compressobj(9, wbits=-15)
    packed = press.compress(b"4" * size) + press.flush(zlib.Z_SYNC_FLUSH)
    frame = bytearray(masked_frame(TEXT, packed[:-4]))
    frame[0] |= 0x40
    return bytes(frame)


BOMB = bomb(1_000_000)


def spoilt(chance: random.Random, packet: bytes) -> list[bytes]:
    """One packet as frames that are wrong in one way, or none, or in many."""
    opcode = BINARY if chance.random() < 0.1 else TEXT
    match chance.randrange(12):
        case 0:
            return [masked_frame(opcode, packet)]
        case 1:
            return _in_pieces(chance, opcode, packet)
        case 2:
            return [_unmasked(opcode, packet)]
        case 3:
            return [_of_length(chance, opcode, packet)]
        case 4:
            return [_with_first_byte(masked_frame(opcode, packet), chance.randrange(256))]
        case 5:
            control = chance.choice((CLOSE, PING, PONG))
            payload = chance.randbytes(chance.choice((0, 1, 2, 10, 125, 126, 1000)))
            final = chance.random() < 0.8
            return [masked_frame(control, payload, final=final), masked_frame(opcode, packet)]
        case 6:
            code = chance.choice((0, 999, 1000, 1001, 1004, 1005, 1006, 1015, 2999, 3000, 5000, 65535))
            return [masked_frame(CLOSE, code.to_bytes(2, "big") + chance.choice((b"", b"why", b"\xff")))]
        case 7:
            at = chance.randrange(len(packet) + 1)
            return [masked_frame(opcode, packet[:at] + chance.choice(_NOT_UTF8) + packet[at:])]
        case 8:
            return [masked_frame(CONTINUATION, packet), masked_frame(opcode, packet)]
        case 9:
            return [BOMB]
        case 10:
            return [masked_frame(opcode, packet)[: chance.randrange(1, len(packet) + 6)]]
        case _:
            return [mutated(chance, masked_frame(opcode, packet), (masked_frame(TEXT, b"40"),))]


def _in_pieces(chance: random.Random, opcode: int, packet: bytes) -> list[bytes]:
    cut = chance.randrange(len(packet) + 1)
    frames = [masked_frame(opcode, packet[:cut], final=False)]
    if chance.random() < 0.5:
        frames.append(masked_frame(PING, b"between"))
    frames.append(masked_frame(CONTINUATION, packet[cut:], final=chance.random() < 0.8))
    return frames


def _unmasked(opcode: int, packet: bytes) -> bytes:
    packet = packet[:125]
    return bytes((0x80 | opcode, len(packet))) + packet


def _of_length(chance: random.Random, opcode: int, packet: bytes) -> bytes:
    """A header that says another length, or says it in too many bytes."""
    length = chance.choice((*_LENGTHS, len(packet)))
    if chance.random() < 0.3:
        marker, size = 126, 2
    else:
        marker, size = 127, 8
    length &= (1 << size * 8) - 1
    written = length.to_bytes(size, "big")
    return bytes((0x80 | opcode, 0x80 | marker)) + written + b"\0\0\0\0" + packet


def _with_first_byte(frame: bytes, first: int) -> bytes:
    return bytes((first,)) + frame[1:]


def server_frames(raw: bytes) -> list[tuple[int, bytes]]:
    """
    What a server sent: opcodes and payloads.

    :raises ValueError: it is no sequence of whole, final, unmasked frames.
    """
    found = []
    while raw:
        if len(raw) < 2 or raw[0] & 0x70 or not raw[0] & 0x80 or raw[1] & 0x80:
            raise ValueError(f"{raw[:20]!r} begins no frame of a server")
        length, start = raw[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(raw[2:start], "big")
        if len(raw) < start + length:
            raise ValueError("a frame is not whole")
        found.append((raw[0] & 15, raw[start : start + length]))
        raw = raw[start + length :]
    return found

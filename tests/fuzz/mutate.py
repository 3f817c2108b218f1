"""Bytes that are nearly right."""

import random

TOKENS = (
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b";", b",", b"&", b"=", b"%", b"%00", b"%2e%2e/",
    b"../", b"?", b"#", b"/", b"//", b"*", b'"', b"{", b"}", b"[", b"]", b"[" * 500, b"null", b"true",
    b"-1", b"1e999", b"NaN", b"9" * 30, b"\\ud800", b"\xff\xfe", b"\xed\xa0\x80", b"\x1e", b"\x1b[31m",
    b"Host: evil.example\r\n", b"Host: localhost\r\n", b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Origin: null\r\n", b"Expect: 100-continue\r\n",
    b"Connection: close\r\n", b"Upgrade: x\r\n", b"Content-Encoding: gzip\r\n", b" HTTP/1.1\r\n",
    b"GET ", b"POST ", b"DELETE ", b"0\r\n\r\n", b"_placeholder", b"42", b"51-", b"40", b"41",
)  # fmt: skip


def mutated(chance: random.Random, seed: bytes, others: tuple[bytes, ...]) -> bytes:
    """``seed`` with as many as four accidents."""
    data = bytearray(seed)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice((1, 1, 2, 4, 16, 64)))
        match chance.randrange(8):
            case 0:
                data[at:to] = b""
            case 1:
                data[at:to] = data[at:to] * 2
            case 2:
                data[at:to] = chance.randbytes(to - at)
            case 3 | 4:
                data[at:at] = chance.choice(TOKENS)
            case 5:
                data[at:to] = chance.choice(TOKENS)
            case 6:
                other = chance.choice(others)
                cut = chance.randrange(len(other) + 1)
                data[at:] = other[cut:]
            case _:
                if at < len(data):
                    data[at] ^= 1 << chance.randrange(8)
    return bytes(data)


def pieces(chance: random.Random, data: bytes) -> list[bytes]:
    """``data`` as it may come."""
    if len(data) < 2 or chance.random() < 0.6:
        return [data]
    cut = chance.randrange(1, len(data))
    return [data[:cut], data[cut:]]

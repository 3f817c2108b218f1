"""
Threat table, *Smuggling*: requests that two readers could read in two ways, and plain garbage.

Each is fed whole, byte by byte, and cut in two at every line; the daemon must do and say the same.
"""

import json
from dataclasses import dataclass
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from .wire import Wire, World

H = b"Host: 127.0.0.1:8080\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
GET = b"GET /v1/things HTTP/1.1\r\n" + H
POST = b"POST /v1/things HTTP/1.1\r\n" + H + FORM
SMUGGLED = b"POST /v1/things HTTP/1.1\r\n" + H + b"Content-Length: 0\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    # framing
    "CL and TE": POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "TE and CL": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": POST + b"Content-Length: 6\r\nContent-Length: 0\r\n\r\nnote=x" + SMUGGLED,
    "two equal lengths": POST + b"Content-Length: 6\r\nContent-Length: 6\r\n\r\nnote=x",
    "list of lengths": POST + b"Content-Length: 6, 6\r\n\r\nnote=x",
    "plus": POST + b"Content-Length: +6\r\n\r\nnote=x",
    "minus": POST + b"Content-Length: -6\r\n\r\nnote=x",
    "hex": POST + b"Content-Length: 0x6\r\n\r\nnote=x",
    "underscore": POST + b"Content-Length: 1_0\r\n\r\nnote=xxxxx",
    "no length": POST + b"Content-Length:\r\n\r\n" + SMUGGLED,
    "length with a space": POST + b"Content-Length: 1 0\r\n\r\nnote=xxxxx",
    "length in other digits": POST + "Content-Length: ٦\r\n\r\nnote=x".encode(),
    "fraction": POST + b"Content-Length: 6.0\r\n\r\nnote=x",
    "endless length": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "TE identity": POST + b"Transfer-Encoding: identity\r\nContent-Length: 6\r\n\r\nnote=x",
    "TE gzip": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE chunked, identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE with vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE quoted": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "TE xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE empty": POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "TE with parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "TE in HTTP/1.0": b"POST /v1/things HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE with space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    # folded lines
    "folded value": GET + b"X: a\r\n b\r\n\r\n",
    "folded with a tab": GET + b"X: a\r\n\tb\r\n\r\n",
    "folded length": POST + b"Content-Length:\r\n 6\r\n\r\nnote=x",
    "folded TE": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "folded into the length": POST + b"X: y\r\n Content-Length: 6\r\n\r\n" + SMUGGLED,
    "folded before any header": b"GET /v1/things HTTP/1.1\r\n X: y\r\n" + H + b"\r\n",
    "only white space": GET + b" \r\n\r\n",
    # names
    "Host and a space": b"GET /v1/things HTTP/1.1\r\nHost : 127.0.0.1:8080\r\n\r\n",
    "space in a name": GET + b"X Y: z\r\n\r\n",
    "tab in a name": GET + b"X\tY: z\r\n\r\n",
    "NUL in a name": GET + b"X\0Y: z\r\n\r\n",
    "control in a name": GET + b"X\x01Y: z\r\n\r\n",
    "DEL in a name": GET + b"X\x7fY: z\r\n\r\n",
    "no name": GET + b": z\r\n\r\n",
    "no colon": GET + b"X\r\n\r\n",
    "high byte in a name": GET + b"X\xff: z\r\n\r\n",
    "brackets in a name": GET + b"X(): z\r\n\r\n",
    "name in quotes": GET + b'"X": z\r\n\r\n',
    # values and line ends
    "NUL in a value": GET + b"X: a\0b\r\n\r\n",
    "bare CR in a value": GET + b"X: a\rb\r\n\r\n",
    "bare LF in a value": GET + b"X: a\nContent-Length: 5\r\n\r\n",
    "escape in a value": GET + b"X: \x1b[31m\r\n\r\n",
    "DEL in a value": GET + b"X: \x7f\r\n\r\n",
    "bare LF after the request line": b"GET /v1/things HTTP/1.1\n" + H + b"\r\n",
    "bare LF everywhere": b"GET /v1/things HTTP/1.1\nHost: 127.0.0.1:8080\n\n\r\n\r\n",
    "bare CR after the request line": b"GET /v1/things HTTP/1.1\r" + H + b"\r\n",
    # hosts
    "no Host": b"GET /v1/things HTTP/1.1\r\n\r\n",
    "two Hosts": GET + b"Host: evil.example\r\n\r\n",
    "two equal Hosts": GET + H + b"\r\n",
    "Host with a list": b"GET /v1/things HTTP/1.1\r\nHost: localhost, evil.example\r\n\r\n",
    "Host with a user": b"GET /v1/things HTTP/1.1\r\nHost: x@localhost\r\n\r\n",
    "Host with a path": b"GET /v1/things HTTP/1.1\r\nHost: localhost/x\r\n\r\n",
    # request lines
    "another host in the target": b"GET http://evil.example/v1/things HTTP/1.1\r\n" + H + b"\r\n",
    "user in the target": b"GET http://x@127.0.0.1:8080/v1/things HTTP/1.1\r\n" + H + b"\r\n",
    "another scheme": b"GET ftp://127.0.0.1:8080/v1/things HTTP/1.1\r\n" + H + b"\r\n",
    "CONNECT": b"CONNECT 127.0.0.1:8080 HTTP/1.1\r\n" + H + b"\r\n",
    "CONNECT elsewhere": b"CONNECT evil.example:443 HTTP/1.1\r\n" + H + b"\r\n",
    "GET *": b"GET * HTTP/1.1\r\n" + H + b"\r\n",
    "relative target": b"GET v1/things HTTP/1.1\r\n" + H + b"\r\n",
    "HTTP/0.9": b"GET /v1/things\r\n\r\n",
    "HTTP/2.0": b"GET /v1/things HTTP/2.0\r\n" + H + b"\r\n",
    "HTTP/1.2": b"GET /v1/things HTTP/1.2\r\n" + H + b"\r\n",
    "HTTP/1.10": b"GET /v1/things HTTP/1.10\r\n" + H + b"\r\n",
    "http/1.1": b"GET /v1/things http/1.1\r\n" + H + b"\r\n",
    "ICY/1.1": b"GET /v1/things ICY/1.1\r\n" + H + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two spaces": b"GET  /v1/things HTTP/1.1\r\n" + H + b"\r\n",
    "tabs": b"GET\t/v1/things\tHTTP/1.1\r\n" + H + b"\r\n",
    "space in the target": b"GET /v1/th ings HTTP/1.1\r\n" + H + b"\r\n",
    "NUL in the target": b"GET /v1/things\0 HTTP/1.1\r\n" + H + b"\r\n",
    "high bytes in the target": b"GET /v1/th\xa9ngs HTTP/1.1\r\n" + H + b"\r\n",
    "DEL in the target": b"GET /v1/th\x7fngs HTTP/1.1\r\n" + H + b"\r\n",
    "space before the method": b" GET /v1/things HTTP/1.1\r\n" + H + b"\r\n",
    "method that is no token": b"G(T /v1/things HTTP/1.1\r\n" + H + b"\r\n",
    "no method": b" /v1/things HTTP/1.1\r\n" + H + b"\r\n",
    "trailing space": b"GET /v1/things HTTP/1.1 \r\n" + H + b"\r\n",
    "two empty lines first": b"\r\n\r\n" + GET + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    # sizes
    "long request line": b"GET /" + b"x" * 17_000 + b" HTTP/1.1\r\n" + H + b"\r\n",
    "long header": GET + b"X: " + b"x" * 17_000 + b"\r\n\r\n",
    "long head": GET + b"".join(b"X%d: %s\r\n" % (n, b"x" * 1000) for n in range(17)) + b"\r\n",
    "many headers": GET + b"X: y\r\n" * 501 + b"\r\n",
    # chunks
    "chunk size with 0x": CHUNKED + b"0x6\r\nnote=x\r\n0\r\n\r\n",
    "chunk size with a plus": CHUNKED + b"+6\r\nnote=x\r\n0\r\n\r\n",
    "chunk size with a minus": CHUNKED + b"-6\r\nnote=x\r\n0\r\n\r\n",
    "chunk size with an underscore": CHUNKED + b"0_6\r\nnote=x\r\n0\r\n\r\n",
    "chunk size with spaces": CHUNKED + b" 6 \r\nnote=x\r\n0\r\n\r\n",
    "no chunk size": CHUNKED + b"\r\nnote=x\r\n0\r\n\r\n",
    "chunk size in no digits": CHUNKED + b"zz\r\nnote=x\r\n0\r\n\r\n",
    "bare LF after a chunk size": CHUNKED + b"6\nnote=x\r\n0\r\n\r\n",
    "bare LF in an extension": CHUNKED + b"6;a\nb\r\nnote=x\r\n0\r\n\r\n",
    "chunk too long for its size": CHUNKED + b"5\r\nnote=x\r\n0\r\n\r\n",
    "chunk without an end": CHUNKED + b"6\r\nnote=x0\r\n\r\n" + SMUGGLED,
    "bare LF after a chunk": CHUNKED + b"6\r\nnote=x\n0\r\n\r\n" + SMUGGLED,
    "endless chunk size": CHUNKED + b"6" * 2000,
    "endless extension": CHUNKED + b"6;" + b"x" * 2000 + b"\r\nnote=x\r\n0\r\n\r\n",
}  # fmt: skip
"""Answered 400, whatever followed them unread, and nothing done."""

ANSWERED = {
    # what is right, if rare: answered as said, and only that many times
    "plain": (GET + b"\r\n", [200]),
    "one empty line first": (b"\r\n" + GET + b"\r\n", [200]),
    "this host in the target": (b"GET http://127.0.0.1:8080/v1/things HTTP/1.1\r\n" + H + b"\r\n", [200]),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n", [204]),
    "pipelined": (GET + b"\r\n" + GET + b"\r\n", [200, 200]),
    "garbage after a request": (GET + b"\r\n" + b"garbage\r\n\r\n", [200, 400]),
    "binary after a request": (GET + b"\r\n" + bytes(range(256)) + b"\r\n\r\n", [200, 400]),
    "after the last": (GET + b"Connection: close\r\n\r\n" + SMUGGLED, [200]),
    "after HTTP/1.0": (b"GET /v1/things HTTP/1.0\r\n" + H + b"\r\n" + SMUGGLED, [200]),
    "body of a GET": (GET + b"Content-Length: 18\r\n\r\nGET /x HTTP/1.1\r\n\r" + GET + b"\r\n", [400, 200]),
    "leading zeros": (POST + b"Content-Length: 0006\r\n\r\nnote=x" + GET + b"\r\n", [201, 200]),
    "chunks": (CHUNKED + b"3\r\nnot\r\n3\r\ne=x\r\n0\r\n\r\n" + GET + b"\r\n", [201, 200]),
    "chunk extension": (CHUNKED + b'6;a="b;c"\r\nnote=x\r\n0\r\n\r\n' + GET + b"\r\n", [201, 200]),
    "chunk size in capitals": (CHUNKED + b"00A\r\nnote=xxxxx\r\n0\r\n\r\n" + GET + b"\r\n", [201, 200]),
    "trailer": (CHUNKED + b"6\r\nnote=x\r\n0\r\nContent-Length: 9\r\n\r\n" + GET + b"\r\n", [201, 200]),
    "smuggled in a body": (POST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, [400]),
    "Chunked": (POST + b"Transfer-Encoding: CHUNKED\r\n\r\n6\r\nnote=x\r\n0\r\n\r\n", [201]),
    "foreign host": (b"GET /v1/things HTTP/1.1\r\nHost: evil.example\r\n\r\n" + GET + b"\r\n", [421, 200]),
    "half a head": (GET, []),
    "half a body": (POST + b"Content-Length: 7\r\n\r\nnote=x", []),
    "half a chunk": (CHUNKED + b"7\r\nnote=x", []),
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What became of some bytes: the answers, what was done, whether the connection was closed."""

    answers: tuple[tuple[int, bytes], ...]
    called: tuple[str, ...]
    closed: bool


def seen(world: World, pieces: list[bytes]) -> Seen:
    world.context.called.clear()
    wire: Any = Wire(world.site)
    for piece in pieces:
        # a transport that was told to close reads no more, but with TLS for what it had read already
        wire.send(piece)
    raw, closed = wire.received(), wire.transport.disconnecting
    wire.lose()
    return Seen(tuple(answers_in(raw)), tuple(world.context.called), closed)


def answers_in(raw: bytes) -> list[tuple[int, bytes]]:
    """Statuses and bodies; each answer has a Content-Length, but for those without a body."""
    found = []
    while raw:
        head, separator, raw = raw.partition(b"\r\n\r\n")
        assert separator, head
        lines = head.split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
        size = int(fields.get(b"content-length", b"0"))
        found.append((int(lines[0].split()[1]), raw[:size]))
        assert len(raw) >= size
        raw = raw[size:]
    return found


def cuts(raw: bytes) -> list[list[bytes]]:
    """Ways for some bytes to come: whole, byte by byte, cut at each line end and inside it."""
    ways = [[raw], [raw[n : n + 1] for n in range(len(raw))]]
    ends = [n for n in range(1, len(raw)) if raw[n - 1 : n] in b"\r\n"]
    return ways + [[raw[:n], raw[n:]] for n in ends[:12]]


class SmugglingTests(SynchronousTestCase):
    """Threat table, *Smuggling*: one reading of each request, or none."""

    def test_refused(self) -> None:
        world = World()
        for name, raw in REFUSED.items():
            for pieces in cuts(raw):
                result = seen(world, pieces)
                [(status, body)] = result.answers
                self.assertEqual(status, 400, name)
                answer = json.loads(body)
                self.assertEqual((answer["status"], answer["code"]), ("fail", "bad_request"), name)
                self.assertEqual((result.called, result.closed), ((), True), name)

    def test_answered(self) -> None:
        world = World()
        for name, (raw, statuses) in ANSWERED.items():
            whole = seen(world, [raw])
            self.assertEqual([status for status, _ in whole.answers], statuses, name)
            self.assertEqual(len(whole.called), statuses.count(201), name)
            for pieces in cuts(raw):
                self.assertEqual(seen(world, pieces), whole, name)

    def test_there_are_enough(self) -> None:
        self.assertGreaterEqual(len(REFUSED) + len(ANSWERED), 60)

    def test_counted(self) -> None:
        world = World()
        world.wire.send(REFUSED["CL and TE"])
        self.assertEqual(world.site.refusals[400], 1)

    def test_deaf_afterwards(self) -> None:
        # as with TLS, where more may have been read already
        world = World()
        for _ in range(2):
            world.wire.send(REFUSED["CL and TE"])
            world.wire.send(GET + b"\r\n")
        self.assertEqual(world.wire.received().count(b"HTTP/1.1 "), 1)

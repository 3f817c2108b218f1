"""
How packets are written into polling bodies, text and binary.

Rules of the Engine.IO protocol: version 3, *Payload*; version 4, *Packet encoding*, *HTTP long-polling*. The
version 3 document's example of a binary payload leaves out the type byte that its rule asks for (*Packet*:
"the packet type id is sent in the first byte of the binary contents"); clients and upstream send it.
"""

from .cases import EchoCase
from .engine import Eio, Poller
from .wire import Response

OCTETS = "application/octet-stream"


class PayloadCase(EchoCase):
    async def echo(self, session: Poller, body: bytes, content_type: str = "text/plain") -> Response:
        """What a GET brings after a POST."""
        posted = await session.post_body(body, content_type)
        self.assertEqual((posted.status, posted.body), (200, b"ok"))
        return await session.get()

    async def assertMalformed(self, body: bytes, content_type: str = "text/plain") -> None:
        """Such a body is refused and ends its session."""
        session = await self.door.poll_open()
        self.assertEqual((await session.post_body(body, content_type)).status, 400)
        self.assertEqual((await session.get()).status, 400)
        self.assertEqual(len(self.server), 0)


class PayloadTests3(PayloadCase):
    eio: Eio = 3

    async def test_length_counts_characters(self) -> None:
        """v3, *Payload*: ``6:4hello2:4€``: characters are counted, not bytes."""
        body = "6:4hello2:4€".encode()
        session = await self.door.poll_open(b64="1")
        self.assertEqual((await self.echo(session, body)).body, body)

    async def test_length_counts_utf16(self) -> None:
        """v3, *Payload*; v4, *History*: characters are JavaScript's, one beyond the BMP counts two."""
        body = "4:4é𝄞2:4€5:4𝄞𝄞".encode()
        session = await self.door.poll_open(b64="1")
        self.assertEqual((await self.echo(session, body)).body, body)

    async def test_length_that_cuts_a_character(self) -> None:
        """v3, *Payload*: half of a surrogate pair is no packet."""
        await self.assertMalformed("2:4𝄞".encode())

    async def test_base64_where_there_is_no_binary(self) -> None:
        """v3, *Payload*, neither side's XHR2: ``b``, the packet's type, the data in base64."""
        body = "2:4€10:b4AQIDBA==".encode()
        session = await self.door.poll_open(b64="1")
        response = await self.echo(session, body)
        self.assertEqual(response.body, body)
        self.assertTrue(response.headers["content-type"].startswith("text/plain"))

    async def test_b64_of_the_handshake_counts(self) -> None:
        """v3, *URLs*: ``b64=1`` tells what the client can; what was said at first holds."""
        session = await self.door.poll_open(b64="1")
        await session.post_body(b"10:b4AQIDBA==")
        again = await self.network.request("GET", session.target)
        self.assertEqual(again.body, b"10:b4AQIDBA==")

    async def test_binary(self) -> None:
        """v3, *Payload*, with XHR2: a body that holds binary data is binary all through."""
        body = bytes.fromhex("00 04 ff 34 e2 82 ac  01 05 ff 04 01 02 03 04")
        session = await self.door.poll_open()
        response = await self.echo(session, body, OCTETS)
        self.assertEqual((response.headers["content-type"], response.body), (OCTETS, body))

    async def test_binary_length_is_in_digits(self) -> None:
        """v3, *Payload*, with XHR2: the length is one byte per decimal digit, and counts bytes."""
        body = b"\x01\x01\x00\x02\xff\x04" + bytes(range(101))
        session = await self.door.poll_open()
        self.assertEqual((await self.echo(session, body, OCTETS)).body, body)

    async def test_base64_from_a_client_of_binary(self) -> None:
        """v3, *Payload*: a decoder takes base64 from any client; the answer is binary if the client can."""
        session = await self.door.poll_open()
        response = await self.echo(session, b"6:4hello10:b4AQIDBA==")
        self.assertEqual(response.body, b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04")

    async def test_text_stays_text(self) -> None:
        """v3, *Payload*: without binary data in it a payload is text, for every client."""
        session = await self.door.poll_open()
        response = await self.echo(session, b"\x00\x06\xff4hello", OCTETS)
        self.assertEqual(response.body, b"6:4hello")
        self.assertTrue(response.headers["content-type"].startswith("text/plain"))

    async def test_no_length(self) -> None:
        """v3, *Payload*: ``<length>:<packet>``, nothing else."""
        for body in (
            b"",
            b"abc",
            b":4x",
            b"4hello",
            b"-1:4",
            b"+2:4x",
            b" 2:4x",
            b"2 :4x",
            b"1e1:4x",
            b"2;4x",
        ):
            await self.assertMalformed(body)

    async def test_length_of_other_digits(self) -> None:
        """v3, *Payload*: a length is written in ASCII digits."""
        await self.assertMalformed("٢:4x".encode())
        await self.assertMalformed("²:4x".encode())

    async def test_length_that_does_not_fit(self) -> None:
        """v3, *Payload*: a length of zero, or beyond the body, or followed by a rest."""
        for body in (b"0:", b"3:4x", b"2:4xy", b"99999999999999999999:4x", b"2:4x2:"):
            await self.assertMalformed(body)

    async def test_binary_that_does_not_fit(self) -> None:
        """v3, *Payload*, with XHR2: 0 or 1, digits below 10, 255, the packet."""
        for body in (
            "",
            "02 01 ff 34",
            "00 ff 34",
            "00 0a ff 34",
            "00 01 34",
            "00 05 ff 34",
            "01 00 ff",
            "00",
        ):
            await self.assertMalformed(bytes.fromhex(body), OCTETS)

    async def test_binary_of_another_type(self) -> None:
        """v3, *Packet*: a binary packet begins with its type as a byte; only messages are binary."""
        await self.assertMalformed(b"\x01\x02\xff\x02\x01", OCTETS)
        await self.assertMalformed(b"\x01\x02\xff\x34\x01", OCTETS)

    async def test_base64_that_is_none(self) -> None:
        """v3, *Payload*: what follows ``b4`` is base64; only messages are binary."""
        await self.assertMalformed(b"5:b4***")
        await self.assertMalformed(b"4:b4AQ")
        await self.assertMalformed(b"6:b2AQID")


class PayloadTests4(PayloadCase):
    eio: Eio = 4

    async def test_record_separator(self) -> None:
        """v4, *HTTP long-polling*: packets are separated by the record separator, 1e."""
        session = await self.door.poll_open()
        body = "4hello\x1e4€\x1e4𝄞".encode()
        self.assertEqual((await self.echo(session, body)).body, body)

    async def test_base64(self) -> None:
        """v4, *HTTP long-polling*: binary data is base64 after a ``b``, with no type: always a message."""
        session = await self.door.poll_open()
        response = await self.echo(session, b"4hello\x1ebAQIDBA==")
        self.assertEqual(response.body, b"4hello\x1ebAQIDBA==")
        self.assertTrue(response.headers["content-type"].startswith("text/plain"))

    async def test_b64_means_nothing(self) -> None:
        """v4, *History*, v3 to v4: always base64, whatever the client says of itself."""
        session = await self.door.poll_open(b64="1")
        self.assertEqual((await self.echo(session, b"bAQIDBA==")).body, b"bAQIDBA==")

    async def test_empty_binary(self) -> None:
        """v4, *HTTP long-polling*: binary data of no bytes."""
        session = await self.door.poll_open()
        self.assertEqual((await self.echo(session, b"b\x1e4x")).body, b"b\x1e4x")

    async def test_separators_that_separate_nothing(self) -> None:
        """v4, *HTTP long-polling*: between two separators there is a packet."""
        for body in (b"", b"\x1e", b"4x\x1e", b"\x1e4x", b"4x\x1e\x1e4y"):
            await self.assertMalformed(body)

    async def test_base64_that_is_none(self) -> None:
        """v4, *HTTP long-polling*: what follows ``b`` is base64."""
        for body in (b"b***", b"bAQ", b"bAQI=AQI=", b"b=", b"bAQ ID"):
            await self.assertMalformed(body)

    async def test_no_counts(self) -> None:
        """v4, *History*, v3 to v4: no more counts: ``6:4hello`` is a packet of type 6."""
        session = await self.door.poll_open()
        self.assertEqual((await self.echo(session, b"6:4hello\x1e4x")).body, b"4x")

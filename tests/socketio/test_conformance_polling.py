"""
Engine.IO by long-polling: what GETs and POSTs do, and what they must not.

Rules of the Engine.IO protocol, version 4, *HTTP long-polling*, which hold in version 3 too.
"""

from .cases import MAX_PAYLOAD, EchoCase
from .engine import Eio, Poller, packets_of, payload
from .wire import Response, read_response, request_head


class PollingTests4(EchoCase):
    eio: Eio = 4

    async def open(self) -> Poller:
        return await self.door.poll_open()

    async def assertGone(self, session: Poller) -> None:
        """Its sid is no longer known."""
        for response in (await session.get(), await session.post("4x")):
            self.assertEqual((response.status, response.json["code"]), (400, 1))
        self.assertEqual(len(self.server), 0)

    def assertBad(self, response: Response) -> None:
        self.assertEqual(response.status, 400)

    # -- what they do ----------------------------------------------------

    async def test_post_is_answered_ok(self) -> None:
        """*Sending data*: success is 200 with the string ``ok``."""
        response = await (await self.open()).post("4hello")
        self.assertEqual((response.status, response.body), (200, b"ok"))

    async def test_get_brings_what_waits(self) -> None:
        """*Receiving data*: packets that are buffered come in the response's body."""
        session = await self.open()
        await session.post("4hello")
        response = await session.get()
        self.assertEqual((response.status, response.body), (200, payload(self.eio, "4hello")))
        self.assertEqual(response.headers["content-type"].lower(), "text/plain; charset=utf-8")

    async def test_several_packets(self) -> None:
        """*Packet encoding*: several packets may travel in one payload, in their order, both ways."""
        session = await self.open()
        await session.post("4test1", "4test2", "4test3")
        self.assertEqual(await session.poll(), ["4test1", "4test2", "4test3"])

    async def test_several_posts(self) -> None:
        """*Receiving data*: all that waits comes, whichever POST it came of."""
        session = await self.open()
        for number in range(5):
            await session.post(f"4{number}")
        self.assertEqual(await session.poll(), ["40", "41", "42", "43", "44"])

    async def test_get_waits(self) -> None:
        """*Receiving data*: a GET is not answered before there is something to send."""
        session = await self.open()
        waiting = await session.begin_get()
        await session.post("4at last")
        self.assertEqual(await session.packets(waiting), ["4at last"])

    async def test_noop_means_nothing(self) -> None:
        """*Protocol*, packet types: a noop carries nothing, and nothing comes back."""
        session = await self.open()
        await session.post("6", "4hello")
        self.assertEqual(await session.poll(), ["4hello"])

    async def test_empty_message(self) -> None:
        """*Protocol*: a packet's payload is optional."""
        session = await self.open()
        await session.post("4")
        self.assertEqual(await session.poll(), ["4"])

    async def test_sessions_are_apart(self) -> None:
        """*Handshake*: the sid says whose packets these are."""
        one, other = await self.open(), await self.open()
        await one.post("4one")
        await other.post("4other")
        self.assertEqual((await other.poll(), await one.poll()), (["4other"], ["4one"]))

    async def test_bodies_of_at_most_max_payload(self) -> None:
        """*Handshake*, maxPayload: the most bytes of a chunk; the server keeps to it as well."""
        session = await self.open()
        sent = [f"4{number}".ljust(300_000, "x") for number in range(5)]
        for packet in sent:
            await session.post(packet)
        received: list[str] = []
        while len(received) < len(sent):
            response = await session.get()
            self.assertLessEqual(len(response.body), MAX_PAYLOAD)
            received += packets_of(self.eio, response.body)
        self.assertEqual(received, sent)

    async def test_body_of_max_payload(self) -> None:
        """*Handshake*, maxPayload: a POST of just so many bytes is taken, and comes back in one piece."""
        session = await self.open()
        # EIO3's length and colon: "999993:"
        packet = "4".ljust(MAX_PAYLOAD - (7 if self.eio == 3 else 0), "x")
        self.assertEqual(len(payload(self.eio, packet)), MAX_PAYLOAD)
        self.assertEqual((await session.post(packet)).status, 200)
        self.assertEqual(await session.poll(), [packet])

    # -- what they must not ----------------------------------------------

    async def test_two_gets_at_once(self) -> None:
        """*Receiving data*: not more than one active GET: 400 for the second, and the session is closed."""
        session = await self.open()
        waiting = await session.begin_get()
        self.assertBad(await session.get())
        self.assertEqual(await session.packets(waiting), ["1"])
        await self.assertGone(session)

    async def test_two_posts_at_once(self) -> None:
        """*Sending data*: not more than one active POST: 400 for the second, and the session is closed."""
        session = await self.open()
        first = await self.network.connect()
        body = payload(self.eio, "4hello")
        headers = {"Content-Type": "text/plain", "Content-Length": str(len(body)), "Connection": "close"}
        first.send(request_head("POST", session.target, headers) + body[:-1])
        await self.assertServes()
        self.assertBad(await session.post("4second"))
        await self.assertGone(session)
        # whatever the first one gets, it is an answer and no success that lost its packet
        first.send(body[-1:])
        self.assertBad(await read_response(first))

    async def test_get_and_post_at_once(self) -> None:
        """*HTTP long-polling*: a GET and a POST may well be under way together."""
        session = await self.open()
        waiting = await session.begin_get()
        self.assertEqual((await session.post("4hello")).status, 200)
        self.assertEqual(await session.packets(waiting), ["4hello"])

    async def test_get_that_is_broken_off(self) -> None:
        """*Receiving data*: who hangs up may have lost packets, so the session is closed."""
        session = await self.open()
        waiting = await session.begin_get()
        waiting.abort()
        await self.until(lambda: not len(self.server))
        await self.assertGone(session)

    async def test_post_that_is_broken_off(self) -> None:
        """*Sending data*: what was in it is lost, so the session is closed."""
        session = await self.open()
        post = await self.network.connect()
        post.send(request_head("POST", session.target, {"Content-Length": "10"}) + b"4he")
        await self.assertServes()
        post.abort()
        await self.until(lambda: not len(self.server))
        await self.assertGone(session)

    async def test_body_beyond_max_payload(self) -> None:
        """*Handshake*, maxPayload: 413 for more, by its length alone, and the session is closed."""
        session = await self.open()
        post = await self.network.connect()
        post.send(request_head("POST", session.target, {"Content-Length": str(MAX_PAYLOAD + 1)}))
        self.assertEqual((await read_response(post)).status, 413)
        await self.assertGone(session)

    async def test_chunks_beyond_max_payload(self) -> None:
        """*Handshake*, maxPayload: 413 also where the length shows only as the body comes."""
        session = await self.open()
        post = await self.network.connect()
        post.send(request_head("POST", session.target, {"Transfer-Encoding": "chunked"}))
        post.send(b"%x\r\n" % (MAX_PAYLOAD + 1) + b"4" * (MAX_PAYLOAD + 1))
        self.assertEqual((await read_response(post)).status, 413)
        await self.assertGone(session)

    async def test_other_methods(self) -> None:
        """*HTTP long-polling*: GET receives, POST sends; others are 400 and change nothing."""
        session = await self.open()
        for method in ("PUT", "DELETE", "PATCH"):
            self.assertBad(await self.network.request(method, session.target, b""))
        await session.post("4hello")
        self.assertEqual(await session.poll(), ["4hello"])

    async def test_packet_of_no_type(self) -> None:
        """*Packet encoding*: a packet begins with its type; one that does not closes the session."""
        for packet in ("abc", "7", "x4", " 4", "-1", ""):
            session = await self.open()
            self.assertBad(await session.post(packet))
            await self.assertGone(session)

    async def test_packet_that_only_a_server_sends(self) -> None:
        """*Protocol*, packet types: open is the server's, upgrade a WebSocket's."""
        for packet in ('0{"sid":"x"}', "5"):
            session = await self.open()
            self.assertBad(await session.post(packet))
            await self.assertGone(session)

    async def test_packets_before_a_malformed_one(self) -> None:
        """*Packet encoding*: a payload with one bad packet is bad; its session ends."""
        session = await self.open()
        self.assertBad(await session.post("4good", "bad"))
        await self.assertGone(session)

    async def test_text_that_is_not_utf8(self) -> None:
        """*Packet encoding*: the character encoding is UTF-8."""
        for body in (b"4\xff\xfe", b"4\xed\xa0\x80", b"4\xc0\xaf", b"4\xe2\x82"):
            session = await self.open()
            self.assertBad(await session.post_body(body if self.eio == 4 else b"%d:%b" % (len(body), body)))
            await self.assertGone(session)

    # -- close -----------------------------------------------------------

    async def test_close(self) -> None:
        """*Protocol*, close: the client ends it; a GET that waits is let go with a noop."""
        session = await self.open()
        waiting = await session.begin_get()
        self.assertEqual((await session.post("1")).body, b"ok")
        self.assertEqual(await session.packets(waiting), ["6"])
        await self.assertGone(session)

    async def test_close_with_no_get(self) -> None:
        """*Protocol*, close: and without one."""
        session = await self.open()
        self.assertEqual((await session.post("1")).status, 200)
        await self.assertGone(session)

    async def test_packets_after_close(self) -> None:
        """*Protocol*, close: nothing comes after it."""
        session = await self.open()
        waiting = await session.begin_get()
        await session.post("1", "4too late")
        self.assertEqual(await session.packets(waiting), ["6"])

    async def test_close_by_the_server(self) -> None:
        """*Protocol*, close: the server ends it: the GET brings what waited, then a close packet."""
        session = await self.open()
        await session.post("4hello")
        stopped = self.server.stop()
        self.assertEqual(await session.poll(), ["4hello", "1"])
        await stopped
        await self.assertGone(session)

    async def test_close_by_the_server_while_a_get_waits(self) -> None:
        """*Protocol*, close: at once."""
        session = await self.open()
        waiting = await session.begin_get()
        await self.server.stop()
        self.assertEqual(await session.packets(waiting), ["1"])


class PollingTests3(PollingTests4):
    eio: Eio = 3

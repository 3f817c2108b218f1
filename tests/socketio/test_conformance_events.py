"""
Socket.IO as today's clients speak it: events, acknowledgements, binary data.

Rules of the Socket.IO protocol, version 5, above Engine.IO version 4.
"""

import json
from typing import Any

from .cases import INTERVAL, TIMEOUT, SocketIoCase


def place(number: int) -> dict[str, Any]:
    return {"_placeholder": True, "num": number}


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class EventTests(SocketIoCase):
    async def test_event(self) -> None:
        """*Sending and receiving data*: ``2["name",…]``, any JSON after the name."""
        socket = await self.joined()
        for arguments in ('1,"2",{"3":[true]}', '"é€𝄞"', "null", "[]", "-1.5,[[]]", '{"a":{"b":[]}}'):
            socket.send(f'42["message",{arguments}]')
            self.assertEqual(await socket.receive(), f'42["message-back",{arguments}]')

    async def test_no_arguments(self) -> None:
        """*Sending and receiving data*: the array is not empty; the name alone will do."""
        socket = await self.joined()
        socket.send('42["message"]')
        self.assertEqual(await socket.receive(), '42["message-back"]')

    async def test_another_namespace(self) -> None:
        """*Sending and receiving data*, with a custom namespace: answers carry its name."""
        socket = await self.open()
        socket.send("40/custom,")
        await socket.receive()
        await socket.receive()
        socket.send('42/custom,["message",1]')
        self.assertEqual(await socket.receive(), '42/custom,["message-back",1]')
        socket.send('42/custom,7["message-with-ack",1]')
        self.assertEqual(await socket.receive(), "43/custom,7[1]")

    async def test_acknowledgement(self) -> None:
        """*Acknowledgement*: an event with an id is answered by an ACK with that id."""
        socket = await self.joined()
        for number in (0, 1, 456, 2**53 - 1):
            socket.send(f'42{number}["message-with-ack",1,"2",{{"3":[false]}}]')
            self.assertEqual(await socket.receive(), f'43{number}[1,"2",{{"3":[false]}}]')

    async def test_empty_acknowledgement(self) -> None:
        """*Acknowledgement*: its payload is an array, possibly empty."""
        socket = await self.joined()
        socket.send('4212["message-with-ack"]')
        self.assertEqual(await socket.receive(), "4312[]")

    async def test_acknowledgement_nobody_asked_for(self) -> None:
        """*Acknowledgement*: one with an unknown id means nothing."""
        socket = await self.joined()
        socket.send("4399[]")
        socket.send('43/,99["x"]')
        await self.assertAlive(socket)

    async def test_unknown_event(self) -> None:
        """*Sending and receiving data*: an event that nobody listens to means nothing."""
        socket = await self.joined()
        socket.send('42["whatever",1]')
        await self.assertAlive(socket)

    async def test_ping_between(self) -> None:
        """Engine.IO, *Heartbeat*: it goes on below."""
        socket = await self.joined()
        self.clock.advance(INTERVAL)
        self.assertEqual(await socket.receive(), "2")
        socket.send("3")
        await self.assertAlive(socket)
        self.clock.advance(INTERVAL)
        self.assertEqual(await socket.receive(), "2")
        self.clock.advance(TIMEOUT)
        await self.assertEnded(socket)


class InvalidPacketTests(SocketIoCase):
    async def test_unknown_type(self) -> None:
        """*Packet types*: 0 to 6."""
        for packet in ("4abc", "47", "4", '49["message"]', "4-1", "4 2"):
            await self.assertClosedBy(packet)

    async def test_payload_that_is_no_json(self) -> None:
        """*Format*: the payload is JSON."""
        for packet in ('42["message"', "42[message]", '42["a",NaN]', '42["a"]x', "42['a']", '42["\x01"]'):
            await self.assertClosedBy(packet)

    async def test_event_without_payload(self) -> None:
        """*Sending and receiving data*: the payload is mandatory and a non-empty array."""
        for packet in ("42", "42{}", "42[]", '42"message"', "42null", "4212"):
            await self.assertClosedBy(packet)

    async def test_acknowledgement_without_payload(self) -> None:
        """*Acknowledgement*: the payload is mandatory and an array."""
        for packet in ("4312", "4312{}", "43[]", '4312"x"'):
            await self.assertClosedBy(packet)

    async def test_id_that_is_no_number(self) -> None:
        """*Format*: the acknowledgement id is an integer."""
        for packet in ('42abc["message"]', '42-1["message"]', '421.5["message"]', '42 1["message"]'):
            await self.assertClosedBy(packet)

    async def test_disconnection_with_payload(self) -> None:
        """*Disconnection from a namespace*: carries nothing."""
        await self.assertClosedBy("41{}")

    async def test_error_of_the_client(self) -> None:
        """*Packet types*: CONNECT_ERROR is the server's."""
        await self.assertClosedBy('44{"message":"x"}')

    async def test_attachments_of_a_text_packet(self) -> None:
        """*Format*: a number of attachments belongs to binary packets, and they have one."""
        for packet in ('421-["message"]', '45["message"]', "431-1[]", "461[]", "401-"):
            await self.assertClosedBy(packet)

    async def test_text_that_is_not_utf8(self) -> None:
        """Engine.IO, *Packet encoding*: UTF-8, in polls as well."""
        session = await self.door.poll_open()
        await session.post("40")
        self.assertEqual((await session.post_body(b'42["message","\xff"]')).status, 400)
        self.assertEqual(len(self.server), 0)


class BinaryTests(SocketIoCase):
    async def test_event(self) -> None:
        """*Sending and receiving data*, with binary data: placeholders, then the attachments."""
        socket = await self.joined()
        event = ["message", place(0), place(1)]
        for packet in (f"452-{compact(event)}", b"\x01\x02\x03", b"\x04\x05\x06"):
            socket.send(packet)
        expected = [f"452-{compact(['message-back', place(0), place(1)])}", b"\x01\x02\x03", b"\x04\x05\x06"]
        self.assertEqual([await socket.receive() for _ in range(3)], expected)

    async def test_acknowledgement(self) -> None:
        """*Acknowledgement*, with binary data: a BINARY_ACK."""
        socket = await self.joined()
        socket.send(f"452-789{compact(['message-with-ack', place(0), place(1)])}")
        socket.send(b"\x01\x02\x03")
        socket.send(b"")
        expected = [f"462-789{compact([place(0), place(1)])}", b"\x01\x02\x03", b""]
        self.assertEqual([await socket.receive() for _ in range(3)], expected)

    async def test_deep_inside(self) -> None:
        """*Format*: binary data is taken out wherever it is."""
        socket = await self.joined()
        socket.send(f"451-{compact(['message', {'a': [1, {'b': place(0)}]}])}")
        socket.send(b"\x00")
        expected = f"451-{compact(['message-back', {'a': [1, {'b': place(0)}]}])}"
        self.assertEqual([await socket.receive(), await socket.receive()], [expected, b"\x00"])

    async def test_placeholders_in_any_order(self) -> None:
        """*Format*: it is ``num`` that says which attachment."""
        socket = await self.joined()
        socket.send(f"452-{compact(['message', place(1), place(0)])}")
        socket.send(b"zero")
        socket.send(b"one")
        back = [await socket.receive() for _ in range(3)]
        self.assertEqual(back, [f"452-{compact(['message-back', place(0), place(1)])}", b"one", b"zero"])

    async def test_another_namespace(self) -> None:
        """*Examples*: ``52-/admin,[…]``: the number stands before the namespace."""
        socket = await self.joined()
        socket.send("40/custom,")
        await socket.receive()
        await socket.receive()
        socket.send(f"451-/custom,{compact(['message', place(0)])}")
        socket.send(b"\x00")
        expected = f"451-/custom,{compact(['message-back', place(0)])}"
        self.assertEqual([await socket.receive(), await socket.receive()], [expected, b"\x00"])

    async def test_by_polling(self) -> None:
        """Engine.IO, *HTTP long-polling*: attachments are base64 in a poll."""
        session = await self.door.poll_open()
        await session.post("40")
        await session.poll()
        await session.post(f"451-{compact(['message', place(0)])}", "bAQID")
        self.assertEqual(await session.poll(), [f"451-{compact(['message-back', place(0)])}", "bAQID"])

    async def test_by_two_posts(self) -> None:
        """Engine.IO, *HTTP long-polling*: how packets are spread over payloads means nothing."""
        session = await self.door.poll_open()
        await session.post("40")
        await session.poll()
        await session.post(f"451-{compact(['message', place(0)])}")
        await session.post("bAQID")
        self.assertEqual(await session.poll(), [f"451-{compact(['message-back', place(0)])}", "bAQID"])

    async def test_no_attachments(self) -> None:
        """*Format*: a number of attachments of 0 is one as well."""
        socket = await self.joined()
        socket.send('450-["message",1]')
        self.assertEqual(await socket.receive(), '42["message-back",1]')

    async def test_text_in_their_place(self) -> None:
        """*Format*: after the packet come its attachments; text in their place closes the connection."""
        await self.assertClosedBy(f"451-{compact(['message', place(0)])}", '42["message",1]')

    async def test_attachment_of_nothing(self) -> None:
        """*Format*: an attachment belongs to a packet."""
        await self.assertClosedBy(b"\x01\x02\x03")
        await self.assertClosedBy('450-["whatever",1]', b"\x01")

    async def test_ping_between(self) -> None:
        """Engine.IO, *Heartbeat*: only messages count; a heartbeat may come between."""
        socket = await self.joined()
        socket.send(f"451-{compact(['message', place(0)])}")
        self.clock.advance(INTERVAL)
        self.assertEqual(await socket.receive(), "2")
        socket.send("3")
        socket.send(b"\x00")
        self.assertTrue(str(await socket.receive()).startswith("451-"))
        self.assertEqual(await socket.receive(), b"\x00")

"""
What hostile clients have done to Socket.IO servers, and what they might do to this one: with packets.

After each attack the server serves the next client. That it leaves no session, no timer and no connection
behind is in the end of every ``EchoCase``; that nothing was logged as an error is trial's rule.
"""

import json
from typing import Any

from resttorrent.socketio import sio_server

from .cases import AttackCase
from .wire import TEXT


class BinaryAttacks(AttackCase):
    async def test_number_that_is_no_index(self) -> None:
        """A placeholder whose ``num`` is no index of an attachment (CVE-2022-2421)."""
        for number in (
            "1",
            "-1",
            '"0"',
            "null",
            "true",
            "false",
            "0.0",
            "[]",
            "{}",
            "1e999",
            '"splice"',
            "9" * 400,
        ):
            await self.assertPutOut(f'451-["message",{{"_placeholder":true,"num":{number}}}]', b"\x00")

    async def test_placeholder_that_is_none(self) -> None:
        """A placeholder without a number, one that only looks like one, or none at all."""
        for value in ('{"_placeholder":true}', '{"_placeholder":"yes","num":0}', '{"num":0}', '"x"'):
            await self.assertPutOut(f'451-["message",{value}]', b"\x00")

    async def test_one_attachment_twice(self) -> None:
        """Two placeholders for one attachment, which would make much of little."""
        place = '{"_placeholder":true,"num":0}'
        await self.assertPutOut(f'451-["message",{place},{place}]', b"\x00")
        await self.assertPutOut(f'452-["message",{place},{place}]', b"\x00", b"\x01")

    async def test_placeholder_for_the_name(self) -> None:
        """An event whose name is an attachment."""
        await self.assertPutOut('451-[{"_placeholder":true,"num":0}]', b"message")

    async def test_placeholder_where_nothing_is_attached(self) -> None:
        """A placeholder in an event without attachments is data like any other."""
        answer = await self.answer('42["message",{"_placeholder":true,"num":0}]')
        self.assertEqual(answer, '42["message-back",{"_placeholder":true,"num":0}]')

    async def test_ten_attachments(self) -> None:
        """As many as are allowed."""
        socket = await self.joined()
        places: list[Any] = [{"_placeholder": True, "num": number} for number in range(10)]
        socket.send(f"4510-{json.dumps(['message', *places])}")
        for number in range(10):
            socket.send(bytes([number]))
        self.assertTrue(str(await socket.receive()).startswith("4510-"))
        self.assertEqual(
            [await socket.receive() for _ in range(10)], [bytes([number]) for number in range(10)]
        )

    async def test_more_attachments(self) -> None:
        """One more, or any number, is refused before anything is buffered."""
        for count in ("11", "100", "9999", "99999999", "9" * 5000):
            await self.assertPutOut(f'45{count}-["message",{{"_placeholder":true,"num":0}}]')

    async def test_attachments_that_never_come(self) -> None:
        """A packet that waits for its attachments holds nobody else up, and ends with its client."""
        socket = await self.joined()
        socket.send('4510-["message",{"_placeholder":true,"num":0}]')
        for _ in range(9):
            socket.send(b"x" * 1000)
        await self.assertServes()
        socket.send("1")
        await self.assertEnded(socket)

    async def test_attachments_of_too_many_bytes(self) -> None:
        """Attachments are bounded together: ten do not make ten times as much of a frame's limit."""
        self.patch(sio_server, "MOST_ATTACHED", 100_000)
        socket = await self.joined()
        socket.send('4510-["message",{"_placeholder":true,"num":0}]')
        for _ in range(3):
            socket.send(b"x" * 50_000)
        await self.assertEnded(socket)
        await self.assertServes()


class EventAttacks(AttackCase):
    async def test_name_that_is_no_name(self) -> None:
        """An event's name that is an object, an array or the like (CVE-2023-32695, CVE-2024-38355)."""
        for name in ("{}", '{"toString":"x"}', "[]", '["message"]', "null", "true", "1.5", '{"length":1}'):
            await self.assertPutOut(f"42[{name}]")
            await self.assertPutOut(f'427[{name},"x"]')

    async def test_number_as_a_name(self) -> None:
        """A number is allowed by the protocol, and means nothing here."""
        socket = await self.joined()
        socket.send("42[1,2]")
        socket.send('42["message"]')
        self.assertEqual(await socket.receive(), '42["message-back"]')

    async def test_reserved_names(self) -> None:
        """Events that only the library raises, on behalf of a client (CVE-2020-28481's kin)."""
        for name in (
            "connect",
            "connect_error",
            "disconnect",
            "disconnecting",
            "newListener",
            "removeListener",
        ):
            await self.assertPutOut(f'42["{name}","x"]')

    async def test_names_of_attributes(self) -> None:
        """Names that mean something to the language, in places where keys are looked up."""
        for name in ("__proto__", "constructor", "__class__", "__init__", "toString", "", "\x00"):
            socket = await self.joined()
            socket.send(f"42{json.dumps([name, {name: 1}])}")
            socket.send(f"42{json.dumps(['message', {name: 1}])}")
            self.assertIn("message-back", str(await socket.receive()))

    async def test_names_of_namespaces(self) -> None:
        """The same for namespaces."""
        for name in ("__proto__", "constructor", "../", "%2f", "é€𝄞", "x" * 10_000, " ", "custom/"):
            socket, _ = await self.door.socket_open()
            socket.send(f"40/{name},")
            self.assertTrue(str(await socket.receive()).startswith("44/"))

    async def test_deep_nesting(self) -> None:
        """JSON nested as deep as it likes: echoed or refused, never a stack that overflows."""
        for depth in (50, 99, 100, 200, 300, 400, 490, 600, 800, 900, 990, 1100, 5000, 100_000):
            for head, tail in (("[", "]"), ('{"a":', "}")):
                nested = head * depth + "1" + tail * depth
                answer = await self.answer(f'42["message",{nested}]')
                self.assertEqual(answer, f'42["message-back",{nested}]' if depth < 100 else None)
        await self.assertServes()

    async def test_many_brackets(self) -> None:
        """Brackets that are many and not deep, or in a string, are nothing to refuse."""
        for data in ("[" + ",".join(["{}"] * 5000) + "]", '"' + "[" * 5000 + '"'):
            self.assertEqual(await self.answer(f'42["message",{data}]'), f'42["message-back",{data}]')

    async def test_values_without_number(self) -> None:
        """Millions of empty lists would take 30 times the memory of the frame that they came in."""
        for value in ("[]", "{}", "0", '""'):
            await self.assertPutOut(f'42["message",[{",".join([value] * 1_000_000)}]]')

    async def test_deep_nesting_around_an_attachment(self) -> None:
        """The same where the data is walked through in search of placeholders."""
        for depth in (100, 300, 490, 900, 990, 5000):
            socket = await self.joined()
            socket.send(f'451-["message",{"[" * depth}{{"_placeholder":true,"num":0}}{"]" * depth}]')
            socket.send(b"\x00")
            socket.send("1")
            await socket.end()
        await self.assertServes()

    async def test_deep_nesting_of_the_payload(self) -> None:
        """The same in the payload of CONNECT, which nobody was asked for yet."""
        for depth in (300, 990, 5000, 100_000):
            socket, _ = await self.door.socket_open()
            socket.send('40{"a":' + "[" * depth + "]" * depth + "}")
            socket.send("1")
            await socket.end()
        await self.assertServes()

    async def test_enormous_numbers(self) -> None:
        """Numbers that are infinite, or longer than Python converts (CVE-2020-10735)."""
        for number in (
            "1e999",
            "-1e999",
            "1e-999",
            "9" * 400,
            "9" * 5000,
            "-" + "9" * 5000,
            "0." + "1" * 5000,
        ):
            answer = await self.answer(f'42["message",{number}]')
            self.assertTrue(answer is None or str(answer).startswith('42["message-back",'), answer)
            await self.answer(f"42[{number}]")
        await self.assertServes()

    async def test_enormous_ids(self) -> None:
        """Ids of acknowledgements of as many digits."""
        for digits in (19, 400, 5000, 100_000):
            await self.assertPutOut(f'42{"9" * digits}["message-with-ack"]')
            await self.assertPutOut(f"43{'9' * digits}[]")

    async def test_lone_surrogates(self) -> None:
        """Half a character, as JSON can spell it: echoed or refused."""
        for text in ("\\ud800", "\\udc00", "\\ud800x", "\\udc00\\ud800", "\\ud83d\\ud83d"):
            answer = await self.answer(f'42["message","{text}"]')
            self.assertTrue(answer is None or str(answer).startswith('42["message-back",'), answer)
            await self.answer(f'42["{text}"]')
            await self.answer(f'42["message",{{"{text}":1}}]')
        await self.assertServes()

    async def test_bad_utf8(self) -> None:
        """Bytes that are no text, wherever there should be some."""
        for raw in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"):
            for packet in (
                b"4" + raw,
                b"40/" + raw + b",",
                b'42["' + raw + b'"]',
                b'42["message","' + raw + b'"]',
            ):
                socket = await self.joined()
                socket.send_frame(TEXT, packet)
                await self.assertEnded(socket)
                session = await self.joined_by_polling()
                self.assertEqual((await session.post_body(packet)).status, 400)
        await self.until(lambda: not len(self.server))
        await self.assertServes()

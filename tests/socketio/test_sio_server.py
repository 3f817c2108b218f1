"""Socket.IO above Engine.IO: namespaces, events, acknowledgements, and applications that fail."""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio import Application, Handshake, Refusal, Socket, prepare
from resttorrent.socketio.eio_packet import EioVersion, MalformedPacket
from resttorrent.socketio.sio_packet import MOST_ATTACHMENTS

from .stage import CONNECT, FakeChannel, Recorder, Stage


class SioCase(SynchronousTestCase):
    eio: EioVersion = 4

    def setUp(self) -> None:
        self.recorder = Recorder()
        self.stage = Stage(self.recorder, eio=self.eio)

    def joined(self) -> FakeChannel:
        """A client in ``/``, what it was told read."""
        channel = self.stage.by_channel()
        if self.eio == 4:
            channel.send("40")
        channel.taken()
        self.recorder.taken()
        return channel

    def assertEnds(self, channel: FakeChannel, *messages: str | bytes) -> None:
        """The last of these messages ends the session."""
        channel.send(*messages[:-1])
        self.assertEqual((channel.dropped, len(self.stage.server)), (0, 1), messages)
        channel.send(messages[-1])
        self.assertEqual((channel.dropped, len(self.stage.server)), (1, 0), messages)
        self.assertEqual(self.stage.clock.getDelayedCalls(), [])


class JoiningTests(SioCase):
    def test_sio5(self) -> None:
        """The server waits; the socket's id is not the engine's."""
        channel = self.stage.by_channel()
        (greeting,) = channel.taken()
        self.assertEqual(self.recorder.taken(), [])
        channel.send('40{"token":"x"}')
        (joined,) = channel.taken()
        assert isinstance(joined, str) and isinstance(greeting, str)
        self.assertEqual(joined, f'40{{"sid":"{self.recorder.sockets[0].id}"}}')
        self.assertNotEqual(json.loads(greeting[1:])["sid"], self.recorder.sockets[0].id)
        self.assertEqual(self.recorder.taken(), [("connect", "/", {"token": "x"})])

    def test_sio4(self) -> None:
        """The client is in ``/`` by coming."""
        self.stage.eio = 3
        channel = self.stage.by_channel()
        self.assertEqual(channel.taken()[1:], ["40"])
        self.assertEqual(self.recorder.taken(), [("connect", "/", None)])
        channel.send("40")
        self.assertEqual((channel.taken(), self.recorder.taken()), ([], []))
        channel.send("40/custom?token=1,")
        self.assertEqual(channel.taken(), ["40/custom,"])
        self.assertEqual(self.recorder.taken(), [("connect", "/custom", None)])

    def test_one_body(self) -> None:
        """An old client that polls gets both packets at once."""
        self.stage.eio = 3
        connection = self.stage.server.open(self.stage.handshake("polling"))
        greeting, joined = self.stage.poll(connection).packets(3)
        self.assertEqual((str(greeting)[0], joined), ("0", "40"))

    def test_namespaces_are_apart(self) -> None:
        channel = self.joined()
        channel.send("40/custom,", '42["a"]', '42/custom,7["b",1]')
        self.assertEqual(
            self.recorder.taken(),
            [
                ("connect", "/custom", None),
                ("event", "/", "a", [], None),
                ("event", "/custom", "b", [1], 7),
            ],
        )
        first, second = self.recorder.sockets
        self.assertNotEqual(first.id, second.id)
        channel.taken()
        second.emit("x")
        self.assertEqual(channel.taken(), ['42/custom,["x"]'])

    def test_unknown_namespace(self) -> None:
        channel = self.stage.by_channel()
        channel.taken()
        channel.send("40/random,")
        self.assertEqual(channel.taken(), ['44/random,{"message":"Invalid namespace"}'])
        self.stage.eio = 3
        channel = self.stage.by_channel()
        channel.taken()
        channel.send("40/random")
        self.assertEqual(channel.taken(), ['44/random,"Invalid namespace"'])

    def test_joining_twice(self) -> None:
        self.assertEnds(self.joined(), "40")

    def test_time(self) -> None:
        """Who joins nothing is put out; so is one that was refused."""
        for messages in ((), ("40/random,",)):
            channel = self.stage.by_channel()
            channel.send(*messages)
            self.stage.clock.advance(25.0)
            channel.send("3")
            self.stage.clock.advance(CONNECT - 25.0 - 0.1)
            self.assertEqual(channel.dropped, 0)
            self.stage.clock.advance(0.1)
            self.assertEqual((channel.dropped, len(self.stage.server)), (1, 0))
        self.assertEqual(self.stage.clock.getDelayedCalls(), [])

    def test_refusal(self) -> None:
        """With its data, for whom the protocol has room for it."""

        class Bouncer(Application):
            def admit(self, handshake: Handshake, namespace: str, auth: Any) -> Any:
                if auth != {"token": "good"}:
                    raise Refusal("Not authorized", {"code": "unauthorized"})
                return "the guest's book"

            def connect(self, socket: Socket, auth: Any) -> None:
                socket.emit("welcome", socket.data, socket.handshake.address)

        stage = Stage(Bouncer())
        channel = stage.by_channel()
        channel.taken()
        channel.send("40")
        self.assertEqual(channel.taken(), ['44{"message":"Not authorized","data":{"code":"unauthorized"}}'])
        channel.send('40{"token":"good"}')
        self.assertEqual(channel.taken()[1:], ['42["welcome","the guest\'s book","127.0.0.1"]'])
        stage.eio = 3
        self.assertEqual(stage.by_channel().taken()[1:], ['44"Not authorized"'])


class EventTests(SioCase):
    def test_acknowledgement(self) -> None:
        channel = self.joined()
        channel.send('420["v1",{}]')
        self.assertEqual(self.recorder.taken(), [("event", "/", "v1", [{}], 0)])
        self.recorder.sockets[0].acknowledge(0, {"ok": 1})
        self.assertEqual(channel.taken(), ['430[{"ok":1}]'])

    def test_attachments(self) -> None:
        channel = self.joined()
        head = '452-7["b",{"_placeholder":true,"num":1},{"x":[{"_placeholder":true,"num":0}]}]'
        channel.send(head, b"first", b"second")
        self.assertEqual(self.recorder.taken(), [("event", "/", "b", [b"second", {"x": [b"first"]}], 7)])
        self.recorder.sockets[0].acknowledge(7, b"\1\2", {"x": bytearray(b"\3")})
        self.assertEqual(
            channel.taken(),
            ['462-7[{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]', b"\1\2", b"\3"],
        )
        channel.send('42["after"]')
        self.assertEqual(self.recorder.taken(), [("event", "/", "after", [], None)])

    def test_nothing_comes_between(self) -> None:
        """A packet and its attachments stay together, whatever is sent beside them."""
        channel = self.joined()
        assert channel.connection is not None
        channel.connection.pause(channel)
        first, second = self.recorder.sockets[0], self.recorder.sockets[0]
        first.emit("a", b"1")
        second.emit("b", b"2")
        channel.connection.resume(channel)
        self.assertEqual(
            [frame if isinstance(frame, bytes) else frame[:8] for frame in channel.taken()],
            ['451-["a"', b"1", '451-["b"', b"2"],
        )

    def test_acknowledgements_that_come(self) -> None:
        channel = self.joined()
        channel.send("430[1]", '461-0[{"_placeholder":true,"num":0}]', b"x", "43999[]")
        self.assertEqual((channel.dropped, self.recorder.taken()), (0, []))

    def test_prepared(self) -> None:
        """One for many: the same frame goes to all."""
        channels = [self.joined(), self.joined()]
        prepared = prepare("v1/stats", '{"a":"é"}'.encode())
        for socket in self.recorder.sockets:
            socket.send(prepared)
        (first,), (second,) = (channel.frames for channel in channels)
        self.assertIs(first, second)
        self.assertEqual(channels[0].taken(), ['42["v1/stats",{"a":"é"}]'])

    def test_oldest_clients(self) -> None:
        """One of Socket.IO 1 that takes no binary gets ASCII, which nobody misreads."""
        self.stage.eio = 3
        connection = self.stage.by_polling(b64="1")
        self.recorder.sockets[0].emit("é", "€𝄞", b"\1")
        poll = self.stage.poll(connection)
        assert poll.answer is not None
        self.assertTrue(poll.answer[1].isascii())
        text, data = poll.packets(3)
        assert isinstance(text, str)
        self.assertEqual(json.loads(text[4:])[:2], ["é", "€𝄞"])
        self.assertEqual(data, b"\1")


class MalformedTests(SioCase):
    def test_endings(self) -> None:
        for messages in (
            ("42",),
            ("4",),
            ('42["connect"]',),
            ('42/custom,["not there"]',),
            ("41/custom,",),
            (b"an attachment of nothing",),
            ('451-["b",{"_placeholder":true,"num":0}]', '42["text"]'),
            ('451-["b",{"_placeholder":true,"num":0}]', "40/custom,"),
            ('451-["b",{"_placeholder":true,"num":1}]', b"x"),
            ('451-["b",{"_placeholder":true,"num":"0"}]', b"x"),
            ('451-["b"]', b"x"),
            ('452-["b",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', b"x", b"y"),
            (f'45{MOST_ATTACHMENTS + 1}-["b"]',),
            (b"\xff\xff",),
        ):
            self.assertEnds(self.joined(), *messages)
            self.assertEqual([heard[0] for heard in self.recorder.taken()], ["disconnect"], messages)

    def test_event_before_joining(self) -> None:
        self.assertEnds(self.stage.by_channel(), '42["early"]')
        self.assertEqual(self.recorder.taken(), [])

    def test_nothing_after_it(self) -> None:
        """What came in one body before the mistake counts, and nothing behind it."""
        connection = self.stage.by_polling()
        self.stage.post(connection, "40")
        self.recorder.taken()
        self.stage.post(connection, '42["first"]', "42[", '42["second"]')
        first, end = self.recorder.taken()
        self.assertEqual((first[2], end[0]), ("first", "disconnect"))

    def test_attachment_after_it(self) -> None:
        """A packet that waited for its attachment is not completed by one that comes too late."""
        connection = self.stage.by_polling()
        self.stage.post(connection, "40")
        self.recorder.taken()
        head = '451-["b",{"_placeholder":true,"num":0}]'
        self.stage.post(connection, head, '42["text"]', "bAQID")
        self.assertEqual([heard[0] for heard in self.recorder.taken()], ["disconnect"])

    def test_before_the_end(self) -> None:
        """What was sent before the client's own close counts."""
        connection = self.stage.by_polling()
        self.stage.post(connection, "40", '42["last"]', "1")
        self.assertEqual([heard[0] for heard in self.recorder.taken()], ["connect", "event", "disconnect"])
        with self.assertRaises(MalformedPacket):
            self.stage.post(self.stage.by_polling(), "40", '42["last"]', "0")
        self.assertEqual([heard[0] for heard in self.recorder.taken()], ["connect", "event", "disconnect"])


class LeavingTests(SioCase):
    def test_client_leaves_a_namespace(self) -> None:
        channel = self.joined()
        channel.send("40/custom,")
        self.recorder.taken()
        channel.send("41/custom,")
        self.assertEqual(self.recorder.taken(), [("disconnect", "/custom", "client namespace disconnect")])
        root, custom = self.recorder.sockets
        self.assertEqual((root.connected, custom.connected, custom.writable), (True, False, False))
        channel.taken()
        custom.emit("x")
        custom.acknowledge(1)
        custom.send(prepare("x", b"1", "/custom"))
        custom.disconnect()
        self.assertEqual(channel.taken(), [])
        channel.send('42["still there"]')
        self.assertEqual(len(self.recorder.taken()), 1)

    def test_client_leaves_the_last(self) -> None:
        """It may join again, in the time that it had at first."""
        channel = self.joined()
        channel.send("41", "40")
        self.assertEqual([heard[0] for heard in self.recorder.taken()], ["disconnect", "connect"])
        channel.send("41")
        self.stage.clock.advance(25.0)
        channel.send("3")
        self.stage.clock.advance(CONNECT - 25.0)
        self.assertEqual((channel.dropped, self.stage.clock.getDelayedCalls()), (1, []))

    def test_server_puts_it_out(self) -> None:
        channel = self.joined()
        self.recorder.sockets[0].disconnect()
        self.assertEqual(channel.taken(), ["41"])
        self.assertEqual(self.recorder.taken(), [("disconnect", "/", "server namespace disconnect")])
        self.assertEqual(channel.dropped, 0)

    def test_server_closes(self) -> None:
        """All at once, after what waits."""
        channel = self.joined()
        socket = self.recorder.sockets[0]
        socket.emit("last")
        socket.disconnect(close=True)
        self.assertEqual((channel.taken(), channel.dropped), (['42["last"]'], 1))
        self.assertEqual(self.recorder.taken(), [("disconnect", "/", "the server closed it")])
        self.assertEqual(self.stage.clock.getDelayedCalls(), [])

    def test_connection_is_lost(self) -> None:
        channel = self.joined()
        channel.send("40/custom,")
        self.recorder.taken()
        assert channel.connection is not None
        channel.connection.lose_channel(channel)
        self.assertEqual(
            self.recorder.taken(),
            [
                ("disconnect", "/", "the connection was lost"),
                ("disconnect", "/custom", "the connection was lost"),
            ],
        )

    def test_writable(self) -> None:
        """Each namespace that has asked, or not, is told."""
        channel = self.joined()
        socket = self.recorder.sockets[0]
        assert channel.connection is not None
        channel.connection.pause(channel)
        self.assertFalse(socket.writable)
        channel.connection.resume(channel)
        self.assertEqual(self.recorder.taken(), [("writable", "/")])
        self.assertTrue(socket.writable)


class Failing(Recorder):
    """Raises where it is told to."""

    where = ""

    def _fail(self, where: str) -> None:
        if self.where == where:
            raise ZeroDivisionError

    def admit(self, handshake: Handshake, namespace: str, auth: Any) -> Any:
        self._fail("admit")

    def connect(self, socket: Socket, auth: Any) -> None:
        super().connect(socket, auth)
        self._fail("connect")

    def event(self, socket: Socket, name: str | int, arguments: list[Any], ack_id: int | None) -> None:
        super().event(socket, name, arguments, ack_id)
        self._fail("event")

    def writable(self, socket: Socket) -> None:
        self._fail("writable")

    def disconnect(self, socket: Socket, reason: str) -> None:
        super().disconnect(socket, reason)
        self._fail("disconnect")


class FailingTests(SynchronousTestCase):
    """An application that raises loses that client, and nothing else."""

    def setUp(self) -> None:
        self.application = Failing()
        self.stage = Stage(self.application)

    def assertOver(self) -> None:
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((len(self.stage.server), len(self.stage.server.engines)), (0, 0))
        self.assertEqual(self.stage.clock.getDelayedCalls(), [])

    def test_while_joining(self) -> None:
        for where in ("admit", "connect"):
            self.application.where = where
            channel = self.stage.by_channel()
            channel.send("40")
            self.assertEqual(channel.dropped, 1)
            self.assertOver()

    def test_in_the_handshake(self) -> None:
        """CVE-2022-21676: of old clients the handshake joins, by polling too."""
        self.stage.eio = 3
        for where in ("admit", "connect"):
            self.application.where = where
            self.assertEqual(self.stage.by_channel().dropped, 1)
            self.assertOver()
            self.stage.server.open(self.stage.handshake("polling"))
            self.assertOver()

    def test_event(self) -> None:
        """Of what came in the same body, nothing after it counts."""
        self.application.where = "event"
        connection = self.stage.by_polling()
        self.stage.post(connection, "40", '42["a"]', '42["b"]')
        self.assertOver()
        self.assertEqual([heard[0] for heard in self.application.heard], ["connect", "event", "disconnect"])

    def test_writable(self) -> None:
        self.application.where = "writable"
        channel = self.stage.by_channel()
        channel.send("40")
        assert channel.connection is not None
        channel.connection.pause(channel)
        self.assertFalse(self.application.sockets[0].writable)
        channel.connection.resume(channel)
        self.assertOver()

    def test_disconnect(self) -> None:
        self.application.where = "disconnect"
        channel = self.stage.by_channel()
        channel.send("40", "1")
        self.assertEqual(channel.dropped, 1)
        self.assertOver()

    def test_arguments_that_can_not_be_sent(self) -> None:
        """The application's own mistake, seen where it is made."""
        channel = self.stage.by_channel()
        channel.send("40")
        with self.assertRaises(TypeError):
            self.application.sockets[0].emit("x", object())
        self.assertEqual(channel.dropped, 0)

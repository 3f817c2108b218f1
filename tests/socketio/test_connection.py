"""A session between the machines and the reactor: timers, back-pressure, and the server's stop."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio import Application, Handshake, Limits, Refused, Socket, SocketServer
from resttorrent.socketio.connection import PATIENCE
from resttorrent.socketio.eio_socket import PROBE_TIMEOUT, NotPolling, Overlap

from .stage import CONNECT, INTERVAL, TIMEOUT, FakeChannel, FakePoll, Recorder, Stage


class StageCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.recorder = Recorder()
        self.stage = Stage(self.recorder)
        self.server: SocketServer = self.stage.server
        self.clock = self.stage.clock

    def joined(self) -> FakeChannel:
        channel = self.stage.by_channel()
        channel.send("40")
        channel.taken()
        return channel

    def assertNothingLeft(self) -> None:
        self.assertEqual((len(self.server), len(self.server.engines)), (0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TimerTests(StageCase):
    def test_one_timer(self) -> None:
        """However much happens, a session has one timer, and looks when it is due."""
        channel = self.joined()
        for _ in range(10):
            self.clock.advance(INTERVAL)
            self.assertEqual(channel.taken(), ["2"])
            channel.send("3", '42["x"]')
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(INTERVAL)
        self.clock.advance(TIMEOUT - 0.1)
        self.assertEqual(channel.dropped, 0)
        self.clock.advance(0.1)
        self.assertEqual((channel.dropped, self.recorder.heard[-1][2]), (1, "ping timeout"))
        self.assertNothingLeft()

    def test_old_clients(self) -> None:
        self.stage.eio = 3
        channel = self.stage.by_channel()
        channel.taken()
        for _ in range(10):
            self.clock.advance(INTERVAL + TIMEOUT - 0.1)
            channel.send("2")
            self.assertEqual(channel.taken(), ["3"])
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(INTERVAL + TIMEOUT)
        self.assertEqual(channel.dropped, 1)
        self.assertNothingLeft()

    def test_pollers(self) -> None:
        """A ping goes by the waiting GET; who has none is pinged in vain."""
        for waits in (True, False):
            connection = self.stage.by_polling()
            self.stage.post(connection, "40")
            self.stage.poll(connection)
            poll = self.stage.poll(connection) if waits else None
            self.clock.advance(INTERVAL)
            self.assertEqual(poll and poll.packets(4), ["2"] if waits else None)
            self.clock.advance(TIMEOUT)
            self.assertEqual(self.recorder.heard[-1], ("disconnect", "/", "ping timeout"))
            self.assertNothingLeft()

    def test_probe(self) -> None:
        """A deadline nearer than the one that is waited for."""
        connection = self.stage.by_polling()
        self.stage.post(connection, "40")
        channel = self.stage.probe(connection)
        self.clock.advance(PROBE_TIMEOUT)
        self.assertEqual((channel.dropped, len(self.server)), (1, 1))
        self.clock.advance(INTERVAL - PROBE_TIMEOUT)
        self.assertEqual(self.stage.poll(connection).packets(4)[1], "2")
        connection.abort("enough")
        self.assertNothingLeft()

    def test_closing(self) -> None:
        """Who never fetches the rest is waited for no longer than a timeout."""
        connection = self.stage.by_polling()
        self.stage.post(connection, "40")
        self.recorder.sockets[0].disconnect(close=True)
        self.clock.advance(TIMEOUT - 0.1)
        self.assertEqual(len(self.server), 1)
        self.clock.advance(0.1)
        self.assertNothingLeft()

    def test_joining_nothing(self) -> None:
        channel = self.stage.by_channel()
        self.clock.advance(INTERVAL)
        channel.send("3")
        self.clock.advance(CONNECT - INTERVAL)
        self.assertEqual(channel.dropped, 1)
        self.assertNothingLeft()


class BackPressureTests(StageCase):
    def test_reading(self) -> None:
        """Who has much to read is not read from, until it has read."""
        channel = self.joined()
        assert channel.connection is not None
        channel.connection.pause(channel)
        socket = self.recorder.sockets[0]
        socket.emit("x", "x" * (PATIENCE // 2))
        self.assertTrue(channel.reading)
        socket.emit("x", "x" * (PATIENCE // 2))
        self.assertFalse(channel.reading)
        channel.connection.resume(channel)
        self.assertTrue(channel.reading)
        self.assertEqual(len(channel.taken()), 2)

    def test_full_while_written_to(self) -> None:
        """A channel that says so in between gets no more."""
        channel = self.joined()
        assert channel.connection is not None
        channel.connection.pause(channel)
        for number in range(10):
            self.recorder.sockets[0].emit("x", number, "x" * 50_000)
        channel.full_after = 64 * 1024
        got: list[int] = []
        while not got or got[-1] != 9:
            channel.drain()
            numbers = [int(str(frame)[7]) for frame in channel.taken()]
            self.assertEqual(len(numbers), 2)
            got += numbers
        self.assertEqual(got, list(range(10)))

    def test_flood_inside_a_turn(self) -> None:
        """An application that sends while it may does not run ahead of the client."""

        class Flood(Application):
            sent = 0

            def writable(self, socket: Socket) -> None:
                while socket.writable and self.sent < 1000:
                    self.sent += 1
                    socket.emit("x", "x" * 50_000)

            def event(self, socket: Socket, *rest: Any) -> None:
                self.writable(socket)

        flood = Flood()
        channel = Stage(flood).by_channel()
        channel.full_after = 64 * 1024
        channel.send("40", '42["go"]')
        ahead = flood.sent
        self.assertLess(ahead * 50_000, PATIENCE + 200_000)
        for _ in range(100):
            channel.drain()
        self.assertGreater(flood.sent, ahead)
        self.assertLess((flood.sent - len(channel.frames)) * 50_000, PATIENCE + 200_000)


class PollTests(StageCase):
    def test_client_left(self) -> None:
        connection = self.stage.by_polling()
        poll = self.stage.poll(connection)
        connection.poll_gone()
        self.assertIsNone(poll.answer)
        self.assertNothingLeft()

    def test_two_polls(self) -> None:
        """The first is told of the end, the second is for the transport to refuse."""
        connection = self.stage.by_polling()
        first, second = self.stage.poll(connection), FakePoll()
        with self.assertRaises(Overlap):
            connection.poll(second.respond)
        self.assertEqual((first.packets(4), second.answer), (["1"], None))
        self.assertNothingLeft()
        with self.assertRaises(NotPolling):
            connection.begin_post()


class ServerTests(StageCase):
    def handshake(self, **query: str) -> Handshake:
        return self.stage.handshake("polling", **query)

    def test_named(self) -> None:
        connection = self.stage.by_polling()
        query = {"sid": connection.engine.sid}
        self.assertIs(self.server.named(query), connection)
        self.assertIs(self.server.check(self.handshake(**query), method="GET", websocket=False), connection)
        self.assertIsNone(self.server.named({"sid": "other"}))
        self.assertIsNone(self.server.named({}))

    def test_admission(self) -> None:
        """It is asked for handshakes alone, after the protocol's own checks."""
        asked: list[Handshake] = []

        def admit(handshake: Handshake) -> None:
            asked.append(handshake)
            raise Refused(4, "Forbidden", 403)

        server = SocketServer(self.recorder, clock=self.clock, admit=admit)
        with self.assertRaises(Refused) as raised:
            server.check(self.handshake(EIO="5"), method="GET", websocket=False)
        self.assertEqual((raised.exception.code, asked), (5, []))
        with self.assertRaises(Refused) as raised:
            server.check(self.handshake(), method="GET", websocket=False)
        self.assertEqual((raised.exception.status, len(asked)), (403, 1))
        connection = server.open(self.handshake())
        server.check(self.handshake(sid=connection.engine.sid), method="GET", websocket=False)
        self.assertEqual(len(asked), 1)
        connection.abort("enough")

    def test_limits(self) -> None:
        stage = Stage(self.recorder, limits=Limits(sockets=1))
        connection = stage.by_polling()
        with self.assertRaises(Refused):
            stage.by_polling()
        connection.abort("enough")
        stage.by_polling()

    def test_stop(self) -> None:
        """Clients get what waits for them; nobody comes any more."""
        channel = self.joined()
        waiting, away = self.stage.by_polling(), self.stage.by_polling()
        self.stage.post(waiting, "40")
        self.stage.poll(waiting)
        poll = self.stage.poll(waiting)
        self.recorder.sockets[0].emit("last")
        stopped = self.server.stop()
        self.assertEqual((channel.taken(), channel.dropped), (['42["last"]'], 1))
        self.assertEqual(poll.packets(4), ["1"])
        self.assertNoResult(stopped)
        with self.assertRaises(Refused) as raised:
            self.server.check(self.handshake(), method="GET", websocket=False)
        self.assertEqual(raised.exception.status, 503)
        self.assertIsNotNone(
            self.server.check(self.handshake(sid=away.engine.sid), method="GET", websocket=False)
        )
        self.assertEqual(self.stage.poll(away).packets(4), ["1"])
        self.successResultOf(stopped)
        self.assertNothingLeft()

    def test_stop_with_none(self) -> None:
        self.successResultOf(self.server.stop())

    def test_stop_with_one(self) -> None:
        """Whose end comes while it is told of it."""
        self.joined()
        self.successResultOf(self.server.stop())
        self.assertNothingLeft()

    def test_stop_takes_no_longer_than_a_timeout(self) -> None:
        self.stage.by_polling()
        channel = self.joined()
        assert channel.connection is not None
        channel.connection.pause(channel)
        self.recorder.sockets[0].emit("never read")
        first, second = self.server.stop(), self.server.stop()
        self.clock.advance(TIMEOUT)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertNothingLeft()

    def test_stop_that_is_waited_for_no_longer(self) -> None:
        connection = self.stage.by_polling()
        stopped = self.server.stop()
        stopped.addErrback(lambda failure: None)
        stopped.cancel()
        self.stage.poll(connection)
        self.assertNothingLeft()

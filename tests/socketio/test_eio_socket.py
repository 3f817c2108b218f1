"""One Engine.IO session: heartbeat, buffer, upgrade and end, by a clock of ours."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio import Outgoing, Timing
from resttorrent.socketio.eio_packet import MESSAGE, EioVersion, MalformedPacket, Packet
from resttorrent.socketio.eio_payload import MOST_ANSWERED
from resttorrent.socketio.eio_socket import (
    MOST_AHEAD,
    MOST_UNSENT,
    PROBE_TIMEOUT,
    Closed,
    Drop,
    EngineSocket,
    NotPolling,
    Output,
    Overlap,
    Received,
    Respond,
    Writable,
    Write,
)
from resttorrent.socketio.heartbeat import Heartbeat

from .stage import all_outputs

GREETING = b'{"sid":"x"}'


def message(text: str | bytes) -> Outgoing:
    if isinstance(text, bytes):
        return Outgoing(Packet(MESSAGE, text, binary=True))
    return Outgoing(Packet(MESSAGE, text.encode()))


def socket(
    channel: object = None, *, eio: EioVersion = 4, greeted: bool = True, **options: Any
) -> EngineSocket:
    """A session that begins at 100 s: interval 25 s, timeout 20 s."""
    engine = EngineSocket("x", eio, Timing(), 100.0, greeting=GREETING, channel=channel, **options)
    if greeted:
        if channel is None:
            engine.receive_poll()
        all_outputs(engine)
    return engine


def said(outputs: list[Output]) -> list[bytes]:
    """What outputs bring to the client."""
    return [
        output.body if isinstance(output, Respond) else output.outgoing.packet.data
        for output in outputs
        if isinstance(output, Respond | Write)
    ]


class HeartbeatTests(SynchronousTestCase):
    def test_eio4(self) -> None:
        """The server pings; the client has a timeout for its answer, and the next ping comes after that."""
        beat = Heartbeat(4, Timing(25.0, 20.0), 100.0)
        self.assertEqual(beat.deadline, 125.0)
        self.assertIsNone(beat.tick(124.9))
        self.assertEqual(beat.tick(125.0), "ping")
        self.assertEqual(beat.deadline, 145.0)
        beat.heard(144.0)
        self.assertIsNone(beat.tick(144.9))
        beat.pong(144.9)
        self.assertEqual(beat.deadline, 169.9)
        self.assertEqual(beat.tick(169.9), "ping")
        self.assertEqual(beat.tick(189.9), "lost")

    def test_eio4_pong_unasked(self) -> None:
        beat = Heartbeat(4, Timing(25.0, 20.0), 100.0)
        beat.pong(120.0)
        self.assertEqual(beat.deadline, 125.0)

    def test_eio3(self) -> None:
        """The client pings: whatever comes, it has an interval and a timeout for the next."""
        beat = Heartbeat(3, Timing(25.0, 20.0), 100.0)
        self.assertEqual(beat.deadline, 145.0)
        self.assertIsNone(beat.tick(144.9))
        beat.heard(144.9)
        self.assertAlmostEqual(beat.deadline, 189.9)
        self.assertIsNone(beat.tick(145.0))
        self.assertEqual(beat.tick(190.0), "lost")


class LifeTests(SynchronousTestCase):
    def test_eio4_pings(self) -> None:
        for channel in (None, object()):
            engine = socket(channel)
            if channel is None:
                engine.receive_poll()
            engine.tick(125.0)
            self.assertEqual(said(all_outputs(engine)), [b"2" if channel is None else b""])
            self.assertEqual(engine.deadline, 145.0)
            if channel is None:
                engine.begin_post()
                engine.receive_post(b"3", 130.0)
            else:
                engine.receive_text(channel, b"3", 130.0)
            self.assertEqual(engine.deadline, 155.0)
            engine.tick(155.0)
            engine.tick(175.0)
            self.assertEqual(all_outputs(engine)[-1], Closed("ping timeout"))

    def test_eio3_pings(self) -> None:
        channel = object()
        engine = socket(channel, eio=3)
        engine.receive_text(channel, b"2probe", 140.0)
        (write,) = all_outputs(engine)
        assert isinstance(write, Write)
        self.assertEqual(write.outgoing.frame(3), b"\x81\x063probe")
        engine.tick(184.9)
        self.assertEqual(all_outputs(engine), [])
        engine.tick(185.0)
        self.assertEqual(all_outputs(engine), [Drop(channel), Closed("ping timeout")])

    def test_who_pings(self) -> None:
        """The other direction's packets are mistakes."""
        for eio, raw in ((4, b"2"), (3, b"3"), (4, b"0"), (3, b"0{}"), (4, b"5"), (3, b"5")):
            channel = object()
            engine = socket(channel, eio=3 if eio == 3 else 4)
            engine.receive_text(channel, raw, 101.0)
            self.assertTrue(engine.closed, raw)

    def test_nothing_after_the_end(self) -> None:
        channel = object()
        engine = socket(channel)
        engine.abort("enough")
        self.assertEqual(all_outputs(engine), [Drop(channel), Closed("enough")])
        engine.abort("again")
        engine.close(101.0)
        engine.send([message("x")])
        engine.receive_text(channel, b"4x", 101.0)
        engine.receive_post(b"4x", 101.0)
        engine.tick(1000.0)
        engine.resume(channel)
        engine.lose_channel(channel)
        self.assertEqual((all_outputs(engine), engine.unsent, engine.writable), ([], 0, False))
        stranger = object()
        engine.open_channel(stranger, 101.0)
        self.assertEqual(all_outputs(engine), [Drop(stranger)])
        with self.assertRaises(NotPolling):
            engine.receive_poll()
        with self.assertRaises(NotPolling):
            engine.begin_post()


class PollingTests(SynchronousTestCase):
    def test_greeting(self) -> None:
        engine = socket(greeted=False)
        self.assertEqual(engine.transport, "polling")
        self.assertEqual(all_outputs(engine), [])
        engine.receive_poll()
        self.assertEqual(said(all_outputs(engine)), [b"0" + GREETING])

    def test_all_that_waits(self) -> None:
        engine = socket()
        engine.send([message("a"), message(b"b")])
        engine.send([message("c")])
        self.assertEqual(engine.unsent, 6)
        engine.receive_poll()
        self.assertEqual(said(all_outputs(engine)), [b"4a\x1ebYg==\x1e4c"])
        self.assertEqual(engine.unsent, 0)

    def test_one_poll_one_answer(self) -> None:
        engine = socket()
        engine.receive_poll()
        self.assertEqual(all_outputs(engine), [])
        engine.send([message("a")])
        self.assertEqual(said(all_outputs(engine)), [b"4a"])
        engine.send([message("b")])
        self.assertEqual(all_outputs(engine), [])

    def test_at_most_max_payload(self) -> None:
        """Several packets never exceed it; one alone may."""
        engine = socket(max_payload=1000)
        engine.send([message("a" * 400), message("b" * 600), message("c" * 2000), message("d"), message("e")])
        bodies = []
        while engine.unsent:
            engine.receive_poll()
            bodies += said(all_outputs(engine))
        self.assertEqual([len(body) for body in bodies], [401, 601, 2001, 5])

    def test_binary_counts_as_base64(self) -> None:
        engine = socket(max_payload=1000)
        engine.send([message(bytes(500)), message(bytes(300))])
        engine.receive_poll()
        (body,) = said(all_outputs(engine))
        self.assertLessEqual(len(body), 1000)

    def test_most_packets(self) -> None:
        engine = socket()
        engine.send([message(str(n)) for n in range(40)])
        answers = []
        while engine.unsent:
            engine.receive_poll()
            answers += [body.split(b"\x1e") for body in said(all_outputs(engine))]
        self.assertEqual([p for packets in answers for p in packets], [b"4%d" % n for n in range(40)])
        self.assertLess(max(map(len, answers)), MOST_ANSWERED)

    def test_two_polls(self) -> None:
        engine = socket()
        engine.receive_poll()
        with self.assertRaises(Overlap):
            engine.receive_poll()
        self.assertEqual(said(all_outputs(engine)), [b"1"])
        self.assertTrue(engine.closed)

    def test_two_posts(self) -> None:
        engine = socket()
        engine.begin_post()
        with self.assertRaises(Overlap):
            engine.begin_post()
        self.assertTrue(engine.closed)

    def test_broken_off(self) -> None:
        engine = socket()
        engine.poll_gone()
        engine.break_post()
        self.assertFalse(engine.closed)
        engine.receive_poll()
        engine.poll_gone()
        self.assertEqual(all_outputs(engine), [Closed("a poll was broken off")])
        engine = socket()
        engine.begin_post()
        engine.break_post()
        self.assertEqual(all_outputs(engine), [Closed("a post was broken off")])

    def test_post(self) -> None:
        engine = socket()
        engine.begin_post()
        engine.receive_post(b"4a\x1ebAQ==\x1e6", 101.0)
        self.assertEqual(
            all_outputs(engine),
            [Received(Packet(MESSAGE, b"a")), Received(Packet(MESSAGE, b"\1", binary=True))],
        )
        engine.begin_post()

    def test_malformed_post(self) -> None:
        """What came before the mistake counts; then it is over."""
        engine = socket()
        engine.receive_poll()
        engine.begin_post()
        with self.assertRaises(MalformedPacket):
            engine.receive_post(b"4a\x1e0\x1e4b", 101.0)
        first, answer, closed = all_outputs(engine)
        self.assertEqual(first, Received(Packet(MESSAGE, b"a")))
        self.assertEqual(said([answer]), [b"1"])
        self.assertIsInstance(closed, Closed)

    def test_client_closes(self) -> None:
        engine = socket()
        engine.receive_poll()
        engine.begin_post()
        engine.receive_post(b"4a\x1e1\x1e4b", 101.0)
        first, answer, closed = all_outputs(engine)
        self.assertEqual(first, Received(Packet(MESSAGE, b"a")))
        self.assertEqual(said([answer]), [b"6"])
        self.assertEqual(closed, Closed("the client closed it"))


class ClosingTests(SynchronousTestCase):
    def test_what_waits_goes_first(self) -> None:
        engine = socket()
        engine.send([message("a")])
        engine.close(100.0)
        engine.send([message("too late")])
        self.assertEqual(all_outputs(engine), [])
        self.assertEqual(engine.deadline, 120.0)
        engine.receive_poll()
        answer, closed = all_outputs(engine)
        self.assertEqual(said([answer]), [b"4a\x1e1"])
        self.assertEqual(closed, Closed("the server closed it"))

    def test_waiting_poll(self) -> None:
        engine = socket()
        engine.receive_poll()
        engine.close(100.0)
        self.assertEqual(said(all_outputs(engine)), [b"1"])
        self.assertTrue(engine.closed)

    def test_no_farewell(self) -> None:
        """The client finds out for itself."""
        engine = socket()
        engine.receive_poll()
        engine.close(100.0, farewell=False)
        self.assertEqual(said(all_outputs(engine)), [b"6"])
        self.assertTrue(engine.closed)

    def test_client_that_never_asks(self) -> None:
        engine = socket()
        engine.send([message("a")])
        engine.close(100.0)
        engine.close(110.0)
        engine.tick(119.9)
        self.assertFalse(engine.closed)
        engine.tick(120.0)
        self.assertEqual(all_outputs(engine), [Closed("the server closed it")])

    def test_channel(self) -> None:
        channel = object()
        engine = socket(channel)
        engine.pause(channel)
        engine.send([message("a")])
        engine.close(100.0)
        self.assertEqual(all_outputs(engine), [])
        engine.resume(channel)
        self.assertEqual(all_outputs(engine)[1:], [Drop(channel), Closed("the server closed it")])

    def test_no_new_channels(self) -> None:
        engine, channel = socket(), object()
        engine.send([message("a")])
        engine.close(100.0)
        engine.open_channel(channel, 100.0)
        self.assertEqual(all_outputs(engine), [Drop(channel)])


class ChannelTests(SynchronousTestCase):
    def test_greeting(self) -> None:
        channel = object()
        engine = socket(channel, greeted=False)
        self.assertEqual(said(all_outputs(engine)), [GREETING])
        self.assertEqual((engine.transport, engine.channel), ("websocket", channel))

    def test_no_polls(self) -> None:
        channel = object()
        engine = socket(channel)
        with self.assertRaises(NotPolling):
            engine.receive_poll()
        with self.assertRaises(NotPolling):
            engine.begin_post()
        self.assertEqual((all_outputs(engine), engine.closed), ([], False))

    def test_binary(self) -> None:
        for eio, raw in ((3, b"\4\1\2"), (4, b"\1\2")):
            channel = object()
            engine = socket(channel, eio=3 if eio == 3 else 4)
            engine.receive_binary(channel, raw, 101.0)
            self.assertEqual(all_outputs(engine), [Received(Packet(MESSAGE, b"\1\2", binary=True))])

    def test_malformed(self) -> None:
        channel = object()
        engine = socket(channel)
        engine.receive_text(channel, b"9", 101.0)
        self.assertEqual(all_outputs(engine)[0], Drop(channel))
        self.assertTrue(engine.closed)

    def test_lost(self) -> None:
        """It is not closed again."""
        channel = object()
        engine = socket(channel)
        engine.lose_channel(channel)
        self.assertEqual(all_outputs(engine), [Closed("the connection was lost")])

    def test_strangers(self) -> None:
        channel = object()
        engine = socket(channel)
        engine.receive_text(object(), b"4x", 101.0)
        engine.receive_binary(object(), b"x", 101.0)
        engine.lose_channel(object())
        engine.pause(object())
        self.assertTrue(engine.writable)
        self.assertEqual(all_outputs(engine), [])

    def test_slices(self) -> None:
        """A channel can say that it is full before all is written to it."""
        channel = object()
        engine = socket(channel)
        engine.send([message("x" * 50_000) for _ in range(10)])
        first = engine.outputs()
        self.assertEqual(len(first), 2)
        engine.pause(channel)
        self.assertEqual(engine.outputs(), [])
        self.assertEqual(engine.unsent, 8 * 50_001)
        engine.resume(channel)
        self.assertEqual(len(all_outputs(engine)), 8)


class WritableTests(SynchronousTestCase):
    def test_channel(self) -> None:
        channel = object()
        engine = socket(channel)
        self.assertTrue(engine.writable)
        engine.pause(channel)
        self.assertFalse(engine.writable)
        self.assertEqual(all_outputs(engine), [])
        engine.resume(channel)
        self.assertEqual(all_outputs(engine), [Writable()])
        self.assertEqual(all_outputs(engine), [])

    def test_only_who_asked_is_told(self) -> None:
        channel = object()
        engine = socket(channel)
        engine.pause(channel)
        engine.resume(channel)
        self.assertEqual(all_outputs(engine), [])

    def test_what_was_not_written_yet(self) -> None:
        """A channel that is not full can't be given any amount before it had the time to say so."""
        channel = object()
        engine = socket(channel)
        engine.send([message("x" * MOST_AHEAD)])
        self.assertFalse(engine.writable)
        outputs = all_outputs(engine)
        self.assertEqual((len(outputs), outputs[-1]), (2, Writable()))

    def test_polling(self) -> None:
        engine = socket()
        self.assertFalse(engine.writable)
        engine.receive_poll()
        self.assertEqual(all_outputs(engine), [Writable()])
        self.assertTrue(engine.writable)
        engine.send([message("a")])
        all_outputs(engine)
        self.assertFalse(engine.writable)
        engine.receive_poll()
        self.assertEqual(all_outputs(engine), [Writable()])

    def test_polling_with_something_waiting(self) -> None:
        """What is sent when the client can take more joins what waits, in one answer."""
        engine = socket()
        self.assertFalse(engine.writable)
        engine.send([message("a")])
        engine.receive_poll()
        self.assertEqual(engine.outputs(), [Writable()])
        self.assertTrue(engine.writable)
        engine.send([message("b")])
        self.assertEqual(said(all_outputs(engine)), [b"4a\x1e4b"])

    def test_upgrading(self) -> None:
        """While a probe stands, nobody is writable; then the channel is."""
        engine, channel = socket(), object()
        engine.receive_poll()
        engine.open_channel(channel, 101.0)
        engine.receive_text(channel, b"2probe", 101.0)
        self.assertFalse(engine.writable)
        all_outputs(engine)
        engine.receive_text(channel, b"5", 101.0)
        self.assertEqual(all_outputs(engine), [Writable()])

    def test_probe_lost(self) -> None:
        engine, channel = socket(), object()
        engine.open_channel(channel, 101.0)
        engine.receive_text(channel, b"2probe", 101.0)
        self.assertFalse(engine.writable)
        all_outputs(engine)
        engine.lose_channel(channel)
        engine.receive_poll()
        self.assertEqual(all_outputs(engine), [Writable()])

    def test_most_unsent(self) -> None:
        """Who reads nothing and has more and more sent is put out."""
        for channel in (None, object()):
            engine = socket(channel)
            if channel is not None:
                engine.pause(channel)
            large = message("x" * (MOST_UNSENT // 4))
            engine.send([large] * 3)
            self.assertFalse(engine.closed)
            engine.send([large])
            self.assertEqual((engine.closed, engine.unsent), (True, 0))


class ProbeTests(SynchronousTestCase):
    def probed(self) -> tuple[EngineSocket, object]:
        """A session with a channel that may say ``5``."""
        engine, channel = socket(), object()
        engine.open_channel(channel, 100.0)
        engine.receive_text(channel, b"2probe", 100.0)
        (write,) = all_outputs(engine)
        assert isinstance(write, Write)
        self.assertEqual((write.channel, write.outgoing.frame(4)), (channel, b"\x81\x063probe"))
        return engine, channel

    def test_waiting_poll_is_let_go(self) -> None:
        engine, channel = socket(), object()
        engine.receive_poll()
        engine.open_channel(channel, 100.0)
        self.assertEqual(all_outputs(engine), [])
        engine.receive_text(channel, b"2probe", 100.0)
        write, answer = all_outputs(engine)
        self.assertEqual(said([write, answer]), [b"probe", b"6"])

    def test_all_at_once(self) -> None:
        """Both frames before the outputs are looked at."""
        engine, channel = socket(), object()
        engine.receive_poll()
        engine.open_channel(channel, 100.0)
        engine.receive_text(channel, b"2probe", 100.0)
        engine.receive_text(channel, b"5", 100.0)
        self.assertEqual(said(all_outputs(engine)), [b"probe", b"6"])
        self.assertIs(engine.channel, channel)

    def test_buffer_first(self) -> None:
        engine, channel = self.probed()
        engine.send([message("a")])
        self.assertEqual(all_outputs(engine), [])
        self.assertTrue(engine.upgrading)
        engine.receive_text(channel, b"5", 100.0)
        engine.send([message("b")])
        self.assertEqual(said(all_outputs(engine)), [b"a", b"b"])
        self.assertEqual((engine.upgrading, engine.transport), (False, "websocket"))

    def test_given_up(self) -> None:
        """After its time the probe is closed, and polling goes on."""
        engine, channel = self.probed()
        self.assertEqual(engine.deadline, 100.0 + PROBE_TIMEOUT)
        engine.tick(100.0 + PROBE_TIMEOUT - 0.1)
        self.assertEqual(all_outputs(engine), [])
        engine.tick(100.0 + PROBE_TIMEOUT)
        self.assertEqual(all_outputs(engine), [Drop(channel)])
        self.assertEqual(engine.deadline, 125.0)
        engine.receive_text(channel, b"5", 110.0)
        self.assertEqual(engine.transport, "polling")
        engine.receive_poll()
        engine.send([message("a")])
        self.assertEqual(said(all_outputs(engine)), [b"4a"])

    def test_other_packets(self) -> None:
        """A probe that says something else is closed; the session is not."""
        for frames in ((b"5",), (b"2",), (b"2other",), (b"4a",), (b"2probe", b"2probe"), (b"9",), (b"",)):
            engine, channel = socket(), object()
            engine.open_channel(channel, 100.0)
            for raw in frames:
                engine.receive_text(channel, raw, 100.0)
            self.assertEqual(all_outputs(engine)[-1], Drop(channel))
            self.assertEqual((engine.closed, engine.transport), (False, "polling"))
        engine, channel = socket(), object()
        engine.open_channel(channel, 100.0)
        engine.receive_binary(channel, b"2probe", 100.0)
        self.assertEqual(all_outputs(engine), [Drop(channel)])

    def test_second_probe(self) -> None:
        engine, channel = self.probed()
        second = object()
        engine.open_channel(second, 100.0)
        self.assertEqual(all_outputs(engine), [Drop(second)])
        engine.receive_text(channel, b"5", 100.0)
        self.assertIs(engine.channel, channel)

    def test_end_while_probed(self) -> None:
        engine, channel = self.probed()
        engine.abort("enough")
        self.assertEqual(all_outputs(engine), [Drop(channel), Closed("enough")])

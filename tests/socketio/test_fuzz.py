"""A twentieth of the fuzzing; ``python -m tests.socketio.fuzz`` does all of it."""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.socketio import Application, Socket, SocketServer

from . import fuzz

COUNT = 5_000


class FuzzTests(SynchronousTestCase):
    def test_cases(self) -> None:
        report = fuzz.run(COUNT)
        for outcome in ("closed", "closed by the last word", "serving", "refused"):
            # else it would not be much of a test
            self.assertGreater(report.outcomes[outcome], COUNT // 100, str(report))
        for refusal in ("MalformedPacket", "NotPolling"):
            self.assertGreater(report.outcomes[refusal], COUNT // 100, str(report))

    def test_mutations(self) -> None:
        """Each of them changes something, sometime."""
        for mutation in fuzz.MUTATIONS:
            raw = bytearray(b'42["message"]')
            mutation(Random(1), raw)
            self.assertNotEqual(raw, b'42["message"]')

    def test_failures_are_seen(self) -> None:
        """An application that raises would be noticed."""

        class Raising(Application):
            def event(self, socket: Socket, name: object, arguments: object, ack_id: object) -> None:
                raise ZeroDivisionError

        self.patch(fuzz, "EventEcho", Raising)
        with self.assertRaisesRegex(fuzz.Broken, "ZeroDivisionError"):
            fuzz.run(100)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_leftovers_are_seen(self) -> None:
        """A session that no end is told of would be noticed."""
        self.patch(SocketServer, "_forget", lambda server, connection: None)
        with self.assertRaises(fuzz.Broken):
            fuzz.run(100)

"""A hundredth of what ``python -m tests.fuzz`` does, always the same."""

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.fuzzing import Fuzz, Wrong, check_shape


class SocketIoTests(SynchronousTestCase):
    """Threat table, *Socket.IO* and *Smuggling*: nothing that comes takes the daemon down."""

    def test_mutants(self) -> None:
        fuzz = Fuzz(20141)
        fuzz.run(2000)
        # neither all refused nor all let in
        for status in (200, 400, 401, 404):
            self.assertGreater(fuzz.seen[status], 5, status)

    def test_shape_is_looked_at(self) -> None:
        check_shape(400, b'{"status":"fail","message":"no","code":"bad_request"}')
        for body in (b"x", b'{"status":"success"}', b'{"status":"fail","message":"","code":"x"}'):
            self.assertRaises(Wrong, check_shape, 400, body)
        mistake = b'{"status":"fail","message":"m","code":"internal_error"}'
        self.assertRaises(Wrong, check_shape, 500, mistake)

"""The log's two forms: complete, one line an event, and not to be forged."""

import io
import json
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python import syslog
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.logs import MESSAGE_LIMIT, json_line, stream_observer, text_line, twistd_observer
from resttorrent.printable import one_line

HOSTILE = "a\n2026-01-01T00:00:00+0000 [x#info] forged\r\x1b[2J\x9b1m\x7f\u202e\u2028\u2066\ud800"
UNFIT = "\n\r\x1b\x9b\x7f\u202e\u2028\u2066\ud800"


def event(**values: Any) -> dict[str, Any]:
    return {"log_level": LogLevel.info, "log_namespace": "n", "log_time": 0.0, **values}


def failed(text: str) -> Failure:
    try:
        raise ValueError(text)
    except ValueError:
        return Failure()


class TextTests(SynchronousTestCase):
    def test_line(self) -> None:
        line = text_line(event(log_format="{a} is {b}", a="x", b=1))
        assert line is not None
        self.assertRegex(line, r"^\S+T\S+ \[n#info\] x is 1\n$")

    def test_name_can_not_forge_a_line(self) -> None:
        for form in ("{name}", "{name!s}", "{name!r}"):
            line = text_line(event(log_format=form, name=HOSTILE))
            assert line is not None
            self.assertEqual(line.count("\n"), 1)
            self.assertEqual([c for c in UNFIT if c in line[:-1]], [])
            line.encode()

    def test_names_in_any_script_stay(self) -> None:
        name = "Žluťoučký 日本\u3000語 🎬 C:\\x"
        self.assertIn(name, text_line(event(log_format="{name}", name=name)) or "")

    @given(st.text(alphabet=st.characters(codec=None)))
    def test_any_name(self, name: str) -> None:
        self.assertEqual(len(one_line(name).splitlines()), 1 if name else 0)
        one_line(name).encode()

    def test_traceback_is_whole_and_indented(self) -> None:
        line = text_line(event(log_format="oh", log_failure=failed(HOSTILE)))
        assert line is not None
        first, *rest = line.splitlines()
        self.assertIn("oh", first)
        self.assertIn("Traceback", rest[0])
        self.assertTrue(all(each.startswith("\t") for each in rest))
        self.assertTrue(any("raise ValueError(text)" in each for each in rest))
        self.assertEqual([c for c in UNFIT[1:] if c in line], [])

    def test_traceback_that_can_not_be_had(self) -> None:
        class Rude(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no")

        failure = Failure(Rude())
        with mock.patch.object(failure, "getTraceback", side_effect=RuntimeError("no")):
            self.assertIn("Rude", text_line(event(log_format="", log_failure=failure)) or "")

    def test_long_message_is_cut(self) -> None:
        line = text_line(event(log_format="{x}", x="y" * 100_000))
        assert line is not None
        self.assertLess(len(line), MESSAGE_LIMIT + 200)
        self.assertIn("(100000 characters)", line)

    def test_empty_event(self) -> None:
        self.assertIsNone(text_line(event()))
        self.assertIsNone(json_line(event()))


class JSONTests(SynchronousTestCase):
    def read(self, **values: Any) -> dict[str, Any]:
        line = json_line(event(**values))
        assert line is not None
        self.assertEqual((line.count("\n"), line.isascii()), (1, True))
        read: dict[str, Any] = json.loads(line)
        return read

    def test_values(self) -> None:
        read = self.read(
            log_format="{name}", name=HOSTILE, count=2, odd=float("nan"), thing=Path("/x"), isError=0
        )
        read.pop("time")
        self.assertEqual(
            read,
            {
                "level": "info",
                "system": "n#info",
                "message": HOSTILE,
                "name": HOSTILE,
                "count": 2,
                "odd": "nan",
                "thing": repr(Path("/x")),
            },
        )

    def test_values_can_not_pose_as_ours(self) -> None:
        self.assertEqual(self.read(log_format="m", level="critical", traceback=1)["level"], "info")

    def test_traceback(self) -> None:
        read = self.read(log_format="oh", log_failure=failed("why"))
        self.assertIn("raise ValueError(text)", read["traceback"])


class ObserverTests(SynchronousTestCase):
    def test_level(self) -> None:
        stream = io.StringIO()
        log = Logger("n", observer=stream_observer(stream, "warn", "text"))
        log.info("quiet")
        log.warn("loud")
        log.failure("lost?", failure=failed("x"), level=LogLevel.debug)
        self.assertNotIn("quiet", stream.getvalue())
        self.assertIn("loud", stream.getvalue())
        self.assertIn("raise ValueError(text)", stream.getvalue())

    def test_stream_that_lacks_a_character(self) -> None:
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="ascii")
        Logger("n", observer=stream_observer(stream, "info", "text")).info("{x}", x="\u65e5")
        self.assertIn(b"\\u65e5", raw.getvalue())


class TwistdTests(SynchronousTestCase):
    def observer(self, **twistd: Any) -> ILogObserver | None:
        return twistd_observer(twistd, "info", "text")

    def test_own_logger_of_the_user(self) -> None:
        self.assertIsNone(self.observer(logger="a.b", nodaemon=1))

    def test_foreground_goes_to_stdout(self) -> None:
        for logfile in (None, "-"):
            stream = io.StringIO()
            with mock.patch.object(sys, "stdout", stream):
                observer = self.observer(nodaemon=1, logfile=logfile)
            Logger("n", observer=observer).info("here")
            self.assertIn("here", stream.getvalue())

    def test_daemon_can_not_log_to_stdout(self) -> None:
        self.assertRaises(ValueError, self.observer, logfile="-")

    def test_file_and_its_rotation(self) -> None:
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        path = Path(self.mktemp())
        Logger("n", observer=self.observer(logfile=str(path))).info("here \u65e5")
        self.assertIn("here \u65e5", path.read_text(encoding="utf-8"))
        self.assertTrue(callable(signal.getsignal(signal.SIGUSR1)))

    def test_syslog(self) -> None:
        sent: list[str] = []
        self.patch(syslog.SyslogObserver, "openlog", staticmethod(lambda *options: None))
        self.patch(syslog.SyslogObserver, "syslog", staticmethod(lambda priority, text: sent.append(text)))
        Logger("n", observer=self.observer(syslog=1)).info("{x}", x=HOSTILE)
        self.assertEqual(len(sent), 1)
        self.assertIn("forged", sent[0])

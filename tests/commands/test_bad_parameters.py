"""
Every parameter of every command, wrong in every way: refused by its name, and nothing changed.

The registry is walked, so a command that is added is asked as well. The daemon is a real one.
"""

import json
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.commands.parameters import Upload
from resttorrent.commands.registry import Command, Parameter
from tests.harness import Daemon, Response, tiny_torrent, until

from . import everything
from .everything import Door, Question, in_form, in_json, in_multipart, in_query

WRONG: tuple[object, ...] = (
    None,
    1.5,
    -1e300,
    10**30,
    {},
    {"base64": 5},
    {"base64": "é"},
    {"base64": "ZGU=", "more": 1},
    [[]],
    [None],
    "a\0b",
    "\0",
    "x" * 70_000,
)
"""Values that no parameter takes."""
ODD: tuple[object, ...] = (
    "",
    " ",
    ",",
    0,
    -1,
    5,
    False,
    [],
    ["", ""],
    [{}],
    "-",
    "..",
    "../..",
    "/",
    "/etc",
    "~",
    "0x1",
    "1_0",
    " 1",
    "null",
    "\u202egpj.exe",
    "e\u0301" * 40,
    "\u0661",
    "\u0666\u0668\u0668\u0661",
    "\uff11",
    "\u00b2",
    "\ufeff1",
    "\uffff",
    "\U0001f4a9",
    "\u212a" * 32,
    "name\n",
    "{}",
    "[1]",
    "magnet:?xt=urn:btih:" + "0" * 40,
    "file:///etc/passwd",
)
"""Values that most parameters do not take."""
BROKEN_TEXT = (b"%", b"%zz", b"%f", b"%FF", b"%C3", b"%ED%A0%80", b"%C0%80", b"a%00%FF")
"""Percent-encoded, but not UTF-8."""
BROKEN_PART = (b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"a\0\xff")
BROKEN_JSON = (
    b'"\\ud800"',
    b'"\\udfff x"',
    b'["\\ud800"]',
    b'"\xff"',
    b"NaN",
    b"Infinity",
    b"1e999",
    b"01",
    b"'x'",
    b"",
)
"""None of these is JSON in UTF-8."""
LONGEST_LINE = 6000
"""Bytes that fit into a request's first line, which Twisted bounds."""


def percent(text: str) -> bytes:
    return urllib.parse.quote(text, safe="").encode()


class BadParameterTests(SynchronousTestCase):
    """One daemon with one session with one torrent, made anew whenever something was taken."""

    def setUp(self) -> None:
        self.daemon = Daemon(Path(self.mktemp()).resolve())
        self.addCleanup(self.end)
        self.daemon.start()
        self.client = self.daemon.client()
        self.addCleanup(self.client.close)
        self.renew()
        self.asked = 0

    def end(self) -> None:
        survived = self.daemon.is_running
        if survived:
            self.daemon.kill()
        self.assertTrue(survived, self.daemon.log_text())
        self.assertEqual(self.daemon.tracebacks(), [], self.daemon.log_text())
        around = {path.name for path in self.daemon.home.iterdir()}
        self.assertEqual(around, {"root", "state", "daemon.log"})

    # -- the world -------------------------------------------------------

    def renew(self) -> None:
        """Begin again with one session and one torrent."""
        for session in self.client.ok("GET", "/v1/sessions")["sessions"]:
            self.client.ok("DELETE", f"/v1/sessions/{session['id']}")
        session_id = self.client.session()
        added = self.client.upload(
            f"/v1/sessions/{session_id}/torrents", tiny_torrent(1), save_path="here", autostart="0"
        )
        self.assertEqual(added.status, 201)
        self.variables = {
            "session_id": session_id,
            "infohash": added.json["torrent"]["infohash"],
            "token_id": everything.SAMPLES["token_id"],
            "name": "nobody",
        }
        # at rest: from here on nothing changes by itself
        rows = f"/v1/sessions/{session_id}/torrents"
        until(lambda: self.client.ok("GET", rows)["torrents"][0]["state"] == "stopped", "the torrent to stop")
        self.seen = self.world()

    def world(self) -> list[bytes]:
        """All that can be changed, as the daemon tells it; ``rev`` is in there."""
        sessions = self.client.request("GET", "/v1/sessions")
        ids = [session["id"] for session in sessions.json["sessions"]]
        lists = [self.client.request("GET", f"/v1/sessions/{i}/torrents") for i in ids]
        return [answer.body for answer in (sessions, *lists)]

    def assert_unchanged(self, *what: object) -> None:
        self.assertEqual(self.world(), self.seen, what)

    # -- asking ----------------------------------------------------------

    def ask(self, question: Question) -> Response:
        self.asked += 1
        return self.client.request(question.method, question.target, question.body, question.headers)

    def blamed(self, answer: Response) -> list[tuple[int, str, str | None]]:
        """Status, code and field of what failed: one, or those items of a batch that did."""
        told = answer.json
        self.assertIn(told["status"], ("success", "fail"))
        failures = [r for r in told.get("results", ()) if r["status"] == "fail"]
        if told["status"] == "fail":
            failures = [{**told, "http_status": answer.status}]
        else:
            self.assertIn(answer.status, (200, 201))
        for failure in failures:
            self.assertTrue(400 <= failure["http_status"] < 500, failure)
            self.assertTrue(failure["message"])
        return [(f["http_status"], f["code"], f.get("field")) for f in failures]

    def assert_refused(self, question: Question, *expected: tuple[int, str, str | None]) -> None:
        self.assertEqual(self.blamed(self.ask(question)), [*expected], question)

    def try_odd(self, question: Question) -> None:
        """Whatever it is, it is refused and nothing changed, or done and nothing broken."""
        answer = self.ask(question)
        failures = self.blamed(answer)
        if failures:
            self.assert_unchanged(question)
        elif question.method != "GET":
            self.world()
            self.renew()

    def test_absent_or_wrong(self) -> None:
        self.check_absent()
        self.check_wrong()

    def test_broken(self) -> None:
        self.check_broken_encodings()
        self.check_file_for_what_is_none()
        self.check_uploads_of_anything()
        self.check_two_values()
        self.check_unknown_names()

    def test_in_path(self) -> None:
        self.check_path_variables()
        self.check_broken_path_variables()
        self.check_path_variables_that_contradict()
        self.check_empty_path_variables()

    # -- every parameter of every command ---------------------------------

    def parameters(self, *, in_path: bool) -> Iterator[tuple[Command, Parameter]]:
        for command in everything.routed():
            for parameter in command.parameters:
                if parameter.in_path == in_path:
                    yield command, parameter

    def question(self, command: Command, parameter: Parameter) -> Question:
        return everything.question(command, parameter, self.variables)

    def doors(self, values: Iterable[object]) -> Iterator[tuple[Door, bytes, object]]:
        """Each value by each way that can carry it: door, as sent, as the command gets it."""
        for value in values:
            yield in_json, json.dumps(value).encode(), value
            if isinstance(value, str):
                if len(percent(value)) < LONGEST_LINE:
                    yield in_query, percent(value), value
                yield in_form, percent(value), value
                yield in_multipart, value.encode(), value

    def two_doors(self, values: Iterable[object]) -> Iterator[tuple[Door, bytes, object]]:
        """Each value as JSON, and by one of the other ways in turn."""
        for number, value in enumerate(values):
            as_json, *others = self.doors([value])
            yield as_json
            if others:
                yield others[number % len(others)]

    def check_absent(self) -> None:
        for command, parameter in self.parameters(in_path=False):
            if parameter.required:
                question = self.question(command, parameter)
                self.assert_refused(question, (400, "bad_parameter", parameter.name))
                self.assert_unchanged(command.name, parameter.name)
        self.assertGreater(self.asked, 2)

    def check_wrong(self) -> None:
        for command, parameter in self.parameters(in_path=False):
            for name in (parameter.name, *parameter.aliases):
                for door, sent, _ in self.doors(WRONG):
                    question = door(self.question(command, parameter), name, sent)
                    # a batch takes any list, and finds fault with its items
                    self.assertIn(
                        (400, "bad_parameter", parameter.name), self.blamed(self.ask(question)), question
                    )
            self.assert_unchanged(command.name, parameter.name)
        self.assertGreater(self.asked, 500)

    def test_odd(self) -> None:
        for command, parameter in self.parameters(in_path=False):
            for door, sent, value in self.two_doors(ODD):
                question = door(self.question(command, parameter), parameter.name, sent)
                if not self.is_readable(parameter, value):
                    self.assert_refused(question, (400, "bad_parameter", parameter.name))
                elif door is in_json:
                    # by one door only: the world is made anew after whatever is taken
                    self.try_odd(question)
            self.assert_unchanged(command.name, parameter.name)

    def is_readable(self, parameter: Parameter, value: Any) -> bool:
        if parameter.kind.repeats:
            value = [(0, one) for one in (value if isinstance(value, list) else [value])]
        try:
            parameter.kind.parse(value)
        except ValueError:
            return False
        return True

    def check_broken_encodings(self) -> None:
        for command, parameter in self.parameters(in_path=False):
            base, name = self.question(command, parameter), parameter.name
            for sent in BROKEN_TEXT:
                self.assert_refused(in_query(base, name, sent), (400, "bad_parameter", name))
                self.assert_refused(in_form(base, name, sent), (400, "bad_parameter", name))
            for sent in BROKEN_PART:
                self.assert_refused(in_multipart(base, name, sent), (400, "bad_parameter", name))
            # the body as a whole is no JSON, so there is no parameter to name
            for sent in BROKEN_JSON:
                self.assert_refused(in_json(base, name, sent), (400, "bad_parameter", None))
            self.assert_unchanged(command.name, name)

    def check_file_for_what_is_none(self) -> None:
        for command, parameter in self.parameters(in_path=False):
            if parameter.name == "file":
                continue
            question = in_multipart(self.question(command, parameter), parameter.name, b"1", "a.torrent")
            self.assertIn((400, "bad_parameter", parameter.name), self.blamed(self.ask(question)))
            self.assert_unchanged(command.name, parameter.name)

    def check_uploads_of_anything(self) -> None:
        for command, parameter in self.parameters(in_path=False):
            if not self.is_readable(parameter, Upload(b"")) or parameter.name != "file":
                continue
            for data in (b"", b"\0", b"de", b"\xff" * 1000, b"d4:infod", b"i1e" * 100_000):
                question = in_multipart(self.question(command, parameter), "file", data, 'a"; \xff.torrent')
                self.assertEqual(
                    [f[1:] for f in self.blamed(self.ask(question))], [("not_a_torrent", "file")]
                )
            self.assert_unchanged(command.name)

    def check_two_values(self) -> None:
        for command, parameter in self.parameters(in_path=False):
            if not parameter.kind.repeats:
                question = self.question(command, parameter)
                for name in (parameter.name, *parameter.aliases):
                    first = in_query(question, parameter.name, b"0")
                    refused = self.blamed(self.ask(in_form(first, name, b"junk")))[0]
                    self.assertEqual(refused[0], 400)
                    self.assertIn(refused[1], ("parameter_conflict", "bad_parameter"))
                    self.assertEqual(refused[2], parameter.name)
                self.assert_unchanged(command.name, parameter.name)

    def check_unknown_names(self) -> None:
        for command in everything.routed():
            plain = Question(command.method or "", everything.path_of(command, self.variables))
            for name in (
                "x",
                "",
                "a\0b",
                "\u202e",
                "\u0661",
                "n" * 5000,
                "Session_id",
                "__class__",
                "self",
                "ctx",
            ):
                question = in_json(plain, name, b"1")
                status, code, field = self.blamed(self.ask(question))[0]
                self.assertEqual((status, code), (400, "unknown_parameter"))
                self.assertEqual((field or "")[:64], name[:64])
                query = in_query(plain, name, b"1")
                self.assertEqual(self.blamed(self.ask(query))[0][:2], (400, "unknown_parameter"))
            self.assert_refused(in_json(plain, "\ud800", b"1"), (400, "bad_parameter", None))
            self.assert_unchanged(command.name)

    # -- what the path names ----------------------------------------------

    def in_path(self, command: Command, parameter: Parameter, sent: str) -> Question:
        variables = {**self.variables, parameter.name: sent}
        return everything.question(command, parameter, variables)

    def check_path_variables(self) -> None:
        texts = [value for value in (*WRONG, *ODD) if isinstance(value, str) and value]
        for command, parameter in self.parameters(in_path=True):
            for text in texts:
                sent = percent(text[:1000]).decode()
                status, code, field = self.blamed(self.ask(self.in_path(command, parameter, sent)))[0]
                expected = (400, "bad_parameter") if "\0" in text else (404, self.not_found(parameter))
                self.assertEqual((status, code, field), (*expected, parameter.name), (command.name, text))
            self.assert_unchanged(command.name, parameter.name)

    def not_found(self, parameter: Parameter) -> str:
        codes = {"session_id": "session_not_found", "infohash": "torrent_not_found"}
        return codes.get(parameter.name, "not_found")

    def check_broken_path_variables(self) -> None:
        for command, parameter in self.parameters(in_path=True):
            for sent in BROKEN_TEXT:
                question = self.in_path(command, parameter, sent.decode())
                self.assert_refused(question, (400, "bad_parameter", parameter.name))
            self.assert_unchanged(command.name, parameter.name)

    def check_path_variables_that_contradict(self) -> None:
        for command, parameter in self.parameters(in_path=True):
            question = self.in_path(command, parameter, self.variables[parameter.name])
            for door in (in_query, in_form, in_multipart):
                self.assert_refused(
                    door(question, parameter.name, b"other"), (400, "parameter_conflict", parameter.name)
                )
            self.assertEqual(
                self.blamed(self.ask(in_json(question, parameter.name, b"null")))[0][2], parameter.name
            )
            self.assert_unchanged(command.name, parameter.name)

    def check_empty_path_variables(self) -> None:
        for command, parameter in self.parameters(in_path=True):
            answer = self.ask(self.in_path(command, parameter, ""))
            self.assertIn(answer.status, (404, 405))
            self.blamed(answer)
            self.assert_unchanged(command.name, parameter.name)

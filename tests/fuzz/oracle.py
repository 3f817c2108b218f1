"""What an answer may be: a success, or an error in the one shape."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from resttorrent.socketio import eio_payload
from resttorrent.socketio.eio_packet import EioVersion, decode_text
from tests.fuzz.frames import server_frames
from tests.socketio.wire import BINARY, TEXT

NO_BODY = (100, 101, 204, 304)


class Wrong(Exception):
    """The daemon did what it must not; says with which bytes."""


@dataclass(frozen=True)
class Answer:
    """:ivar is_success: it did something, or told something that is not for everybody."""

    status: int
    body: bytes
    content_type: bytes = b""

    @property
    def is_success(self) -> bool:
        return self.status < 400


def answers_in(raw: bytes) -> tuple[list[Answer], bytes]:
    """
    HTTP's answers, each looked at, and what follows a 101.

    :raises Wrong: one is not as it should be.
    """
    found: list[Answer] = []
    while raw:
        head, separator, raw = raw.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if not separator or not lines[0].startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")):
            raise Wrong(f"{head[:200]!r} is no answer")
        status = int(lines[0].split(b" ")[1])
        fields = dict(line.lower().split(b": ", 1) for line in lines[1:] if b": " in line)
        if status == 101:
            return [*found, Answer(status, b"")], raw
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            # a stream: the last that comes by a connection
            return [*found, Answer(status, raw)], b""
        size = 0 if status in NO_BODY else int(fields.get(b"content-length", b"-1"))
        # a HEAD's answer has none of its body
        body = raw[: max(size, 0)] if not raw.startswith(b"HTTP/1.1 ") else b""
        raw = raw[len(body) :]
        if status >= 400 and body:
            check_shape(status, body)
        if status != 100:
            found.append(Answer(status, body, fields.get(b"content-type", b"")))
    return found, b""


def check_shape(status: int, body: bytes) -> None:
    """
    See that an error has the one shape, or Engine.IO's own.

    :raises Wrong: if not.
    """
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise Wrong(f"{body[:200]!r} is not JSON") from error
    if answer.keys() == {"code", "message"} and isinstance(answer["code"], int):
        return
    check_failure(answer)
    if status >= 500 and answer["code"] == "internal_error":
        raise Wrong(f"{answer}: a mistake")


def check_failure(answer: Any) -> None:
    """
    See that an object is ``{status: fail, message, code}``, with ``field`` and ``t_id`` at most.

    :raises Wrong: if not.
    """
    if not isinstance(answer, dict) or answer.get("status") != "fail":
        raise Wrong(f"{answer!r} is neither a success nor a failure")
    if not isinstance(answer.get("code"), str) or not answer.get("message"):
        raise Wrong(f"{answer} is not in the shape of errors")
    if not answer.keys() <= {"status", "message", "code", "field", "t_id"}:
        raise Wrong(f"{answer} has more than an error has")
    if answer["code"] == "internal_error":
        raise Wrong(f"{answer}: a mistake")


class Told:
    """
    What came to a client of Socket.IO.

    :ivar successes: commands that were done; :ivar outcomes: how many answers there were of each code.
    """

    def __init__(self) -> None:
        self.successes = 0
        self.outcomes: Counter[str] = Counter()

    def polled(self, answer: Answer, eio: EioVersion) -> None:
        """
        An answer to a GET came.

        :raises Wrong: its packets are not as they should be.
        """
        if answer.status != 200:
            self.outcomes[f"poll {answer.status}"] += 1
            return
        binary = answer.content_type == eio_payload.BINARY
        for packet in eio_payload.decode(answer.body, eio, binary=binary):
            if not packet.binary:
                self._packet(b"%d%b" % (packet.type, packet.data))

    def framed(self, raw: bytes) -> None:
        """
        A server's frames came.

        :raises Wrong: they, or the packets in them, are not as they should be.
        """
        try:
            frames = server_frames(raw)
        except ValueError as error:
            raise Wrong(str(error)) from error
        for opcode, payload in frames:
            if opcode == TEXT:
                decode_text(payload)
                self._packet(payload)
            elif opcode != BINARY:
                self.outcomes["close" if opcode == 8 else "pong"] += 1

    def _packet(self, raw: bytes) -> None:
        kind, text = raw[:2], raw[2:]
        if text[:1] == b"/":
            text = text.partition(b",")[2]
        if kind == b"44":
            self._refused(json.loads(text))
        elif kind == b"42":
            name, *arguments = json.loads(text)
            if name == "v1":
                self._answered(arguments)
        elif kind[:1] not in b"01234567":
            raise Wrong(f"{raw[:200]!r} is no packet")

    def _answered(self, arguments: list[Any]) -> None:
        if len(arguments) != 1 or not isinstance(arguments[0], dict):
            raise Wrong(f"{arguments!r} is no answer")
        if arguments[0].get("status") == "success":
            self.successes += 1
            self.outcomes["success"] += 1
            return
        check_failure(arguments[0])
        self.outcomes[arguments[0]["code"]] += 1

    def _refused(self, error: Any) -> None:
        # before Socket.IO 3 it is the message alone
        if isinstance(error, dict):
            error = error.get("message")
        if not isinstance(error, str) or not error:
            raise Wrong(f"{error!r} is no connect_error")
        self.outcomes["connect_error"] += 1

"""What is right, for ``mutate`` and ``frames`` to spoil: for each command, by each door, in each spelling."""

import json
import random
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from resttorrent.commands.registry import Command
from tests.commands import everything
from tests.fuzz.callers import Caller

HEAD = b" HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
_URLENCODED = b"application/x-www-form-urlencoded"
_PART = '--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
_TORRENT = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nd4:infod4:name1:aee\r\n'


@dataclass(frozen=True)
class Place:
    """
    What the requests are about.

    :ivar session_id: of a session, :ivar infohash: of a torrent, :ivar token_id: of a token, there or not.
    """

    session_id: str = "0" * 32
    infohash: str = "a" * 40
    token_id: str = "0" * 16

    def values(self, command: Command, caller: Caller) -> dict[str, str]:
        """Something for each parameter that the command needs, and for some that it does not."""
        samples: dict[str, Any] = {
            **everything.SAMPLES,
            "session_id": self.session_id,
            "infohash": self.infohash,
            "token_id": self.token_id,
            # not even a login tells a caller of another's token
            "token": caller.token or "x" * 43,
            "subscription": "1",
        }
        names = [p.name for p in command.parameters]
        if "token" in names and caller.token:
            # a login takes the one or the other
            del samples["name"], samples["password"]
        elif "token" in names:
            del samples["token"]
        return {name: samples[name] for name in names if name in samples}


class Seeds:
    """
    One caller's.

    :ivar requests: by HTTP; :ivar events: packets of Socket.IO; :ivar posts: bodies of polling, which are
        packets too.
    """

    def __init__(self, caller: Caller, place: Place) -> None:
        self._caller = caller
        self._bearer = caller.bearer
        commands = list(_commands())
        asked = [(one, place.values(one, caller)) for one in commands]
        self._asked = asked
        self.requests = (*(raw for one, values in asked for raw in self._spelt(one, values)), *self._others())
        events = [json.dumps(["v1", {"t_id": "1", "command": one.name, **values}]) for one, values in asked]
        self.events = (*(b"42%b" % event.encode() for event in events), *_odd_events())
        self.posts = (
            *self.events,
            self.events[0] + b"\x1e" + self.events[1],
            b"451-" + _FILE + b"\x1ebZDQ6aW5mb2Rl",
            b"3",
            b"41",
            b"1",
            b"2probe",
            b"430[]",
            caller.connect,
            b"40/admin,{}",
        )

    def odd_event(self, chance: random.Random) -> bytes:
        """A command as an event, well-formed, with parameters that are not as they should be."""
        one, values = chance.choice(self._asked)
        event: list[object] = ["v1", {"t_id": 1, "command": one.name, **odd(chance, values)}]
        if chance.random() < 0.1:
            tails: tuple[list[object], ...] = ([], [None], [[]], ["x"], [{}, {}], [1, *event])
            event = ["v1", *chance.choice(tails)]
        return b"42%b" % json.dumps(event).encode()

    def odd_request(self, chance: random.Random) -> bytes:
        """The same as a request."""
        one, values = chance.choice(self._asked)
        if one.route is None:
            return self.requests[0]
        strange = odd(chance, values)
        texts = {name: str(strange.pop(name, values[name])) for name in values if f"{{{name}}}" in one.route}
        path = one.route.format(**{name: urllib.parse.quote(text[:200]) for name, text in texts.items()})
        line = f"{one.method} {path}".encode()
        if one.method not in ("GET", "DELETE"):
            return self.request(line, json.dumps(strange).encode())
        pairs = [(name, str(value)[:2000].encode("utf-8", "replace")) for name, value in strange.items()]
        return self.request(line + b"?" + urllib.parse.urlencode(pairs).encode())

    def _spelt(self, command: Command, values: Mapping[str, str]) -> list[bytes]:
        if command.route is None or command.method is None:
            return []
        path = command.route.format(**values).encode()
        rest = {name: value for name, value in values.items() if "{" + name + "}" not in command.route}
        line, query = command.method.encode() + b" " + path, urllib.parse.urlencode(rest).encode()
        found = [self.request(line + (b"?" + query if query else b""))]
        if command.method not in ("GET", "DELETE") and rest:
            as_json = json.dumps(rest).encode()
            parts = "".join(_PART % pair for pair in rest.items()) + _TORRENT + "--b--\r\n"
            found += [
                self.request(line, query, _URLENCODED),
                self.request(line, as_json),
                self.request(line, as_json, chunked=True),
                self.request(line, parts.encode(), b"multipart/form-data; boundary=b"),
            ]
        return found

    def request(
        self, line: bytes, body: bytes = b"", kind: bytes = b"application/json", *, chunked: bool = False
    ) -> bytes:
        """A whole request with the caller's token."""
        head = line + HEAD + self._bearer
        if chunked:
            head += b"Transfer-Encoding: chunked\r\nContent-Type: " + kind + b"\r\n\r\n"
            return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        if body:
            head += b"Content-Type: " + kind + b"\r\nContent-Length: %d\r\n" % len(body)
        return head + b"\r\n" + body

    def _others(self) -> tuple[bytes, ...]:
        polling, websocket = self.target("polling"), self.target("websocket")
        return (
            self.request(b"GET /v1/sessions?t_id=1&fields=id&limit=5&offset=1"),
            self.request(b"GET /examples/live.html"),
            self.request(b"OPTIONS /v1/sessions"),
            self.request(b"HEAD /v1/sessions"),
            self.request(b"GET " + polling),
            self.request(b"POST " + polling + b"&sid=x", b"40", b"text/plain"),
            b"GET " + websocket + HEAD + self._bearer + UPGRADE + b"\r\n",
            b"GET " + websocket + HEAD + self._bearer + UPGRADE + DEFLATE + b"\r\n\x81\x80\0\0\0\0",
        )

    def target(self, transport: str, eio: int = 4) -> bytes:
        """Of Socket.IO's handshake; an old client's with its token."""
        query = self._caller.query if eio == 3 else b""
        return b"/socket.io/?EIO=%d&transport=%b%b" % (eio, transport.encode(), query)


_ODD: tuple[object, ...] = (
    None, True, False, 0, -1, 1.5, 10**30, float("inf"), "", " ", "0", "x", "é€𝄞", "\0", "\x1b[31m", "\u202e",
    "../../etc/passwd", "/etc", "%2e%2e", "..", "\\", "x" * 5000, [], {}, [[]], ["x", 1], {"x": "y"}, [None],
    "http://127.0.0.1/", "magnet:?", "magnet:?xt=urn:btih:", "127.0.0.1:99999", "6881,6880", "read,admin",
    {"_placeholder": True, "num": 0}, "__proto__", "1e999", "null", "-0", "2" * 400,
)  # fmt: skip
"""Values that some parameter may not like."""


def odd(chance: random.Random, values: Mapping[str, str]) -> dict[str, Any]:
    """Parameters with one or two changes: a value, a name, one more, one less."""
    changed: dict[str, Any] = dict(values)
    for _ in range(chance.choice((1, 1, 2))):
        name = chance.choice([*changed, "session_id", "x", "\0", "é" * 50])
        match chance.randrange(5):
            case 0 | 1 | 2:
                changed[name] = chance.choice(_ODD)
            case 3:
                changed.pop(name, None)
            case _:
                changed[name[:-1]] = changed.pop(name, "x")
    return changed


_FILE = json.dumps(["v1", {"command": "add_torrent", "file": {"_placeholder": True, "num": 0}}]).encode()


def _odd_events() -> tuple[bytes, ...]:
    listing = json.dumps(["v1", {"command": "get_session_list"}]).encode()
    return (b"420" + listing, b"451-" + _FILE, b'42["other",{}]', b'42["v1"]', b'42["v1",{"command":5}]')


@cache
def _commands() -> tuple[Command, ...]:
    return tuple(everything.registry())

"""All commands that a daemon serves, and how each may be asked for."""

import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.testing import MemoryReactorClock

from resttorrent.commands.registry import Command, Parameter, Registry
from resttorrent.service import DaemonService
from resttorrent.settings import Settings
from tests.engine.hostile import HASH
from tests.harness import PORTS

SAMPLES: Mapping[str, str] = {
    # of no session: nothing is streamed
    "topic": "torrents",
    "session_id": "0" * 32,
    "save_path": "payload",
    "pause": "1",
    "address": "127.0.0.1:1",
    "port_range": PORTS,
    "magnet": f"magnet:?xt=urn:btih:{HASH}",
    "autostart": "0",
    "name": "a name",
    "password": "correct horse battery",
    "current": "correct horse battery",
    "scopes": "read",
    "token_id": "0" * 16,
    "token": "x" * 43,
}
"""Values, by a parameter's name, for what a test does not ask about. Whatever is added stays stopped."""
SOURCES = frozenset({"file", "magnet", "url", "torrents"})
"""One of these is needed, although each may be left out."""

BOUNDARY = "4c1d9e"


def registry() -> Registry:
    """What ``service`` serves, without starting it."""
    settings = Settings(listen=(), state_dir=None, roots=(Path("/nowhere"),))
    return DaemonService(settings, MemoryReactorClock()).registry


def routed() -> list[Command]:
    """Those that may be asked for by HTTP."""
    return [command for command in registry() if command.route is not None]


def path_of(command: Command, variables: Mapping[str, str]) -> str:
    """The path of a command that has a route."""
    assert command.route is not None
    return command.route.format(**variables)


@dataclass(frozen=True)
class Question:
    """A request for a command, complete but for what the test puts in."""

    method: str
    path: str
    query: str = ""
    content_type: str = ""
    body: bytes = b""

    @property
    def target(self) -> str:
        return self.path + ("?" + self.query if self.query else "")

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": self.content_type} if self.content_type else {}


def question(command: Command, asked: Parameter, variables: Mapping[str, str]) -> Question:
    """
    A question with right values for all that ``command`` needs beside ``asked``, which is left out.

    :param variables: of the path, percent-encoded.
    """
    path = path_of(command, variables)
    query = {
        p.name: SAMPLES[p.name]
        for p in command.parameters
        if p is not asked and not p.in_path and (p.name not in SOURCES or asked.name not in SOURCES)
        if p.required or p.name in SAMPLES
    }
    return Question(command.method or "", path, urllib.parse.urlencode(query))


def in_query(asked: Question, name: str, value: bytes) -> Question:
    """With a parameter more, whose value is percent-encoded already."""
    more = f"{urllib.parse.quote(name)}={value.decode('ascii')}"
    return Question(asked.method, asked.path, f"{asked.query}&{more}" if asked.query else more)


def in_form(asked: Question, name: str, value: bytes) -> Question:
    body = urllib.parse.quote(name).encode() + b"=" + value
    return Question(asked.method, asked.path, asked.query, "application/x-www-form-urlencoded", body)


def in_multipart(asked: Question, name: str, value: bytes, filename: str = "") -> Question:
    """With a part more, a file if it has a name."""
    named = f'; filename="{filename}"' if filename else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    body = head.encode() + value + f"\r\n--{BOUNDARY}--\r\n".encode()
    return Question(asked.method, asked.path, asked.query, f"multipart/form-data; boundary={BOUNDARY}", body)


def in_json(asked: Question, name: str, value: bytes) -> Question:
    """With a member more, whose value is JSON already."""
    body = b"{" + json.dumps(name).encode() + b":" + value + b"}"
    return Question(asked.method, asked.path, asked.query, "application/json", body)


Door = Callable[[Question, str, bytes], Question]

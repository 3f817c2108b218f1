"""
Ask a daemon behind a proxy all that a client may ask: ``proxy-checks.py PORT CERTIFICATE TOKEN-FILE``.

The proxy is on 127.0.0.1, speaks TLS as torrents.example.org, and has the daemon under ``/rt/``.
"""

import base64
import http.client
import json
import os
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NAME, PREFIX = "torrents.example.org", "/rt"


class Front(http.client.HTTPSConnection):
    """A connection to the proxy, by an address that no look-up is needed for."""

    def __init__(self, port: int, certificate: str) -> None:
        self.tls = ssl.create_default_context(cafile=certificate)
        super().__init__(NAME, port, timeout=30, context=self.tls)
        self.where = f"{NAME}:{port}"

    def connect(self) -> None:
        raw = socket.create_connection(("127.0.0.1", self.port), 30)
        self.sock = self.tls.wrap_socket(raw, server_hostname=NAME)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        """Its answer, with ``body`` read."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.request(method, PREFIX + path, body, named)
        answer: Any = self.getresponse()
        answer.body = answer.read()
        return answer


def expect(what: str, found: object, *wanted: object) -> None:
    if found not in wanted:
        sys.exit(f"{what}: {found!r}, not {' or '.join(map(repr, wanted))}")


def requests(front: Front, bearer: str) -> None:
    expect("anybody, version", front.ask("GET", "/v1").status, 200)
    # it comes from this very machine, but a proxy passed it on
    expect("stranger", front.ask("GET", "/v1/sessions").status, 401)
    expect("token", front.ask("GET", "/v1/sessions", Authorization=bearer).status, 200)
    origin = f"https://{front.where}"
    made = front.ask("POST", "/v1/sessions", Authorization=bearer, Origin=origin)
    expect("page of this site", made.status, 201)
    place = urlsplit(made.getheader("Location")).path
    expect("Location's prefix", place.startswith(f"{PREFIX}/v1/sessions/"), True)
    expect("Location", front.ask("GET", place.removeprefix(PREFIX), Authorization=bearer).status, 200)
    foreign = front.ask("POST", "/v1/sessions", Authorization=bearer, Origin="https://evil.example")
    expect("page of another site", foreign.status, 403)
    # Caddy answers for names that it does not serve; the daemon is not reached in either case
    other = front.ask("GET", "/v1", Host="evil.example")
    expect("another host", other.status == 421 or b"version" not in other.body, True)
    # nor does a Host header make an owner of who comes by a proxy
    posing = front.ask("GET", "/v1/sessions", Host="localhost")
    expect("posing as the owner", posing.status == 401 or b"sessions" not in posing.body, True)
    token = json.dumps({"token": bearer.removeprefix("Bearer ")}).encode()
    login = front.ask("POST", "/v1/login", token, Origin=origin)
    expect("login", login.status, 200)
    cookie = login.getheader("Set-Cookie").partition(";")[0]
    expect("cookie", front.ask("GET", "/v1/sessions", Cookie=cookie).status, 200)


def upload(front: Front, bearer: str) -> None:
    """A body as large as the daemon takes gets through to it, and is refused in its own words."""
    boundary = "a4b0c1"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    size = 32 * 1024 * 1024 - len(head) - len(tail)
    answer = front.ask(
        "POST",
        "/v1/sessions/none/torrents",
        head + bytes(size) + tail,
        Authorization=bearer,
        Content_Type=f"multipart/form-data; boundary={boundary}",
    )
    expect("32 MiB", json.loads(answer.body)["status"], "fail")
    expect("32 MiB, status", answer.status, 400, 404, 413, 422)


def stream(front: Front, certificate: str, bearer: str) -> None:
    """Server-sent events arrive when they happen."""
    listening = Front(int(front.port), certificate)
    listening.request("GET", f"{PREFIX}/v1/events?topic=sessions", headers={"Authorization": bearer})
    events = listening.getresponse()
    expect("events", events.status, 200)
    expect("first event", events.readline().startswith((b"event:", b"id:", b"data:", b":", b"retry:")), True)
    while events.readline().strip():
        pass
    began = time.monotonic()
    made = json.loads(front.ask("POST", "/v1/sessions", Authorization=bearer).body)["session"]["id"]
    while made.encode() not in events.readline():
        pass
    expect("event within 5 s", time.monotonic() - began < 5, True)
    listening.close()


def polling(front: Front, token: str) -> None:
    path = "/socket.io/?EIO=4&transport=polling"
    opened = front.ask("GET", path)
    expect("polling", opened.status, 200)
    path += "&sid=" + json.loads(opened.body[1:])["sid"]
    expect("connect", front.ask("POST", path, b"40" + json.dumps({"token": token}).encode()).status, 200)
    expect("connected", front.ask("GET", path).body[:2], b"40")
    command = b'42["v1",{"t_id":"1","command":"get_session_list"}]'
    expect("command", front.ask("POST", path, command).status, 200)
    expect("answer", front.ask("GET", path).body.startswith(b'42["v1",{'), True)
    front.ask("POST", path, b"1")


def websocket(front: Front, token: str) -> None:
    raw = socket.create_connection(("127.0.0.1", front.port), 30)
    with front.tls.wrap_socket(raw, server_hostname=NAME) as wire:
        key = base64.b64encode(os.urandom(16)).decode()
        wire.sendall(
            f"GET {PREFIX}/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {front.where}\r\n"
            f"Origin: https://{front.where}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        reader = wire.makefile("rb")
        expect("upgrade", reader.readline().split()[1], b"101")
        while reader.readline().strip():
            pass
        expect("open", message(reader)[:1], "0")
        say(wire, "40" + json.dumps({"token": token}))
        expect("connected", message(reader)[:2], "40")
        say(wire, '42["v1",{"t_id":"1","command":"get_session_list"}]')
        expect("answer", message(reader).startswith('42["v1",{'), True)


def say(wire: ssl.SSLSocket, text: str) -> None:
    """One short text frame, masked (RFC 6455 §5.2)."""
    data, mask = text.encode(), os.urandom(4)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    wire.sendall(b"\x81" + size + mask + masked)


def message(reader: Any) -> str:
    """The text of the next frame."""
    size = reader.read(2)[1]
    if size == 126:
        size = int.from_bytes(reader.read(2), "big")
    return str(reader.read(size).decode())


def main() -> None:
    port, certificate = int(sys.argv[1]), sys.argv[2]
    token = Path(sys.argv[3]).read_text().strip()
    front, bearer = Front(port, certificate), f"Bearer {token}"
    deadline = time.monotonic() + 15
    while True:
        try:
            front.ask("GET", "/v1")
            break
        except OSError:
            front.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    requests(front, bearer)
    upload(front, bearer)
    stream(front, certificate, bearer)
    polling(front, token)
    websocket(front, token)


main()

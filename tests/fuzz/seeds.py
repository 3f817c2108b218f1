"""What is right, for ``mutate`` to spoil."""

import json

from tests.fuzz.world import TOKEN

_HOST = b"Host: 127.0.0.1:8080\r\n"
_BEARER = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
_URLENCODED = b"application/x-www-form-urlencoded"
_HASH = b"a" * 40
_SESSION = b"/v1/sessions/" + b"0" * 32
_PART = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
_FORM = _PART % (b"save_path", b"x") + _PART % (b"file", b"d4:infod4:name1:aee") + b"--b--\r\n"
_JSON = json.dumps({"magnet": "magnet:?xt=urn:btih:" + "a" * 40, "save_path": "x", "autostart": 0}).encode()


def _request(
    line: bytes, body: bytes = b"", kind: bytes = b"application/json", *, chunked: bool = False
) -> bytes:
    head = line + b" HTTP/1.1\r\n" + _HOST + _BEARER
    if chunked:
        head += b"Transfer-Encoding: chunked\r\nContent-Type: " + kind + b"\r\n\r\n"
        return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    if body:
        head += b"Content-Type: " + kind + b"\r\nContent-Length: %d\r\n" % len(body)
    return head + b"\r\n" + body


REQUESTS = (
    _request(b"GET /v1/sessions?t_id=1"),
    _request(b"GET " + _SESSION + b"/torrents?fields=infohash,name&sort=-name&limit=5&offset=1"),
    _request(b"GET " + _SESSION + b"/torrents?since=1&wait=1"),
    _request(b"GET " + _SESSION + b"/torrents/" + _HASH + b"/peers"),
    _request(b"GET /v1/events?topic=torrents&interval_ms=500"),
    _request(b"GET /health"),
    _request(b"GET /v1"),
    _request(b"GET /examples/index.html"),
    _request(b"OPTIONS " + _SESSION),
    _request(b"HEAD /v1/sessions"),
    _request(b"POST /v1/sessions", b"port_range=6881,6891&memory_only=1", _URLENCODED),
    _request(b"POST " + _SESSION + b"/torrents", _JSON),
    _request(b"POST " + _SESSION + b"/torrents", _JSON, chunked=True),
    _request(b"POST " + _SESSION + b"/torrents", _FORM, b"multipart/form-data; boundary=b"),
    _request(b"POST " + _SESSION + b"/torrents/batch", b'{"save_path":"x","torrents":[' + _JSON + b"]}"),
    _request(b"POST " + _SESSION + b"/torrents/" + _HASH + b"/peers", b'{"address":"127.0.0.1:1"}'),
    _request(b"PUT " + _SESSION + b"/torrents/" + _HASH, b"pause=1", _URLENCODED),
    _request(b"DELETE " + _SESSION + b"/torrents/" + _HASH + b"?delete_files=1"),
    _request(b"DELETE " + _SESSION),
    _request(b"POST /v1/tokens", b'{"name":"x","scopes":["read"],"expiry":1900000000}'),
    _request(b"GET /socket.io/?EIO=4&transport=polling"),
    _request(b"POST /socket.io/?EIO=4&transport=polling&sid=x", b"40", b"text/plain"),
)
"""Requests of a client with a token; without that line, of one without."""
STRANGERS = tuple(request.replace(_BEARER, b"") for request in REQUESTS)

_COMMAND = json.dumps(["v1", {"t_id": "1", "command": "get_session_list"}]).encode()
_ADD = json.dumps(["v1", {"t_id": 2, "command": "add_torrent", "session_id": "0" * 32}]).encode()
_FILE = json.dumps(["v1", {"command": "add_torrent", "file": {"_placeholder": True, "num": 0}}]).encode()
CONNECT = b'40{"token":"' + TOKEN.encode() + b'"}'
MESSAGES = (
    b"42" + _COMMAND,
    b"420" + _COMMAND,
    b"42" + _ADD,
    b"42" + _COMMAND + b"\x1e42" + _ADD,
    b"451-" + _FILE + b"\x1ebZDQ6aW5mb2Rl",
    b"3",
    b"41",
    b"1",
    b"2probe",
    b"430[]",
    CONNECT,
    b"40/admin,{}",
)
"""Bodies of POSTs by polling."""

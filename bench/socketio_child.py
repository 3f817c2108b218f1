"""
Clients in a process of their own, so that they don't compete with the daemon for an interpreter.

It answers each line of JSON with one, until its end, and in between its clients' sockets go on being read.
"""

import json
import os
import re
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from resttorrent.descriptors import raise_limit

from .machine import cpu_seconds
from .socketio_follower import Follower
from .socketio_polling import PollingWire
from .socketio_wire import ANSWER, PUSH, LiveWire, call, event

_STAMP = re.compile(rb'"added_time":(\d+)')
_REV = re.compile(rb'"rev":(\d+)')
_SILENCE = 5.0
"""Seconds after which nothing more is expected."""


class Crowd:
    """All clients, and what is asked of them."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._wires: list[LiveWire] = []
        self._by_number: dict[int, LiveWire] = {}
        self._stopped: set[LiveWire] = set()
        self._heard: Callable[[LiveWire, bytes], None] = lambda wire, packet: None
        self._followers: dict[LiveWire, Follower] = {}

    # -- the loop --------------------------------------------------------

    def serve(self) -> None:
        """Do as standard input says until it ends."""
        number, waiting = sys.stdin.fileno(), b""
        self._poll.register(number, select.EPOLLIN)
        while True:
            if not self._turn(None, number):
                continue
            received = os.read(number, 65536)
            if not received:
                return
            *lines, waiting = (waiting + received).split(b"\n")
            for line in lines:
                arguments = json.loads(line)
                method: Callable[..., dict[str, Any]] = getattr(self, arguments.pop("do"))
                print(json.dumps(method(**arguments)), flush=True)

    def _turn(self, timeout: float | None, also: int = -1) -> bool:
        """Read what came; whether ``also``, which is read elsewhere, has something too."""
        found = False
        for number, _ in self._poll.poll(timeout):
            if number == also:
                found = True
            elif number in self._by_number:
                wire = self._by_number[number]
                for packet in wire.receive():
                    self._heard(wire, packet)
        return found

    def _until(self, condition: Callable[[], bool], patience: float = 60.0) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {patience:g} s in vain")
            self._turn(1)

    # -- what can be asked -----------------------------------------------

    def connect(
        self, port: int, count: int, receive_buffer: int = 0, polling: bool = False
    ) -> dict[str, Any]:
        """So many more clients; those that poll only listen."""
        kind = PollingWire if polling else LiveWire
        for _ in range(count):
            wire = kind(port, receive_buffer=receive_buffer)
            self._wires.append(wire)
            self._by_number[wire.fileno()] = wire
            self._poll.register(wire.fileno(), select.EPOLLIN)
        return {"clients": len(self._wires)}

    def close(self) -> dict[str, Any]:
        """No more clients."""
        for wire in self._wires:
            wire.close()
        self._wires, self._by_number, self._stopped = [], {}, set()
        self._followers = {}
        return {}

    def roundtrips(self, request: list[Any], answer: str, seconds: float, pid: int) -> dict[str, Any]:
        """
        Each client emits ``request`` as soon as the last one was answered.

        :param answer: what an answer begins with; :param pid: whose CPU time it is to cost.
        """
        asked, prefix, count = event(*request), answer.encode(), 0
        numbers = {wire.fileno() for wire in self._wires}

        def heard(wire: LiveWire, packet: bytes) -> None:
            nonlocal count
            if packet.startswith(prefix):
                count += 1
                wire.send(asked)

        self._heard = heard
        for wire in self._wires:
            wire.send(asked)
        self._run(seconds / 5)
        count, cpu, began = 0, cpu_seconds(pid), time.perf_counter()
        self._run(seconds)
        answered, spent, cpu = count, time.perf_counter() - began, cpu_seconds(pid) - cpu
        self._heard = lambda wire, packet: numbers.discard(wire.fileno())
        self._until(lambda: not numbers)
        return {"count": answered, "seconds": spent, "cpu": cpu}

    def _run(self, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            self._turn(0.1)

    def subscribe(self, keep: int = 0, **parameters: Any) -> dict[str, Any]:
        """
        All clients subscribe, one after the other; the bytes of the last one's answer.

        :param keep: how many of the first and of the last keep a table.
        """
        request, size = _subscribe(parameters), 0
        for number, wire in enumerate(self._wires):
            answer = self._answer(wire, request)
            size = len(answer)
            if number < keep or number >= len(self._wires) - keep:
                self._followers[wire] = Follower(answer)
        return {"bytes": size}

    def _answer(self, wire: LiveWire, request: bytes) -> bytes:
        answers: list[bytes] = []

        def heard(told: LiveWire, packet: bytes) -> None:
            if told is wire and packet.startswith(ANSWER):
                answers.append(packet)
            elif told in self._followers and packet.startswith(PUSH):
                self._followers[told].hear(packet)

        self._heard = heard
        wire.send(request)
        self._until(lambda: bool(answers))
        if b'"status":"success"' not in answers[0]:
            raise RuntimeError(f"answered {answers[0][:300]!r}")
        return answers[0]

    def receive(self, count: int) -> dict[str, Any]:
        """Read so many pushes, or what comes until there is silence; when the last one came."""
        pushes = size = 0
        last = time.monotonic()

        def heard(wire: LiveWire, packet: bytes) -> None:
            nonlocal pushes, size, last
            if packet.startswith(PUSH):
                pushes += 1
                size += len(packet)

        self._heard = heard
        while pushes < count:
            before = pushes
            self._turn(1)
            if pushes != before:
                last = time.monotonic()
            elif time.monotonic() - last > _SILENCE:
                break
        return {"pushes": pushes, "bytes": size, "last": last}

    def toggle(self, session_id: str, infohash: str, rounds: int, pause: float) -> dict[str, Any]:
        """
        The first client stops and starts a torrent, the second, which has subscribed, hears of it.

        :return: seconds from each command to its push and to its answer.
        """
        actor, observer = self._wires[:2]
        requests = [
            call("update_torrent", session_id=session_id, infohash=infohash, pause=stop) for stop in (0, 1)
        ]
        pushed: list[float] = []
        answered: list[float] = []

        def heard(wire: LiveWire, packet: bytes) -> None:
            if wire is observer and packet.startswith(PUSH) and b'"state"' in packet:
                pushed.append(time.perf_counter())
            elif wire is actor and packet.startswith(ANSWER):
                answered.append(time.perf_counter())

        self._heard = heard
        to_push, to_answer = [], []
        for number in range(rounds):
            pushed.clear()
            answered.clear()
            began = time.perf_counter()
            actor.send(requests[number % 2])
            self._until(lambda: bool(pushed and answered))
            to_push.append(pushed[0] - began)
            to_answer.append(answered[0] - began)
            self._run(pause)
        return {"to_push": to_push, "to_answer": to_answer}

    # -- clients that don't keep up --------------------------------------

    def stop_reading(self, count: int) -> dict[str, Any]:
        """The last so many clients read nothing any more."""
        for wire in self._wires[-count:]:
            self._poll.unregister(wire.fileno())
            self._stopped.add(wire)
        return {}

    def watch(self, seconds: float) -> dict[str, Any]:
        """
        Read for a while.

        :return: of each push the seconds since the daemon's table changed, if rows say so in ``added_time``
            (``lags``), and since the first client had it (``behind``).
        """
        lags: list[float] = []
        behind: list[float] = []
        first: dict[bytes, float] = {}

        def heard(wire: LiveWire, packet: bytes) -> None:
            if not packet.startswith(PUSH):
                return
            now = time.monotonic()
            stamp, rev = _STAMP.search(packet), _REV.search(packet)
            if stamp is not None:
                lags.append(now - int(stamp[1]) / 1e6)
            if rev is not None:
                behind.append(now - first.setdefault(rev[1], now))
            if wire in self._followers:
                self._followers[wire].hear(packet)

        self._heard = heard
        self._run(seconds)
        return {"lags": lags, "behind": behind}

    def go_on_reading(self, patience: float) -> dict[str, Any]:
        """
        All read again, until there is silence for so many seconds.

        :return: of each that had stopped, how many rows each of its pushes has.
        """
        late: dict[LiveWire, list[int]] = {wire: [] for wire in self._stopped}
        last = time.monotonic()

        def heard(wire: LiveWire, packet: bytes) -> None:
            nonlocal last
            if packet.startswith(PUSH):
                last = time.monotonic()
                if wire in late:
                    late[wire].append(packet.count(b'"infohash"'))
                if wire in self._followers:
                    self._followers[wire].hear(packet)

        self._heard = heard
        for wire in self._stopped:
            self._poll.register(wire.fileno(), select.EPOLLIN)
        self._stopped = set()
        while time.monotonic() - last < patience:
            self._turn(0.1)
        return {"rows": list(late.values())}

    def compare(self, port: int, **parameters: Any) -> dict[str, Any]:
        """How many of those who keep a table have exactly what a new client is told."""
        fresh = LiveWire(port)
        wanted = Follower(fresh.ask(_subscribe(parameters))).rows
        fresh.close()
        exact = sum(follower.rows == wanted for follower in self._followers.values())
        return {"exact": exact, "of": len(self._followers), "rows": len(wanted)}


def _subscribe(parameters: dict[str, Any]) -> bytes:
    return call("subscribe", topic="torrents", **parameters)


if __name__ == "__main__":
    raise_limit()
    Crowd().serve()

"""Real Socket.IO clients, each kind in a process of its own that understands the same orders."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).resolve().parent
TRANSPORTS = ("polling", "websocket", "upgrade")
EVENTS = ("v1", "v1/torrents")
# Seconds; only what hangs runs into it.
PATIENCE = 30.0
T = TypeVar("T")
Line = dict[str, Any]


def command_line(kind: str) -> list[str]:
    """What starts the driver of a kind."""
    language, which = kind.split()
    if language == "python":
        return [sys.executable, str(HERE / "driver.py"), which]
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules" / f"client-{which}").is_dir():
        raise AssertionError("needs node, and `npm ci` in tests/clients: `make test` sees to that")
    return [node, str(HERE / "driver.js"), which]


class Driver:
    """
    A process with clients of one kind.

    All that it says is kept; ``wait`` waits until that fulfils a condition.
    """

    def __init__(self, kind: str) -> None:
        self._said: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
        self._last: deque[str] = deque(maxlen=10)
        self._replies: dict[int, Line] = {}
        self._news = threading.Condition()
        self._orders = 0
        self._process = subprocess.Popen(
            command_line(kind),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._complaints: list[str] = []
        self._threads = [threading.Thread(target=read) for read in (self._read, self._read_complaints)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            line = json.loads(raw)
            with self._news:
                if "id" in line:
                    self._replies[line["id"]] = line
                else:
                    self._said[line["socket"], line["event"]].append(
                        line["args"][0] if line["args"] else None
                    )
                self._last.append(raw[:300].decode(errors="replace"))
                self._news.notify_all()

    def _read_complaints(self) -> None:
        assert self._process.stderr is not None
        for raw in self._process.stderr:
            self._complaints.append(raw.decode())

    def wait(self, condition: Callable[[], T | None], what: str) -> T:
        """The first value of ``condition`` that is true, looked at whenever the driver says something."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while not (value := condition()):
                left = deadline - time.monotonic()
                if left <= 0 or self._process.poll() is not None:
                    said = "".join((*self._last, *self._complaints))
                    raise AssertionError(f"waited in vain for {what}: {said}")
                self._news.wait(min(left, 1.0))
            return value

    def order(self, do: str, socket: str, **members: Any) -> int:
        """Give an order; its number."""
        return self.orders([{"do": do, "socket": socket, **members}])[0]

    def orders(self, orders: Sequence[Line]) -> list[int]:
        """Give orders all at once; their numbers."""
        numbers = list(range(self._orders, self._orders + len(orders)))
        self._orders += len(orders)
        lines = [json.dumps({"id": number, **order}) for number, order in zip(numbers, orders, strict=True)]
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self._process.stdin.flush()
        return numbers

    def reply(self, number: int) -> Line:
        """The reply to an order."""
        return self.wait(lambda: self._replies.get(number), f"the reply to order {number}")

    def ask(self, do: str, socket: str, **members: Any) -> Line:
        return self.reply(self.order(do, socket, **members))

    def said(self, socket: str, event: str) -> list[Any]:
        """The first arguments of an event of a socket, so far."""
        return self._said[socket, event][:]

    def close(self) -> None:
        """End the process with its clients."""
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


class Socket:
    """
    One client of a driver.

    :param settled: wait until it has connected and uses the transport that it should.
    """

    def __init__(self, driver: Driver, port: int, transport: str, *, settled: bool = True) -> None:
        self.transport = transport
        self.name = transport if settled else f"early {transport}"
        self._driver = driver
        driver.ask("open", self.name, url=f"http://127.0.0.1:{port}", transport=transport, events=EVENTS)
        if settled:
            self.connected(1)

    def connected(self, times: int) -> None:
        """Wait until it has connected that often, and uses the transport that it should."""
        self.wait(lambda: len(self.said("connect")) >= times, f"connection {times}")
        wanted = "polling" if self.transport == "polling" else "websocket"
        deadline = time.monotonic() + PATIENCE
        while (used := self._driver.ask("transport", self.name)["transport"]) != wanted:
            assert time.monotonic() < deadline, f"{self.name} uses {used}"
            time.sleep(0.02)

    def disconnected(self) -> None:
        self.wait(lambda: self.said("disconnect"), "a disconnect")

    def said(self, event: str) -> list[Any]:
        return self._driver.said(self.name, event)

    def wait(self, condition: Callable[[], T | None], what: str) -> T:
        return self._driver.wait(condition, f"{what}, by {self.name}")

    def emit(self, **call: Any) -> None:
        """Send a command and want no acknowledgement."""
        self._driver.ask("emit", self.name, args=["v1", call])

    def call(self, **call: Any) -> Any:
        """What acknowledges a command."""
        (answer,) = self._driver.ask("call", self.name, args=["v1", call])["ack"]
        return answer

    def call_all(self, calls: Sequence[Line]) -> list[Any]:
        """What acknowledges each of some commands that are sent at once."""
        orders = [{"do": "call", "socket": self.name, "args": ["v1", call]} for call in calls]
        return [self._driver.reply(number)["ack"][0] for number in self._driver.orders(orders)]

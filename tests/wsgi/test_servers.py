"""The whole daemon below gunicorn and waitress, each in processes of its own on loopback."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.harness import PORTS, Client, Response, tiny_torrent, until

HERE = Path(__file__).resolve().parent.parent.parent
WAITRESS = """
import signal, waitress
from resttorrent.wsgi import application
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
application.start()
server = waitress.create_server(application, host="127.0.0.1", port=0)
print(f"listening at {server.effective_port}", flush=True)
server.run()
"""
SERVES = r"process (\d+) serves the API"


class Server:
    """A WSGI server with a folder of its own; ``arguments`` are the interpreter's."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home, self._log = home, home / "log"
        self.state = home / "state"
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR")}
        own = {
            "HOME": str(home),
            "PYTHONPATH": str(HERE),
            "RESTTORRENT_STATE_DIR": str(self.state),
            "RESTTORRENT_ROOT": str(home),
            "RESTTORRENT_PEER_INTERFACE": "127.0.0.1",
            "RESTTORRENT_DISCOVERY": "off",
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=home,
                env={**kept, **own},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        (port,) = self.wait_for(r"[Ll]istening at:? (?:http://127\.0\.0\.1:)?(\d+)", 1)
        self.port = int(port)

    @classmethod
    def gunicorn(cls, home: Path, workers: int) -> "Server":
        sizes = [f"--workers={workers}", "--threads=4"]
        address = ["--bind=127.0.0.1:0", "--no-control-socket"]
        return cls(home, "-m", "gunicorn", *sizes, *address, "resttorrent.wsgi:application")

    @classmethod
    def waitress(cls, home: Path) -> "Server":
        return cls(home, "-c", WAITRESS)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def found(self, pattern: str) -> list[str]:
        return re.findall(pattern, self.log)

    def wait_for(self, pattern: str, count: int) -> list[str]:
        """What a pattern found in the log, when it is there ``count`` times."""

        def look() -> list[str]:
            assert self.process.poll() is None, self.log
            found = self.found(pattern)
            return found if len(found) >= count else []

        found: list[str] = until(look, f"{pattern} in the log")
        return found

    def ask(self, method: str, path: str, **parameters: Any) -> Response:
        """Ask on a connection of its own, which any worker may take."""
        with closing(Client(self.port)) as client:
            return client.call(method, path, **parameters)

    def stop(self, number: int) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    def ended_clean(self) -> bool:
        """Whether the next start may trust that all was saved."""
        with closing(sqlite3.connect(self.state / "state.db")) as database:
            query = "SELECT value FROM settings WHERE name = 'store.clean_exit'"
            return bool(database.execute(query).fetchall() == [("1",)])


class ServerCase(SynchronousTestCase):
    """A server, ended with the test."""

    def home(self) -> Path:
        folder = tempfile.TemporaryDirectory(prefix="resttorrent-")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def started(self, server: Server) -> Server:
        self.addCleanup(server.stop, signal.SIGTERM)
        return server

    def use(self, server: Server) -> None:
        """Do what a client does, keep-alive, uploads and deltas included."""
        client = Client(server.port)
        self.addCleanup(client.close)
        session = client.session(memory_only=0)
        torrents = f"/v1/sessions/{session}/torrents"
        listed = client.ok("GET", torrents)
        self.assertEqual(listed["torrents"], [])
        added = client.upload(torrents, tiny_torrent(1), autostart="0", save_path="a")
        self.assertEqual(added.status, 201, added.body)
        infohash = added.json["torrent"]["infohash"]
        self.assertEqual(added.headers["location"], f"{torrents}/{infohash}")
        delta = client.ok("GET", torrents, since=listed["rev"])
        self.assertEqual([row["infohash"] for row in delta["changed"]], [infohash])
        one = client.call("GET", f"{torrents}/{infohash}", fields="infohash,name")
        head = client.call("HEAD", f"{torrents}/{infohash}", fields="infohash,name")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-length"], str(len(one.body)))
        self.assertEqual(client.call("GET", torrents + "%2F").json["code"], "not_found")
        self.assertEqual(client.request("PUT", torrents).status, 405)
        self.wait_at_once(server, client)

    def wait_at_once(self, server: Server, client: Client) -> None:
        """Long polls hold threads, others are answered meanwhile."""
        path = f"/v1/sessions/{client.session()}"
        rev = client.ok("GET", f"{path}/torrents")["rev"]
        with ThreadPoolExecutor(3) as pool:
            polls = [pool.submit(server.ask, "GET", f"{path}/torrents", since=rev, wait=60) for _ in range(3)]
            self.assertEqual(server.ask("POST", "/v1/sessions", port_range=PORTS).status, 201)
            self.assertFalse(any(poll.done() for poll in polls))
            self.assertEqual(server.ask("DELETE", path).status, 200)
            self.assertEqual([poll.result(90).status for poll in polls], [404, 404, 404])


class GunicornTests(ServerCase):
    """gunicorn forks, threads answer."""

    def test_api(self) -> None:
        server = self.started(Server.gunicorn(self.home(), workers=1))
        self.use(server)
        self.refuse_long_body(server)
        self.assertEqual(server.stop(signal.SIGTERM), 0)
        self.assertTrue(server.ended_clean())
        self.assertNotIn("Traceback", server.log)
        self.assertFalse((server.state / "listening.json").exists())

    def refuse_long_body(self, server: Server) -> None:
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            connection.putrequest("POST", "/v1/sessions")
            connection.putheader("Content-Length", str(32 * 1024 * 1024 + 1))
            connection.endheaders()  # and nothing of the body is sent
            answer = connection.getresponse()
            self.assertEqual((answer.status, b'"code":"too_large"' in answer.read()), (413, True))

    def test_worker_killed(self) -> None:
        server = self.started(Server.gunicorn(self.home(), workers=1))
        with closing(Client(server.port)) as client:
            session = client.session(memory_only=0)
            torrents = f"/v1/sessions/{session}/torrents"
            for number in range(3):
                self.assertEqual(
                    client.upload(torrents, tiny_torrent(number), autostart="0", save_path="a").status, 201
                )
            before = client.ok("GET", torrents, fields="infohash,name,save_path")["torrents"]
        os.kill(int(server.wait_for(SERVES, 1)[0]), signal.SIGKILL)
        server.wait_for(r"Booting worker", 2)
        after = server.ask("GET", torrents, fields="infohash,name,save_path").json["torrents"]
        self.assertEqual((len(after), after), (3, before))

    def test_two_workers(self) -> None:
        server = self.started(Server.gunicorn(self.home(), workers=2))
        server.wait_for(r"Booting worker", 2)
        answers: dict[int, Response] = {}

        def both_answered() -> bool:
            answer = server.ask("GET", "/v1")
            answers[answer.status] = answer
            return len(answers) == 2

        until(both_answered, "an answer of each worker")
        (serving,) = server.wait_for(SERVES, 1)
        self.assertEqual(sorted(answers), [200, 503])
        self.assertEqual(answers[503].json["code"], "unhealthy")
        self.assertIn(f"is in use by process {serving}", answers[503].json["message"])
        (refused,) = server.found(rf"process (\d+) answers 503: The state .* in use by process {serving}\.")
        self.assertNotEqual(refused, serving)
        os.kill(int(serving), signal.SIGKILL)
        until(lambda: server.ask("GET", "/v1").status == 200, "another worker to take over")


class WaitressTests(ServerCase):
    """waitress is one process with threads; the runner starts the daemon before any request."""

    def test_api(self) -> None:
        server = self.started(Server.waitress(self.home()))
        server.wait_for(SERVES, 1)
        self.use(server)
        server.stop(signal.SIGINT)
        self.assertTrue(server.ended_clean())
        self.assertNotIn("Traceback", server.log)

"""What an operator sees and uses: SIGHUP, logs, socket activation, docs/operate, the Dockerfile."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from shutil import rmtree, which
from typing import Any
from urllib.parse import quote

import libtorrent as lt
from twisted.internet.task import Clock
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from resttorrent.logs import text_line
from resttorrent.options import OptionError, settings_from
from resttorrent.reloading import Reloader, merge
from resttorrent.settings import Settings
from resttorrent.signals import HangUp
from tests.harness import Client, Daemon, until

HERE = Path(__file__).resolve().parent.parent
OPERATE = HERE / "docs" / "operate"
PAGE = "https://ui.example.org"
NAME = "evil\u202egnp\x1b[2J\n2026-01-01T00:00:00+0000 [x#info] forged"


def settings(*arguments: str) -> Settings:
    return settings_from(["--state-dir", ":memory:", "--root", "/", *arguments], {})


class ReloadingTests(SynchronousTestCase):
    def test_merge(self) -> None:
        old = settings("--port", "1")
        new = settings(
            "--port", "2", "--log-level", "debug", "--allow-host", "x.org", "--trusted-proxy", "10.0.0.0/8"
        )
        change = merge(old, new)
        self.assertEqual(set(change.applied), {"log-level", "allow-host"})
        self.assertEqual(set(change.waiting), {"listen", "trusted-proxy"})
        self.assertEqual((change.settings.log_level, change.settings.listen), ("debug", old.listen))

    def test_settings_that_can_not_be_read(self) -> None:
        applied: list[Settings] = []

        def read() -> Settings:
            raise OptionError("no")

        Reloader(settings(), read, applied.append).reload()
        self.assertEqual(applied, [])

    def test_applied_ones_hold_for_the_next_time(self) -> None:
        applied: list[Settings] = []
        reloader = Reloader(settings(), lambda: settings("--log-level", "debug"), applied.append)
        reloader.reload()
        reloader.reload()
        self.assertEqual([each.log_level for each in applied], ["debug", "debug"])


class HangUpTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.did: list[str] = []
        self.terminal = True
        self.handlers: dict[int, Any] = {}

    def handle(self, number: int, handler: Any) -> Any:
        before = self.handlers.get(number, signal.SIG_DFL)
        self.handlers[number] = handler
        return before

    def hang_up(self) -> None:
        class Reactor(Clock):
            def callFromThread(self, callable: Any) -> None:
                callable()

        HangUp(
            Reactor(),
            lambda: self.did.append("reload"),
            lambda: self.did.append("stop"),
            has_terminal=lambda: self.terminal,
            handle=self.handle,
        ).install()

    def test_reload(self) -> None:
        for self.terminal in (True, False):
            self.hang_up()
            self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual(self.did, ["reload", "reload"])

    def test_terminal_is_closed(self) -> None:
        self.hang_up()
        self.terminal = False
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual(self.did, ["stop"])

    def test_nohup(self) -> None:
        self.handlers[signal.SIGHUP] = signal.SIG_IGN
        self.hang_up()
        self.assertEqual(self.handlers[signal.SIGHUP], signal.SIG_IGN)


class DaemonCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="operate-"))
        self.addCleanup(rmtree, self.home)

    def daemon(self, *options: str) -> Daemon:
        daemon = Daemon(self.home, *options)
        self.addCleanup(self.end, daemon)
        return daemon

    def end(self, daemon: Daemon) -> None:
        if daemon.is_running:
            daemon.kill()


class ReloadTests(DaemonCase):
    def test_hang_up(self) -> None:
        config = self.home / "config.toml"
        config.write_text('log-level = "info"\n')
        daemon = self.daemon("--config", str(config)).start()
        client = daemon.client()
        self.addCleanup(client.close)
        foreign = {"Host": "torrents.example.org"}
        self.assertEqual(client.request("GET", "/v1", headers=foreign).status, 421)
        self.assertEqual(self.from_a_page(daemon), [403, 403, 403])
        config.write_text(
            'log-level = "debug"\nallow-host = ["torrents.example.org"]\ndurability = "full"\n'
            f'allow-origin = ["{PAGE}"]\n'
        )
        os.kill(daemon.process.pid, signal.SIGHUP)
        until(lambda: "needs a restart: durability" in daemon.log_text(), "the reload", 30)
        again = daemon.client()
        self.addCleanup(again.close)
        self.assertNotEqual(again.request("GET", "/v1?token=secret", headers=foreign).status, 421)
        until(lambda: '"GET /v1"' in daemon.log_text(), "the access log", 30)
        # let in, and then asked for a token: it is no page of this machine
        self.assertEqual(self.from_a_page(daemon), [401, 200, 101])
        config.write_text('log-level = "debug"\n')
        os.kill(daemon.process.pid, signal.SIGHUP)
        until(lambda: self.from_a_page(daemon) == [403, 403, 403], "the lists to be empty again", 30)
        gone = daemon.client()
        self.addCleanup(gone.close)
        self.assertEqual(gone.request("GET", "/v1", headers=foreign).status, 421)
        config.write_text("nonsense = 1\n")
        os.kill(daemon.process.pid, signal.SIGHUP)
        until(lambda: "not reloaded: --config" in daemon.log_text(), "the refusal", 30)
        self.assertEqual(daemon.stop(), 0)
        self.assertNotIn("secret", daemon.log_text())
        self.assertEqual(daemon.tracebacks(), [])

    def from_a_page(self, daemon: Daemon) -> list[int]:
        """What a page of another origin is answered: over REST, by polling and by WebSocket."""
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        statuses = []
        for method, target, headers in (
            ("POST", "/v1/sessions", {}),
            ("GET", "/socket.io/?EIO=4&transport=polling", {}),
            ("GET", "/socket.io/?EIO=4&transport=websocket", upgrade),
        ):
            connection = HTTPConnection("127.0.0.1", daemon.port, timeout=30)
            connection.request(method, target, headers={"Origin": PAGE, **headers})
            statuses.append(connection.getresponse().status)
            connection.close()
        return statuses


class LogTests(DaemonCase):
    def torrent(self) -> bytes:
        info: dict[bytes, Any] = {
            b"name": NAME.encode(),
            b"piece length": 16384,
            b"pieces": bytes(20),
            b"length": 1000,
        }
        return bytes(lt.bencode({b"info": info}))  # type: ignore[arg-type]

    def ask(self, daemon: Daemon) -> None:
        client = daemon.client()
        self.addCleanup(client.close)
        session = client.session()
        path = f"/v1/sessions/{session}/torrents"
        client.upload(path, self.torrent(), save_path="a", autostart="0")
        client.request("GET", "/v1/%0a%1b%e2%80%ae?x=secret")
        with closing(socket.create_connection(("127.0.0.1", daemon.port), 30)) as wire:
            wire.sendall(
                b"GET /socket.io/?EIO=4&transport=websocket&token=secret HTTP/1.1\r\nHost: localhost\r\n"
                b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            self.assertTrue(wire.recv(100).startswith(b"HTTP/1.1 101 "))

    def test_access_log_in_text(self) -> None:
        daemon = self.daemon("--log-level", "debug").start()
        self.ask(daemon)
        daemon.stop()
        text = daemon.log_text()
        self.assertRegex(text, r"\[\S+ request \d+\] 127\.0\.0\.1 \"POST /v1/sessions\" 201 ")
        self.assertRegex(text, r" 127\.0\.0\.1 \"GET /socket.io/\" became a WebSocket\n")
        self.assertNotIn("secret", text)
        self.assertEqual(daemon.tracebacks(), [])

    def test_name_of_a_real_torrent_in_text(self) -> None:
        """libtorrent cleans the names in metainfo, but those of magnets come as they are."""
        magnet = lt.parse_magnet_uri(f"magnet:?xt=urn:btih:{'1' * 40}&dn={quote(NAME)}")
        self.assertEqual(magnet.name, NAME)
        line = text_line({"log_format": "added {name}", "name": magnet.name, "log_time": 0.0})
        assert line is not None
        self.assertEqual(line.count("\n"), 1)
        self.assertEqual([c for c in "\u202e\x1b" if c in line], [])
        self.assertIn(r"added evil\u202egnp\x1b[2J\n2026", line)

    def test_requests_have_numbers_in_json(self) -> None:
        daemon = self.daemon("--log-level", "debug", "--log-format", "json").start()
        self.ask(daemon)
        daemon.stop()
        entries = [json.loads(line) for line in daemon.log_text().splitlines()]
        numbers = [entry["request"] for entry in entries if "method" in entry]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertGreaterEqual(len(numbers), 3)

    def test_no_access_log_at_info(self) -> None:
        daemon = self.daemon().start()
        self.ask(daemon)
        daemon.stop()
        self.assertNotIn('"POST /v1/sessions"', daemon.log_text())


class SocketActivationTests(DaemonCase):
    def test_listens_at_the_sockets_of_systemd(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            command = [
                sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=",
                "resttorrent", "--listen", "systemd:domain=INET:name=http",
                "--state-dir", str(self.home / "state"), "--root", str(self.home),
                "--peer-interface", "127.0.0.1", "--discovery", "off",
            ]  # fmt: skip
            script = f"exec 3<&{server.fileno()}; LISTEN_PID=$$ exec {shlex.join(command)}"
            with (self.home / "log").open("wb") as log:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", script],
                    env={**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"},
                    pass_fds=(server.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        # the socket is systemd's and listens already: the request waits for the daemon
        client = Client(port)
        self.addCleanup(client.close)
        until(lambda: (self.home / "state" / "listening.json").exists(), "the daemon", 30)
        self.assertEqual(client.call("GET", "/v1").status, 200, (self.home / "log").read_text())


class FilesTests(SynchronousTestCase):
    def test_unit(self) -> None:
        if which("systemd-analyze") is None:
            raise SkipTest("systemd-analyze is not installed")
        folder = Path(tempfile.mkdtemp(prefix="unit-"))
        self.addCleanup(rmtree, folder)
        # a program that exists here
        text = (
            (OPERATE / "resttorrent.service").read_text().replace("/opt/resttorrent/bin/twistd", "/bin/true")
        )
        unit = folder / "resttorrent.service"
        unit.write_text(text)
        (folder / "resttorrent.socket").write_text((OPERATE / "resttorrent.socket").read_text())
        ended = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(unit), str(folder / "resttorrent.socket")],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertNotIn("Unknown", ended.stderr)
        self.assertNotIn(str(unit) + ":", ended.stderr)
        for line in ("Type=notify", "WatchdogSec=30", "TimeoutStopSec=90", "LimitNOFILE=65536"):
            self.assertIn(f"\n{line}\n", text)

    def test_configuration(self) -> None:
        settings_from(["--config", str(OPERATE / "resttorrent.toml")], {"HOME": "/"})


class SecurityTests(SynchronousTestCase):
    def test_every_test_that_is_named_exists(self) -> None:
        names = re.findall(r"`(tests\.[\w.]+)`", (HERE / "SECURITY.md").read_text())
        self.assertGreater(len(names), 20)
        for name in names:
            self.assertTrue(callable(namedAny(name)), name)


class DockerfileTests(SynchronousTestCase):
    """What linters ask for; its steps are run by ``make image-steps``."""

    def setUp(self) -> None:
        joined = (HERE / "Dockerfile").read_text().replace("\\\n", " ")
        lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
        self.steps = [
            (word, " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in lines)
        ]

    def of(self, *words: str) -> list[str]:
        return [rest for word, rest in self.steps if word in words]

    def test_shape(self) -> None:
        known = {"FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL",
                 "HEALTHCHECK", "ENTRYPOINT"}  # fmt: skip
        self.assertEqual({word for word, _ in self.steps} - known, set())
        self.assertEqual(self.steps[0][0], "FROM")
        for image in self.of("FROM"):
            self.assertRegex(image, r"^\S+:\d[\w.-]*( AS \w+)?$")

    def test_user_comes_before_what_is_run_and_is_not_root(self) -> None:
        self.assertEqual(self.of("USER"), ["10001:10001"])
        words = [word for word, _ in self.steps]
        self.assertGreater(words.index("USER"), len(words) - 1 - words[::-1].index("RUN"))

    def test_exec_form(self) -> None:
        (entry,), (check,) = self.of("ENTRYPOINT"), self.of("HEALTHCHECK")
        self.assertEqual(json.loads(entry)[-1], "resttorrent")
        program = json.loads(check.partition("CMD ")[2])
        self.assertEqual(program[0], "/opt/resttorrent/bin/python")

    def test_copied_files_exist(self) -> None:
        for rest in self.of("COPY"):
            if not rest.startswith("--from"):
                for name in rest.split()[:-1]:
                    self.assertTrue((HERE / name).exists(), name)

    def test_settings_are_read_and_safe(self) -> None:
        environ = {name: value for rest in self.of("ENV") for name, value in re.findall(r"(\w+)=(\S+)", rest)}
        read = settings_from([], {**environ, "HOME": "/"})
        self.assertEqual(
            (read.auth, read.state_dir, read.roots), ("always", Path("/state"), (Path("/payload"),))
        )
        self.assertEqual(read.listen, ("tcp:8080:interface=0.0.0.0",))


class HealthCheckTests(DaemonCase):
    def check(self, port: int) -> int:
        script = str(OPERATE / "healthcheck.py")
        return subprocess.run([sys.executable, script, str(port)], timeout=60).returncode

    def test_exit_codes(self) -> None:
        daemon = self.daemon("--auth", "always").start()
        self.assertEqual(self.check(daemon.port), 0)
        daemon.stop()
        self.assertEqual(self.check(daemon.port), 1)

"""The options of a daemon: every source, their order, every mistake as one line."""

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent import option_values
from resttorrent.options import OPTIONS, OptionError, settings_from
from resttorrent.settings import Settings
from resttorrent.tap import Options


class OptionsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=Path.cwd())).resolve()
        self.home = self.folder / "home"
        self.home.mkdir()
        self.environ = {"HOME": str(self.home), "XDG_STATE_HOME": str(self.folder / "xdg")}

    def read(self, *arguments: str, **environ: str) -> Settings:
        return settings_from(arguments, {**self.environ, **environ})

    def refused(self, *arguments: str, **environ: str) -> str:
        message = str(self.assertRaises(OptionError, self.read, *arguments, **environ))
        self.assertEqual(message.splitlines(), [message])
        return message

    def config(self, text: str) -> str:
        path = self.folder / "daemon.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)


class DefaultTests(OptionsCase):
    def test_defaults(self) -> None:
        self.assertEqual(
            self.read(),
            Settings(
                listen=("tcp:8080:interface=127.0.0.1",),
                state_dir=self.folder / "xdg/resttorrent",
                roots=(self.folder / "xdg/resttorrent/downloads",),
                peer_interfaces=(),
                fetch_allow=(),
            ),
        )

    def test_systemd_names_the_state_first(self) -> None:
        both = self.read(STATE_DIRECTORY="/var/lib/a:/var/lib/b")
        self.assertEqual(both.state_dir, Path("/var/lib/a"))

    def test_relative_xdg_state_home_is_ignored(self) -> None:
        for uid, expected in (
            (0, Path("/var/lib/resttorrent")),
            (1000, self.home / ".local/state/resttorrent"),
        ):
            with mock.patch.object(os, "geteuid", return_value=uid):
                self.assertEqual(self.read(XDG_STATE_HOME="relative").state_dir, expected)

    def test_user_without_a_home(self) -> None:
        with (
            mock.patch.object(os, "geteuid", return_value=1000),
            mock.patch.object(pwd, "getpwuid", side_effect=KeyError),
        ):
            self.assertIn("--state-dir", self.refused(HOME="", XDG_STATE_HOME=""))
            self.assertEqual(self.read("--state-dir=/s", HOME="", XDG_STATE_HOME="").state_dir, Path("/s"))
            self.assertIn("--root", self.refused("--root=~/x", HOME=""))

    def test_downloads(self) -> None:
        (self.home / "Downloads").mkdir()
        self.assertEqual(self.read().roots, (self.home / "Downloads",))
        self.assertEqual(self.read(XDG_DOWNLOAD_DIR="/srv/d").roots, (Path("/srv/d"),))
        self.assertEqual(self.read("--root", "/r", XDG_DOWNLOAD_DIR="/srv/d").roots, (Path("/r"),))

    def test_in_memory_state_has_no_token_to_begin_with(self) -> None:
        with self.assertRaises(OptionError) as caught:
            self.read("--state-dir", ":memory:", "--auth", "always")
        self.assertIn("--auth always needs a state folder", str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))
        self.assertIsNone(self.read("--state-dir", ":memory:", "--auth", "auto").state_dir)

    def test_in_memory_state_has_a_root_on_disk(self) -> None:
        settings = self.read("--state-dir", ":memory:")
        self.assertIsNone(settings.state_dir)
        self.assertEqual(settings.roots, (self.folder / "xdg/resttorrent/downloads",))


class ValueTests(OptionsCase):
    def test_every_option(self) -> None:
        settings = self.read(
            *("--listen", "tcp:1", "--listen", "unix:/run/x.sock", "--state-dir", "/s", "--root", "/a"),
            *("--root", "/b/../c", "--peer-interface", "eth0", "--peer-interface", "::1"),
            *("--discovery", "off", "--fetch-allow", "10.0.0.0/8", "--fetch-allow", "::1"),
            *("--durability", "full", "--umask", "0027", "--log-level", "debug", "--log-format", "json"),
        )
        self.assertEqual(
            settings,
            Settings(
                listen=("tcp:1", "unix:/run/x.sock"),
                state_dir=Path("/s"),
                roots=(Path("/a"), Path("/c")),
                peer_interfaces=("eth0", "::1"),
                discovery=False,
                fetch_allow=(ip_network("10.0.0.0/8"), ip_network("::1/128")),
                durability="full",
                umask=0o027,
                log_level="debug",
                log_format="json",
            ),
        )

    def test_port_and_interface(self) -> None:
        self.assertEqual(self.read("--port=0").listen, ("tcp:0:interface=127.0.0.1",))
        six = self.read("--port", "9", "--interface", "::1").listen
        self.assertEqual(six, (r"tcp6:9:interface=\:\:1",))

    def test_last_of_a_single_option_wins(self) -> None:
        self.assertEqual(self.read("--umask=0", "--umask=77").umask, 0o77)

    def test_paths(self) -> None:
        settings = self.read("--state-dir", "here", "--root", "~/x", "--root", "~")
        self.assertEqual(settings.state_dir, Path.cwd() / "here")
        self.assertEqual(settings.roots, (self.home / "x", self.home))

    def test_wrong_values(self) -> None:
        file = self.config("")
        wrong = [
            *(("port", text) for text in ("", "-1", "65536", "80 ", "0x10", "eighty", "٣", "1" * 5000)),
            *(("interface", text) for text in ("localhost", "eth0", "", "127.0.0.1\n")),
            *(("listen", text) for text in ("8080", "tcp", "tcp:x", "nope:1", "tcp:1:foo=2")),
            *(("root", text) for text in ("", file, file + "/below", "a\0b", "x" * 5000)),
            *(("state-dir", text) for text in ("", file)),
            *(("peer-interface", text) for text in ("", "a b", "../x", "0123456789abcdef", "eth0:1")),
            *(("fetch-allow", text) for text in ("", "10.0.0.1/8", "example.com", "10.0.0.0/33")),
            *(("umask", text) for text in ("", "8", "1777", "rw", "-1")),
            *((name, "maybe") for name in ("discovery", "durability", "log-level", "log-format")),
            ("config", str(self.folder / "absent")),
            ("config", str(self.folder)),
        ]
        for name, text in wrong:
            self.assertIn(f"--{name}", self.refused(f"--{name}", text), (name, text))

    def test_message(self) -> None:
        self.assertEqual(
            self.refused("--port", "99999"), "--port: expected a whole number from 0 to 65535; not '99999'"
        )

    def test_hostile_value_stays_in_one_short_line(self) -> None:
        message = self.refused("--port", "1\n\x1b[2J\u202e" + "9" * 10_000)
        self.assertLess(len(message), 400)

    def test_listen_excludes_the_other_two(self) -> None:
        self.assertEqual(self.refused("--listen=tcp:1", "--port=1"), "--listen and --port exclude each other")
        self.assertEqual(
            self.refused("--interface=::1", RESTTORRENT_LISTEN="tcp:1"),
            "RESTTORRENT_LISTEN and --interface exclude each other",
        )

    def test_unknown_option(self) -> None:
        self.assertEqual(self.refused("--prot=1"), "unknown option --prot; did you mean --port?")
        self.assertEqual(self.refused("--zzzz"), "unknown option --zzzz")
        self.assertEqual(self.refused("--port"), "option --port requires argument")
        self.assertEqual(self.refused("extra\n"), r"unexpected argument 'extra\n'")

    @given(st.integers(min_value=0, max_value=0o777))
    def test_every_umask(self, mask: int) -> None:
        place = option_values.Place(Path("/"), None)
        for form in ("o", "04o", "#o"):
            self.assertEqual(option_values.file_mask(format(mask, form), place), mask)

    @given(st.sampled_from([option for option in OPTIONS if option.name != "config"]), st.text())
    def test_any_text_is_read_or_refused_by_name(self, option: object, text: str) -> None:
        name = getattr(option, "name", "")
        try:
            settings_from([f"--{name}={text}"], {"HOME": "/", "STATE_DIRECTORY": "/s"})
        except OptionError as error:
            self.assertIn(f"--{name}", str(error))
            self.assertEqual(str(error).splitlines(), [str(error)])


class EnvironmentTests(OptionsCase):
    def test_every_option_has_a_variable(self) -> None:
        texts = {
            "port": "99999",
            "umask": "9",
            "listen": "x",
            "root": "a\0",
            "state-dir": "\0",
            "peer-interface": "/",
            "allow-host": "*",
            "config": "/nope",
        }
        for option in OPTIONS:
            message = self.refused(**{option.variable: texts.get(option.name, "nonsense")})
            self.assertIn(option.variable if option.name != "config" else "--config", message)

    def test_repeatable(self) -> None:
        settings = self.read(
            RESTTORRENT_ROOT="/a, /b",
            RESTTORRENT_LISTEN="tcp:1\nunix:/x,y",
            RESTTORRENT_FETCH_ALLOW="10.0.0.0/8,::1/128",
        )
        self.assertEqual(settings.roots, (Path("/a"), Path("/b")))
        self.assertEqual(settings.listen, ("tcp:1", "unix:/x,y"))
        self.assertEqual(len(settings.fetch_allow), 2)

    def test_hole_in_a_list(self) -> None:
        self.assertIn("it is empty", self.refused(RESTTORRENT_ROOT="/a,,/b"))

    def test_empty_says_nothing(self) -> None:
        self.assertEqual(
            self.read(RESTTORRENT_PORT="", RESTTORRENT_ROOT=" ", RESTTORRENT_LISTEN=""), self.read()
        )

    def test_command_line_wins_and_does_not_add(self) -> None:
        settings = self.read("--port=1", "--root=/a", RESTTORRENT_PORT="2", RESTTORRENT_ROOT="/b")
        self.assertEqual((settings.listen[0][:6], settings.roots), ("tcp:1:", (Path("/a"),)))


class FileTests(OptionsCase):
    def test_order(self) -> None:
        path = self.config('port = 3\numask = "0"\nlog_level = "warn"\ndiscovery = false\nroot = ["a", "/b"]')
        settings = self.read("--port=1", RESTTORRENT_PORT="2", RESTTORRENT_UMASK="1", RESTTORRENT_CONFIG=path)
        self.assertEqual(settings.listen[0][:6], "tcp:1:")
        self.assertEqual((settings.umask, settings.log_level, settings.discovery), (1, "warn", False))
        self.assertEqual(settings.roots, (self.folder / "a", Path("/b")))

    def test_single_text_for_a_repeatable(self) -> None:
        self.assertEqual(
            self.read("--config", self.config('fetch-allow = "::1"')).fetch_allow, (ip_network("::1"),)
        )

    def test_mistakes(self) -> None:
        for text, expected in {
            "prot = 1": "unknown key 'prot'; did you mean port?",
            "config = 'x'": "unknown key 'config'",
            "[port]": "port: expected text",
            "port = 1.5": "port: expected text",
            "port = true": "port: expected a whole number",
            "umask = 0o022": 'umask: expected text, such as "0022"',
            "root = [1]": "root: expected texts",
            "port = [1]": "port: expected text",
            "state-dir = '/a'\nstate_dir = '/b'": "state-dir is given twice",
            "port": "not a TOML file",
            'root = ["/a", ""]': "it is empty",
        }.items():
            message = self.refused("--config", self.config(text))
            self.assertIn(expected, message)
            self.assertIn("daemon.toml", message)

    def test_not_utf8(self) -> None:
        path = self.folder / "x.toml"
        path.write_bytes(b"port = '\xff'")
        self.assertIn("not a TOML file", self.refused("--config", str(path)))


class CommandLineTests(OptionsCase):
    def parse(self, twistd: Mapping[str, object], *arguments: str) -> Options:
        options = Options()
        options.parent = twistd  # type: ignore[assignment]
        with mock.patch.dict(os.environ, self.environ, clear=True):
            options.parseOptions(arguments)
        return options

    def test_repeatable(self) -> None:
        self.assertEqual(self.parse({}, "--root=/a", "--root=/b").settings.roots, (Path("/a"), Path("/b")))

    def test_mistakes_are_one_line(self) -> None:
        for arguments in (["--prot=1"], ["--port=x"], ["--port"], ["extra"], ["--listen=tcp:1", "--port=1"]):
            message = str(self.assertRaises(SystemExit, self.parse, {}, *arguments).code)
            self.assertTrue(message.startswith("resttorrent: "), message)
            self.assertTrue(message.isprintable())

    def test_umask_of_twistd(self) -> None:
        twistd = {"pidfile": "", "umask": 0o027}
        self.assertEqual(self.parse(twistd).settings.umask, 0o027)
        self.assertEqual(self.parse(twistd, "--umask=2").settings.umask, 0o002)
        self.assertEqual(self.parse({"pidfile": "", "umask": None}).settings.umask, 0o022)

    def test_help_names_every_option(self) -> None:
        text = Options().getUsage()
        for option in OPTIONS:
            self.assertIn(f"--{option.spelling}", text)
            self.assertIn(" ".join(option.documentation.split())[:30], " ".join(text.split()))

    def test_reading_loads_neither_reactor_nor_libtorrent(self) -> None:
        program = (
            "import sys, twisted.plugins.resttorrent_plugin as p\n"
            "assert 'resttorrent' not in sys.modules\n"
            "o = p.resttorrent.options(); o.parseOptions(['--listen', 'tcp:1', '--state-dir', '/s'])\n"
            "assert o.settings.listen == ('tcp:1',)\n"
            "for heavy in 'twisted.internet.reactor', 'libtorrent', 'resttorrent.service':\n"
            "    assert heavy not in sys.modules, heavy\n"
        )
        root = str(Path(__file__).parent.parent)
        subprocess.run([sys.executable, "-c", program], check=True, cwd=root, timeout=60)

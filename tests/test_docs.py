"""docs/: the tables are the code's, the examples work, and the markup is sound."""

import re
import tempfile
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

from docutils.core import publish_doctree  # type: ignore[import-untyped]
from docutils.nodes import reference  # type: ignore[import-untyped]
from twisted.trial.unittest import SynchronousTestCase

from resttorrent import errors
from resttorrent.engine import metainfo
from resttorrent.engine.fields import STATES
from resttorrent.engine.profile import LOOPBACK_SETTINGS, session_settings
from tests.harness import Daemon, tiny_torrent
from tests.reference import DOCS, REGISTRY, blocks_of, section_of, table, tables_of

HERE = DOCS.parent
DOCUMENTS = sorted([HERE / "README.rst", HERE / "CHANGELOG.rst", *DOCS.glob("*.rst")])


def text_of(name: str) -> str:
    return (DOCS / name).read_text()


def cells(text: str) -> dict[str, str]:
    """The second cell of each row of a simple table, by the first, which is a literal."""
    found = re.findall(r"^``(\w+)``  +(\S+(?: \S+)*)(?:  |$)", text, re.MULTILINE)
    return {str(name): str(value) for name, value in found}


def printed(value: object) -> str:
    """A setting's value as the documents write it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


class GeneratedTableTests(SynchronousTestCase):
    """``python -m tests.reference`` mends what fails here."""

    def test_tables_are_of_this_code(self) -> None:
        for path in DOCUMENTS:
            for name, written in tables_of(path.read_text()).items():
                self.assertEqual(written, table(name), f"{path.name}: {name}")

    def test_nothing_is_missing(self) -> None:
        wanted = {f"parameters {command.name}" for command in REGISTRY if command.parameters}
        self.assertEqual(set(tables_of(text_of("api.rst"))), wanted | {"commands"})
        self.assertEqual(set(tables_of(text_of("fields.rst"))), {"fields"})
        self.assertEqual(set(tables_of(text_of("options.rst"))), {"options"})

    def test_every_command_has_a_section(self) -> None:
        api = text_of("api.rst")
        for command in REGISTRY:
            self.assertIn(f"\n{command.name}\n{'-' * len(command.name)}\n", api)


class WrittenTableTests(SynchronousTestCase):
    """Tables with words of ours beside what the code says."""

    def test_error_codes(self) -> None:
        rows = re.findall(r"^(\d{3}) +``(\w+)``", text_of("api.rst"), re.MULTILINE)
        kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
        known = {
            (str(kind.http_status), kind.code) for kind in kinds if issubclass(kind, errors.CommandError)
        }
        self.assertEqual(sorted(rows), sorted(known))

    def test_states(self) -> None:
        self.assertEqual(tuple(cells(section_of(text_of("fields.rst"), "States"))), STATES)

    def test_settings(self) -> None:
        written = cells(section_of(text_of("libtorrent.rst"), "Settings"))
        settings = {**session_settings(discovery=True), **LOOPBACK_SETTINGS}
        in_words = {"user_agent": "both versions", "alert_mask": "see below", "listen_interfaces": "none"}
        in_words |= {
            name: "discovery" for name, on in session_settings(discovery=False).items() if on is False
        }
        never = {name for name, on in settings.items() if on is False}
        expected = {
            name: in_words[name] if name in in_words and name not in never else printed(value)
            for name, value in settings.items()
        }
        self.assertEqual(written, expected)

    def test_limits(self) -> None:
        limits = {name: str(value) for name, value in vars(metainfo).items() if name.startswith("MAX_")}
        self.assertEqual(cells(section_of(text_of("libtorrent.rst"), "Limits on torrents")), limits)
        self.assertIn(f"file of at most {metainfo.MAX_BYTES >> 20} MiB", text_of("api.rst"))

    def test_modules(self) -> None:
        """Every module and package that the architecture names exists."""
        package = HERE / "resttorrent"
        for name in re.findall(r"``([\w/]+(?:\.py|/))``", text_of("architecture.rst")):
            there = [package / name, *package.glob(f"*/{name}")]
            self.assertTrue(any(path.exists() for path in there), name)


class MarkupTests(SynchronousTestCase):
    def test_sound(self) -> None:
        """No document has anything that docutils warns of; links to files lead somewhere."""
        for path in DOCUMENTS:
            document = publish_doctree(
                path.read_text(), str(path), settings_overrides={"halt_level": 2, "report_level": 5}
            )
            for link in self.links(document):
                self.assertTrue((path.parent / link).exists(), f"{path.name}: {link}")

    def links(self, document: Any) -> Iterator[str]:
        for node in document.findall(reference):
            target = node.get("refuri", "")
            if target and "://" not in target:
                yield target

    def test_all_are_in_the_index(self) -> None:
        index = text_of("index.rst")
        for path in DOCS.glob("*.rst"):
            if path.name != "index.rst":
                self.assertIn(f"<{path.name}>`_", index)


class WatchExampleTests(SynchronousTestCase):
    """The client of lists.rst, against a daemon."""

    def setUp(self) -> None:
        home = Path(tempfile.mkdtemp(prefix="docs-"))
        self.addCleanup(rmtree, home)
        self.daemon = Daemon(home)
        self.addCleanup(self.daemon.stop)
        self.daemon.start()

    def example(self) -> Callable[[str], Iterator[dict[str, Any]]]:
        names: dict[str, Any] = {}
        exec(blocks_of(text_of("lists.rst"), "python")[0], names)
        watch: Callable[[str], Iterator[dict[str, Any]]] = names["watch"]
        return watch

    def test_table_is_kept(self) -> None:
        client = self.daemon.client()
        self.addCleanup(client.close)
        session = client.session()
        path = f"/v1/sessions/{session}/torrents"
        tables = self.example()(f"http://127.0.0.1:{self.daemon.port}{path}")
        self.assertEqual(next(tables), {})
        added = []
        for number in range(3):
            answer = client.upload(path, tiny_torrent(number), save_path="a", autostart="0")
            added.append(answer.json["infohash"])
            shown = self.until_fresh(tables, client, path)
            self.assertEqual(list(shown), added)
        client.ok("DELETE", f"{path}/{added[1]}")
        self.assertEqual(list(self.until_fresh(tables, client, path)), [added[0], added[2]])
        client.ok("PUT", f"{path}/{added[2]}", pause=0)
        self.assertNotEqual(self.until_fresh(tables, client, path)[added[2]]["state"], "stopped")
        client.ok("DELETE", f"/v1/sessions/{session}")
        with self.assertRaises(urllib.error.HTTPError) as caught:
            next(tables)
        self.assertEqual(caught.exception.code, 404)
        caught.exception.close()

    def until_fresh(self, tables: Iterator[dict[str, Any]], client: Any, path: str) -> dict[str, Any]:
        """The table once it is what a fresh list says; a change was made, so the first wait is short."""
        for shown in tables:
            listed = client.ok("GET", path, fields="infohash,name,state,progress")["torrents"]
            if shown == {row["infohash"]: row for row in listed}:
                return shown
        raise AssertionError("the example came to an end")

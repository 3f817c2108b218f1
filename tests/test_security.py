"""What the daemon does not have, so that nobody can get at it; SECURITY.md leaves no row without a test."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import resttorrent

PACKAGE = Path(resttorrent.__file__).parent
DOCUMENT = PACKAGE.parent / "SECURITY.md"
PROGRAMS = {"subprocess", "multiprocessing", "pty", "runpy", "code", "codeop"}
# what they read may be any object, and so any code (CVE-2025-61765)
PICKLES = {"pickle", "shelve", "marshal", "dill", "jsonpickle", "yaml"}
RUNNERS = {"system", "popen", "spawnProcess", "fork", "forkpty", "posix_spawn", "eval", "exec", "compile"}
NOT_THE_BUILT_IN = {"compile": "re"}


def trees() -> Iterator[tuple[str, ast.Module]]:
    """All modules of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text())


def imported(tree: ast.Module) -> set[str]:
    """The top-level packages that a module names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def called(tree: ast.Module) -> set[str]:
    """The names of what a module calls, without what stands before the last dot."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            found.add(node.func.id)
        elif isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            if NOT_THE_BUILT_IN.get(node.func.attr) != owner:
                found.add(node.func.attr)
    return found


class NoProgramTests(SynchronousTestCase):
    """Threat table, *Default or no login*: whoever got in would find nothing that runs programs."""

    def test_none_is_run(self) -> None:
        for name, tree in trees():
            self.assertEqual(imported(tree) & PROGRAMS, set(), name)
            runners = {one for one in called(tree) if one in RUNNERS or re.match("exec[lv]|spawn[lv]", one)}
            self.assertEqual(runners, set(), name)

    def test_would_be_seen(self) -> None:
        tree = ast.parse(
            "import os, subprocess.x\nos.system('x')\nos.execvp('x')\neval('x')\nre.compile('x')"
        )
        self.assertEqual(imported(tree), {"os", "subprocess"})
        self.assertEqual(called(tree), {"system", "execvp", "eval"})


class NoPickleTests(SynchronousTestCase):
    """Threat table, *Socket.IO*: nothing that came is made an object of any class."""

    def test_none(self) -> None:
        for name, tree in trees():
            self.assertEqual(imported(tree) & PICKLES, set(), name)


class DocumentTests(SynchronousTestCase):
    def test_every_row_has_a_test(self) -> None:
        table = DOCUMENT.read_text().partition("| Threat | Test |")[2].partition("\n\n")[0]
        rows = [line for line in table.splitlines()[2:] if line]
        self.assertGreater(len(rows), 25)
        for row in rows:
            threat, tests = row.strip("|").split("|")
            self.assertTrue(threat.strip(), row)
            self.assertRegex(tests, r"`tests\.[\w.]+`", row)

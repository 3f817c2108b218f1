"""
A copy of the project, in which one defence after the other is missing and the tests are run.

Where root allows it they run in a network namespace that has nothing but ``lo``: whatever a missing guard
would let out goes nowhere.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.mutation import PROJECT, Mutation

PATIENCE = 120.0
"""Seconds for the tests of one mutation; a defence without which they hang is missed as well."""
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "node_modules", "__pycache__", ".*_cache", "_trial_temp*")
_FAILED = re.compile(r"^(tests\.[\w.]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """
    What came of one.

    :ivar verdict: ``killed``, ``SURVIVED``, ``stale``, or ``broken`` if the tests fail with the defence too.
    :ivar by: the test that missed it, or what else there is to say.
    """

    mutation: Mutation
    verdict: str
    by: str
    seconds: float

    @property
    def is_well(self) -> bool:
        return self.verdict == "killed"


class Copy:
    """:ivar isolated: what is run sees no network but loopback."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._root = home / "project"
        shutil.copytree(PROJECT, self._root, ignore=_LEFT_OUT, symlinks=True)
        node = PROJECT / "tests" / "clients" / "node_modules"
        if node.exists():
            (self._root / "tests" / "clients" / "node_modules").symlink_to(node)
        self._prefix = isolation(self._root)
        self.isolated = bool(self._prefix)
        self._sound: dict[str, bool] = {}

    def trial(self, mutation: Mutation) -> Outcome:
        """Take one out, run its tests, and put it back."""
        begun = time.monotonic()
        if mutation.is_stale(self._root):
            return Outcome(mutation, "stale", "its text is not once in its file", 0.0)
        for test in mutation.tests:
            if test not in self._sound:
                self._sound[test] = self._run([test]) is None
        unsound = [test for test in mutation.tests if not self._sound[test]]
        if unsound:
            return Outcome(mutation, "broken", f"{unsound[0]} fails as it is", time.monotonic() - begun)
        path = self._root / "resttorrent" / mutation.file
        whole = path.read_text()
        mutation.apply(self._root)
        try:
            missed = self._run(mutation.tests)
        finally:
            path.write_text(whole)
        verdict = "SURVIVED" if missed is None else "killed"
        return Outcome(mutation, verdict, missed or ", ".join(mutation.tests), time.monotonic() - begun)

    def _run(self, tests: Sequence[str]) -> str | None:
        """The first test that failed; ``None`` if all passed."""
        temporary = self._home / "trial"
        # the package that is installed may be the project itself, which must not come first
        environment = {**os.environ, "PYTHONPATH": str(self._root), "PYTHONDONTWRITEBYTECODE": "1"}
        trial = [
            sys.executable,
            "-m",
            "twisted.trial",
            "--exitfirst",
            "--reporter=text",
            f"--temp-directory={temporary}",
        ]
        process = subprocess.Popen(
            [*self._prefix, *trial, *tests],
            cwd=self._root, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            said, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            # its own group: whatever daemons the tests have started are in it
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return "hung"
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        if process.returncode == 0:
            return None
        failed = _FAILED.search(said)
        return failed[1] if failed else "tests that could not be run"


@contextmanager
def copied() -> Iterator[Copy]:
    """A copy that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mutations-") as home:
        yield Copy(Path(home))


def isolation(root: Path) -> list[str]:
    """What to put before a command, so that it has a network of its own; nothing where that can't be."""
    prefix = ["unshare", "--net", sys.executable, "-m", "tests.mutations.loopback"]
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return []
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    probe = subprocess.run([*prefix, "true"], cwd=root, env=environment, capture_output=True, check=False)
    return prefix if probe.returncode == 0 else []

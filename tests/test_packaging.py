"""What an installed RestTorrent consists of, and that twistd finds it there."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from resttorrent import __version__
from resttorrent.options import OPTIONS

HERE = Path(__file__).resolve().parent.parent
# Seconds; only what hangs runs into it.
PATIENCE = 300
SOURCES = ("setup.cfg", "setup.py", "README.rst", "LICENSE", "MANIFEST.in", "resttorrent", "twisted")
LEFTOVERS = shutil.ignore_patterns("*.pyc", "dropin.cache")


class WheelTests(SynchronousTestCase):
    """A wheel built from a copy of the sources, so that nothing is left among them."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        source = self.folder / "source"
        source.mkdir(parents=True)
        for name in SOURCES:
            if (HERE / name).is_dir():
                shutil.copytree(HERE / name, source / name, ignore=LEFTOVERS)
            else:
                shutil.copy(HERE / name, source / name)
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(self.folder)]
        built = subprocess.run(
            [*build, str(source)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(built.returncode, 0, built.stdout)
        (self.wheel,) = self.folder.glob("*.whl")

    def files(self) -> set[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())

    def of_source(self, pattern: str) -> set[str]:
        return {str(path.relative_to(HERE)) for path in HERE.glob(pattern)}

    def test_content(self) -> None:
        files = self.files()
        information = {name for name in files if ".dist-info/" in name}
        expected = {
            *self.of_source("resttorrent/**/*.py"),
            *self.of_source("resttorrent/store/migrations/*.sql"),
            *self.of_source("resttorrent/web/static/examples/*"),
            "resttorrent/py.typed",
            "twisted/plugins/resttorrent_plugin.py",
        }
        self.assertEqual(files - information, expected)
        self.assertTrue(any(name.endswith("LICENSE") for name in information))
        with zipfile.ZipFile(self.wheel) as archive:
            (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
            metadata = archive.read(name).decode()
        self.assertIn(f"\nVersion: {__version__}\n", metadata)
        self.assertIn("\nRequires-Python: >=3.11\n", metadata)
        for requirement in ("libtorrent<3,>=2.1.1", "Twisted[tls]>=26.10", "klein>=24.8", "msgspec"):
            self.assertIn(f"\nRequires-Dist: {requirement}\n", metadata)

    def test_twistd_finds_it_from_anywhere(self) -> None:
        unpacked, elsewhere = self.folder / "unpacked", self.folder / "elsewhere"
        elsewhere.mkdir()
        with zipfile.ZipFile(self.wheel) as archive:
            archive.extractall(unpacked)
        environ = {**os.environ, "PYTHONPATH": str(unpacked)}

        def run(*command: str) -> str:
            ended = subprocess.run(
                [sys.executable, *command],
                cwd=elsewhere,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            return ended.stdout

        twistd = str(Path(sys.executable).with_name("twistd"))
        where = (
            "import resttorrent as r, twisted.plugins.resttorrent_plugin as p; print(r.__file__, p.__file__)"
        )
        for path in run("-c", where).split():
            self.assertTrue(path.startswith(f"{unpacked}/"), path)
        self.assertIn("resttorrent", run(twistd, "--help"))
        text = run(twistd, "resttorrent", "--help")
        for option in OPTIONS:
            self.assertIn(f"--{option.name}" + ("" if option.flag else "="), text)


class SourceTests(SynchronousTestCase):
    def test_twisted_is_not_shadowed(self) -> None:
        self.assertEqual(list((HERE / "twisted").rglob("__init__.py")), [])

    def test_requirements_are_the_package_itself(self) -> None:
        self.assertEqual((HERE / "requirements.txt").read_text(), ".\n")

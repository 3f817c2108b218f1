"""
``python -m tests.soak [--minutes 10] [--seed N] [--report docs/soak.rst] [--quick]``: see ``docs/soak.rst``.

Two thirds of the time are peace, the rest is war. The exit code is 0 if all aims were met.
"""

import argparse
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

from twisted.trial.unittest import SkipTest

from tests.faults.support import Namespace
from tests.soak.course import FULL, QUICK, Course, Deed
from tests.soak.disks import PAYLOAD_SIZE, STATE_SIZE, used_paths
from tests.soak.report import aims, page


def main(arguments: list[str]) -> int:
    """Run it, with disks that may be filled if they can be had; return the exit code."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _terminate)
    if options.home is not None:
        return soak(options, options.home, disks=True)
    home = Path(tempfile.mkdtemp(prefix="resttorrent-soak-"))
    try:
        namespace = Namespace()
    except SkipTest as reason:
        _say(f"full disks are left out: {reason}")
        code = soak(options, home, disks=False)
    else:
        try:
            code = _inside(namespace, home, arguments)
        finally:
            namespace.close()
    if code == 0:
        shutil.rmtree(home)
    else:
        _say(f"the log is left in {home}")
    return code


def _inside(namespace: Namespace, home: Path, arguments: list[str]) -> int:
    """All this again where the disks are mounted."""
    for path, size in zip(used_paths(home), (STATE_SIZE, PAYLOAD_SIZE), strict=True):
        namespace.mount(path, size)
    command = [*namespace.prefix, sys.executable, "-m", "tests.soak", *arguments, "--home", str(home)]
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None, help="as a run printed it: the same dice again")
    parser.add_argument("--report", type=Path, default=None, help="where the page is written")
    parser.add_argument(
        "--quick", action="store_true", help="a small crowd and short lives; growth is not judged"
    )
    parser.add_argument("--home", type=Path, default=None, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def soak(options: argparse.Namespace, home: Path, *, disks: bool) -> int:
    """Both phases; return the exit code."""
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    measure = QUICK if options.quick else FULL
    peace = options.minutes * 40
    _say(f"seed {seed}, in {home}")
    course = Course(home, seed, measure, disks=disks)
    try:
        course.begin()
        _tell(course.peace(peace))
        for deed in course.war(peace / 2):
            _tell(deed)
    finally:
        course.end()
    outcome = course.outcome
    found = aims(outcome, measure, judge_growth=not options.quick)
    for aim in found:
        _say(f"{'met   ' if aim.met else 'MISSED'}  {aim.name}: {aim.measured}")
    for fault in outcome.faults:
        _say(f"fault: {fault}")
    if options.report is not None:
        options.report.write_text(page(outcome, measure, seed, found))
    return 0 if all(aim.met for aim in found) else 1


def _tell(deed: Deed) -> None:
    _say(f"{deed.kind}: {deed.result}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A hundredth of ``make soak``: both phases, every kind of client and of fault once. Growth is not judged."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.soak.samples import Sample, growth, slope, trend

MINUTES = "0.1"
ROOT = Path(__file__).parents[2]


class SoakTests(SynchronousTestCase):
    def test_both_phases(self) -> None:
        with tempfile.TemporaryDirectory(prefix="soak-report-") as folder:
            report = Path(folder) / "soak.rst"
            command = [sys.executable, "-m", "tests.soak", "--quick", "--minutes", MINUTES]
            # in a group of its own, so that nothing of it outlives the test
            process = subprocess.Popen(
                [*command, "--report", str(report)],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip
            try:
                said, _ = process.communicate(timeout=200)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.communicate()
            self.assertEqual(process.returncode, 0, said)
            page = report.read_text()
        for met in ("no answer is lost: 0 of", "no traceback is logged: 0", "nothing else is at fault: 0"):
            self.assertIn(f"met     {met}", said)
        for kind in ("REST adder", "REST lister", "REST liar: wrong token", "WebSocket table keeper"):
            self.assertIn(f"   * - {kind}\n", page)


class GrowthTests(SynchronousTestCase):
    """What the figures of a long run are judged by."""

    def samples(self, count: int = 100) -> list[Sample]:
        """Of a process that grows by 600 bytes a second, each session of which has 5 threads."""
        return [
            Sample(2.0 * n, 10**6 + 1200 * n, 50 + n % 3, 20 + 5 * (n % 4), n % 4, 7) for n in range(count)
        ]

    def test_slope(self) -> None:
        self.assertAlmostEqual(slope([0, 1, 2, 3], [1, 3, 5, 7]), 2)
        self.assertEqual(slope([1, 1], [1, 5]), 0)

    def test_memory(self) -> None:
        seen = growth(self.samples(), 20.0)
        self.assertAlmostEqual(seen.rate, 36_000)
        self.assertEqual(seen.samples[0].seconds, 20.0)

    def test_sessions_are_taken_out(self) -> None:
        """More sessions at the end are no growth; more threads than they have are."""
        sessions = [1] * 50 + [4] * 50
        even = trend([20 + 5 * count for count in sessions], sessions)
        self.assertAlmostEqual(even.growth, 0)
        uneven = trend([20 + n // 10 for n in range(100)], [n % 2 for n in range(100)])
        self.assertGreater(uneven.growth, 5)
